"""Videos and cameras to hands in camera space: files of each."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
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
from handmesh.tracking import TrackedHand, Tracker, whole_tracks
from handmesh.video import CameraStream, Frame, VideoFile
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
    live = isinstance(frames, CameraStream)
    tracks: set[int] = set()
    with VideoResults(folder, name, find.faces) as results:
        window = _Window(name) if live else None
        try:
            for frame, hands in (_live if live else _whole)(frames, name, find, settings, smooth):
                overlay = results.add(frame, hands)
                tracks |= {hand.track for hand in hands}
                if window is not None and not window.show(overlay):
                    break
        except KeyboardInterrupt:
            print("stopped: what was done so far is kept")
    return results.frames, len(tracks)


def _live(
    frames: VideoFile | CameraStream, name: str, find: HandFinder, settings: DemoSettings, smooth: bool
) -> Iterator[tuple[Frame, list[TrackedHand]]]:
    """Frames, as the hands are, with their hands, one after the other."""
    path = frames.path if isinstance(frames, VideoFile) else Path(name)
    tracker: Tracker | None = None
    for frame in tqdm(frames, total=frames.count or None, desc=name, unit="frame", dynamic_ncols=True):
        if tracker is None:
            camera = find_camera(path, path.stem, *frame.image.shape[:2], settings.fov_degrees, settings.K)
            tracker = Tracker(find, camera, smooth, settings.hand_length_m, settings.mirrored)
        hands = tracker.update(frame.image, frame.time_s)
        yield replace(frame, image=tracker.seen(frame.image)), hands


def _whole(
    frames: VideoFile, name: str, find: HandFinder, settings: DemoSettings, smooth: bool
) -> Iterator[tuple[Frame, list[TrackedHand]]]:
    """The same of a file, with size, shape and smoothing of each hand from all of its frames, the later ones too."""
    found: list[list[TrackedHand]] = []
    try:
        for _, hands in _live(frames, name, find, settings, smooth=False):
            found.append([replace(hand, seen=None, pose=replace(hand.pose)) for hand in hands])  # without what is large
    except KeyboardInterrupt:
        print("stopped: what was done so far is kept")
    found = whole_tracks(found, smooth)
    for frame, hands in zip(frames, found, strict=False):
        image = np.ascontiguousarray(frame.image[:, ::-1]) if settings.mirrored else frame.image
        yield replace(frame, image=image), hands


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
