"""Frames of videos and cameras, and the hands in them.

Files are read and written with PyAV (`pip install handmesh[video]`), cameras with OpenCV.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np

from handmesh.camera import Camera, Intrinsics, camera_of
from handmesh.errors import InputError
from handmesh.finder import HandFinder
from handmesh.tracking import TrackedHand, Tracker

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
    *(".wmv", ".ogv", ".3gp", ".flv", ".mts", ".m2ts", ".ts"),
)
USUAL_RATE_HZ = 30  # where a file does not say
CLOCK_HZ = 90_000  # of the times in written files


@dataclass(frozen=True)
class Frame:
    """A picture of a video.

    Attributes:
        image: (H, W, 3) RGB uint8, upright.
        time_s: since the first one.
    """

    image: np.ndarray
    time_s: float


class VideoFile:
    """The frames of a file; those that cannot be decoded are left out.

    Args:
        path: of any format that FFmpeg reads.

    Attributes:
        count: how many frames the file says it has; 0 where it does not say.

    Raises:
        InputError: PyAV is not installed, or the file is missing or no video.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self._av = Path(path), load_av()
        if not self.path.is_file():
            raise InputError(f"{path}: no such file; expected a video")
        with self._opened() as container:
            self.count = container.streams.video[0].frames

    def _opened(self):  # noqa: ANN202  # PyAV is not there without the extra
        try:
            container = self._av.open(f"file:{self.path}")
        except (self._av.error.FFmpegError, OSError) as error:
            raise InputError(f"{self.path}: cannot be read as a video ({error})") from error
        if not container.streams.video:
            container.close()
            raise InputError(f"{self.path}: has no pictures; expected a video")
        container.streams.video[0].thread_type = "AUTO"
        return container

    def __iter__(self) -> Iterator[Frame]:
        frames = self._decoded()
        with ThreadPoolExecutor(1) as reader:  # of the next frame, while this one is used
            coming = reader.submit(next, frames, None)
            while (frame := coming.result()) is not None:
                coming = reader.submit(next, frames, None)
                yield frame

    def _decoded(self) -> Iterator[Frame]:
        with self._opened() as container:
            stream = container.streams.video[0]
            first, last, step = None, None, float(1 / (stream.average_rate or USUAL_RATE_HZ))
            aspect = stream.sample_aspect_ratio or 1  # of a pixel
            for packet in self._packets(container):
                try:
                    frames = packet.decode()
                except self._av.error.FFmpegError:
                    continue
                for frame in frames:
                    own = frame.time
                    if last is None:
                        first = last = 0.0 if own is None else own
                    elif own is None or own <= last:
                        last += step
                    else:
                        last, step = own, min(step, own - last)
                    image = frame.to_ndarray(format="rgb24")
                    if aspect != 1:
                        size = (max(1, round(image.shape[1] * aspect)), image.shape[0])
                        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
                    yield Frame(np.ascontiguousarray(np.rot90(image, (frame.rotation // 90) % 4)), last - first)

    def _packets(self, container) -> Iterator:  # noqa: ANN001
        packets = container.demux(video=0)
        while True:
            try:
                yield next(packets)
            except StopIteration:
                return
            except self._av.error.FFmpegError:  # the file ends early
                return


class CameraStream:
    """The frames of a camera, each with the time at which it came; without an end.

    Args:
        number: of the camera, from 0.

    Raises:
        InputError: there is no such camera.
    """

    count = 0

    def __init__(self, number: int) -> None:
        self.capture = cv2.VideoCapture(number)
        if not self.capture.isOpened():
            raise InputError(f"camera {number}: cannot be opened; is it connected, and used by nothing else?")

    def __iter__(self) -> Iterator[Frame]:
        started = time.perf_counter()
        try:
            while True:
                there, image = self.capture.read()
                if not there:
                    return
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time.perf_counter() - started)
        finally:
            self.capture.release()


class VideoWriter:
    """An H.264 file of frames with their times.

    Args:
        path: to write; frames of another size than the first one are resized.
    """

    def __init__(self, path: Path) -> None:
        self._av = load_av()
        self.container = self._av.open(str(path), "w", format="mp4")
        self.stream = self.container.add_stream("libx264", rate=30, options={"crf": "20", "preset": "veryfast"})
        self.stream.pix_fmt, self.stream.codec_context.time_base = "yuv420p", Fraction(1, CLOCK_HZ)
        self._started = False

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Add a frame (H, W, 3) RGB uint8."""
        height, width = image.shape[:2]
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)  # even, as H.264 wants it
        if not self._started:
            self.stream.height, self.stream.width = image.shape[:2]
            self._started = True
        if image.shape[:2] != (self.stream.height, self.stream.width):
            image = cv2.resize(image, (self.stream.width, self.stream.height), interpolation=cv2.INTER_AREA)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = round(time_s * CLOCK_HZ), Fraction(1, CLOCK_HZ)
        self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        if self._started:
            self.container.mux(self.stream.encode())
        self.container.close()


def track(
    source: str | Path | int,
    find: HandFinder,
    K: Intrinsics | Camera | None = None,
    smooth: bool = True,
    hand_length_m: float | None = None,
    mirrored: bool = False,
) -> Iterator[tuple[Frame, list[TrackedHand]]]:
    """The frames of a video file or of a camera (by its number) with their hands; see `Tracker`. Mirror images come
    turned back, as their hands are. Without K that of a file is looked for, see `find_camera`."""
    frames = CameraStream(source) if isinstance(source, int) else VideoFile(source)
    camera = partial(camera_of, K, path=frames.path if isinstance(frames, VideoFile) else None)
    yield from follow(frames, Tracker(find, None, smooth, hand_length_m, mirrored), camera)


def follow(
    frames: Iterable[Frame], tracker: Tracker, camera: Callable[[int, int], Camera]
) -> Iterator[tuple[Frame, list[TrackedHand]]]:
    """Frames, as the hands are, with their hands; `camera` says what takes pictures of a height and width."""
    size = None
    for frame in frames:
        if frame.image.shape[:2] != size:
            size = frame.image.shape[:2]
            tracker.K = camera(*size)
        hands = tracker.update(frame.image, frame.time_s)
        yield replace(frame, image=tracker.seen(frame.image)), hands


def load_av() -> ModuleType:
    """PyAV. Raises InputError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise InputError("videos need PyAV: pip install av, or handmesh[video]") from error
    return av
