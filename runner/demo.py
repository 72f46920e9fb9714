"""The demo phase: a folder of images to meshes in camera space."""

from handmesh.demo import DemoSettings, run
from handmesh.finder import HandFinder
from options import Options
from runner.prediction import network_for_prediction


def demo(options: Options) -> int:
    """Find the hands of every image and write them to the results' folder.

    Returns:
        The exit status: 0, or 1 if an image was skipped.

    Raises:
        InputError: the network cannot be used, there is no image, or the results cannot be written.
    """
    find = HandFinder(network_for_prediction(options), options.n_threads or None)
    settings = DemoSettings(
        detect=options.detect,
        hand=options.hand,
        hand_length_m=options.hand_length_cm / 100 or None,
        fov_degrees=options.fov,
    )
    return run(find, [options.image_root], options.results_dir, settings)
