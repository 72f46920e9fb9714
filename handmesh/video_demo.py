"""Videos and cameras to hands in camera space: files of each."""

import os
import sys
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from handmesh.camera import FROM_FILE, FROM_FOV, Camera, find_camera, from_fov
from handmesh.demo import DemoSettings, named_error
from handmesh.errors import InputError
from handmesh.files import printable, remove_leftovers
from handmesh.finder import HandFinder
from handmesh.intrinsics import read_intrinsics
from handmesh.tracking import TrackedHand, Tracker, whole_tracks
from handmesh.video import CameraStream, Frame, VideoFile, follow
from handmesh.video_results import VideoResults

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
STOP_KEYS = (ord("q"), 27)  # the latter is Escape


def run_videos(
    find: HandFinder,
    sources: Sequence[Path | int],
    results: Path,
    settings: DemoSettings,
    smooth: bool = True,
    taken: Collection[str] = (),
) -> int:
    """Track the hands of videos and cameras (by their numbers) and write the results, until each ends or Ctrl-C.

    Args:
        settings: of them `hand_length_m`, `fov_degrees`, `K` and `mirrored`.
        smooth: see `Tracker`.
        taken: names of other results in the folder.

    Returns:
        The exit status: 0, or 1 if a video could not be used.

    Raises:
        InputError: there is no such file of intrinsics.
    """
    if settings.K is not None and not settings.K.is_file():
        raise InputError(f"{settings.K}: no such file; expected intrinsics")
    skipped: list[str] = []
    used = set(taken)
    remove_leftovers(results)
    for source in sources:
        name = _unused(f"camera_{source}" if isinstance(source, int) else source.stem, used)
        try:
            frames = CameraStream(source) if isinstance(source, int) else VideoFile(source)
            length, hands = _process(frames, name, find, results, settings, smooth)
            print(printable(f"{name}: {length} frames, {hands} hands; results in {results}"))
        except Exception as error:  # whatever is wrong with one video, the others are done
            skipped.append(named_error(error, f"camera {source}" if isinstance(source, int) else source))
    for message in skipped:
        print(printable(f"skipped: {message}"), file=sys.stderr)
    return 1 if skipped else 0


def _unused(name: str, used: set[str]) -> str:
    """The name, or with a number after it where it is taken; from now on it is."""
    free = next(one for one in chain([name], (f"{name}_{number}" for number in count(2))) if one not in used)
    used.add(free)
    return free


def _process(
    frames: VideoFile | CameraStream, name: str, find: HandFinder, folder: Path, settings: DemoSettings, smooth: bool
) -> tuple[int, int]:
    """Write the results of one video; how many frames and different hands it has."""
    live = isinstance(frames, CameraStream)
    arguments = (name, find, settings, smooth)
    found = _live(frames, *arguments) if isinstance(frames, CameraStream) else _whole(frames, *arguments)
    tracks: set[int] = set()
    with VideoResults(folder, name, find.faces) as results:
        window = _Window(name) if live else None
        try:
            for frame, hands in found:
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
    tracker = Tracker(find, None, smooth, settings.hand_length_m, settings.mirrored)
    shown = tqdm(frames, total=frames.count or None, desc=name, unit="frame", dynamic_ncols=True)
    yield from follow(shown, tracker, partial(_camera, frames, settings))


def _camera(frames: VideoFile | CameraStream, settings: DemoSettings, height: int, width: int) -> Camera:
    """The intrinsics of a video: of a file beside it, of the settings, or a field of view."""
    if isinstance(frames, VideoFile):
        return find_camera(frames.path, height, width, settings.fov_degrees, settings.K)
    if settings.K is not None:
        return Camera(read_intrinsics(settings.K, height, width), FROM_FILE)
    return Camera(from_fov(height, width, settings.fov_degrees), FROM_FOV)


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
    whole = deque(whole_tracks(found, smooth))
    for frame in frames:
        if not whole:
            return
        hands = whole.popleft()  # meshes are large, too
        image = np.ascontiguousarray(frame.image[:, ::-1]) if settings.mirrored else frame.image
        yield replace(frame, image=image), hands


class _Window:
    """A window with the newest frame, where there is a screen and OpenCV can draw on it."""

    def __init__(self, name: str) -> None:
        self.name, self.there = name, sys.platform != "linux" or any(map(os.environ.get, SCREENS))
        try:
            if self.there:
                cv2.namedWindow(name)
        except cv2.error:
            self.there = False
        if not self.there:
            print("no window: that needs a screen and opencv-python instead of opencv-python-headless; Ctrl-C stops")

    def show(self, image: np.ndarray) -> bool:
        """Show a frame (H, W, 3) RGB uint8; False where a key was pressed to stop: q or Escape."""
        if not self.there:
            return True
        cv2.imshow(self.name, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF not in STOP_KEYS
