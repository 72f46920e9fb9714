"""The demo phase: images to meshes in camera space."""

from pathlib import Path

from handmesh.demo import DemoSettings, read_boxes, run
from handmesh.finder import HandFinder
from handmesh.image_folder import find_images
from handmesh.video_demo import run_videos
from options import Options
from runner.prediction import network_for_prediction


def demo(options: Options) -> int:
    """Find the hands of every image and write them to the results' folder.

    Returns:
        The exit status: 0, or 1 if an image was left out.

    Raises:
        InputError: the network cannot be used, there is no image, or the results cannot be written.
    """
    settings = DemoSettings(
        detect=options.detect,
        hand=options.hand,
        hand_length_m=None if options.hand_length_cm is None else options.hand_length_cm / 100,
        fov_degrees=options.fov,
        K=None if options.K is None else Path(options.K),
        mirrored=options.mirrored,
        boxes={} if options.boxes is None else read_boxes(Path(options.boxes)),
        save=options.save,
    )
    find = HandFinder(network_for_prediction(options), options.n_threads or None)
    if not find.traits.upright and options.detect is None:
        print(f"{find.description.name} takes the central square of each image; --detect auto finds the hands first")
    if not options.video:
        return run(find, options.images, options.results_dir, settings)
    videos = [int(source) if source.isdecimal() else Path(source) for source in options.video]
    taken = {entry.name for entry in find_images(options.images)[0]} if options.image_dir else ()
    status = run_videos(find, videos, options.results_dir, settings, options.smooth, taken)
    return max(status, run(find, options.images, options.results_dir, settings) if options.image_dir else 0)
