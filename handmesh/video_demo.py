"""Videos and cameras to hands in camera space: files of each."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from handmesh.camera import find_camera
from handmesh.demo import DemoSettings
from handmesh.errors import InputError
from handmesh.files import printable, remove_leftovers
from handmesh.finder import HandFinder
from handmesh.tracking import Tracker
from handmesh.video import CameraStream, VideoFile
from handmesh.video_results import VideoResults

STOP_KEYS = (ord("q"), 27)  # the latter is Escape


def run_videos(
    find: HandFinder, sources: Sequence[Path | int], results: Path, settings: DemoSettings, smooth: bool = True
) -> int:
    """Track the hands of videos and cameras (by their numbers) and write the results, until each ends or Ctrl-C.

    Args:
        settings: of them `hand_length_m`, `fov_degrees`, `K` and `mirrored`.
        smooth: see `Tracker`.

    Returns:
        The exit status: 0, or 1 if a video could not be used.

    Raises:
        InputError: the results cannot be written, or the network cannot track.
    """
    skipped: list[str] = []
    names: Counter[str] = Counter()
    remove_leftovers(results)
    for source in sources:
        name = f"camera_{source}" if isinstance(source, int) else source.stem
        names[name] += 1
        name += f"_{names[name]}" if names[name] > 1 else ""
        try:
            frames = CameraStream(source) if isinstance(source, int) else VideoFile(source)
        except InputError as error:
            skipped.append(str(error))
            continue
        count, hands = _process(frames, name, find, results, settings, smooth)
        print(printable(f"{name}: {count} frames, {hands} hands; results in {results}"))
    for message in skipped:
        print(printable(f"skipped: {message}"), file=sys.stderr)
    return 1 if skipped else 0


def _process(
    frames: VideoFile | CameraStream, name: str, find: HandFinder, folder: Path, settings: DemoSettings, smooth: bool
) -> tuple[int, int]:
    """Write the results of one video; how many frames and different hands it has."""
    window = _Window(name) if isinstance(frames, CameraStream) else None
    path = frames.path if isinstance(frames, VideoFile) else Path(name)
    tracker: Tracker | None = None
    tracks: set[int] = set()
    shown = tqdm(frames, total=frames.count or None, desc=name, unit="frame", dynamic_ncols=True)
    with VideoResults(folder, name, find.faces) as results:
        try:
            for frame in shown:
                if tracker is None:
                    size = frame.image.shape[:2]
                    camera = find_camera(path, path.stem, *size, settings.fov_degrees, settings.K)
                    tracker = Tracker(find, camera, smooth, settings.hand_length_m, settings.mirrored)
                hands = tracker.update(frame.image, frame.time_s)
                tracks |= {hand.track for hand in hands}
                overlay = results.add(replace(frame, image=tracker.seen(frame.image)), hands)
                if window is not None and not window.show(overlay):
                    break
        except KeyboardInterrupt:
            print("stopped: what was done so far is kept")
    return results.frames, len(tracks)


class _Window:
    """A window with the newest frame, where there is a screen and OpenCV can draw on it."""

    def __init__(self, name: str) -> None:
        self.name, self.there = name, True
        try:
            cv2.namedWindow(name)
        except cv2.error:
            self.there = False
            print("no window: that needs a screen and opencv-python instead of opencv-python-headless; Ctrl-C stops")

    def show(self, image: np.ndarray) -> bool:
        """Show a frame (H, W, 3) RGB uint8; False where a key was pressed to stop: q or Escape."""
        if not self.there:
            return True
        cv2.imshow(self.name, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF not in STOP_KEYS
