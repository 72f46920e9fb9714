"""The command `handmesh`: hands in images and videos."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from handmesh import SHIPPED, __version__, load
from handmesh.arguments import FOV_DEGREES, HAND_LENGTH_M, as_number
from handmesh.camera import DEFAULT_FOV_DEGREES
from handmesh.demo import DemoSettings, read_boxes, run
from handmesh.detector import DETECT
from handmesh.errors import InputError
from handmesh.files import printable
from handmesh.hand import LEFT, RIGHT
from handmesh.image_folder import find_images
from handmesh.results import DEFAULT_RESULTS, RESULTS
from handmesh.video import VIDEO_SUFFIXES
from handmesh.video_demo import run_videos


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    try:
        return _run(_parser().parse_args(arguments))
    except InputError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("handmesh", description="Hands in pictures and videos, as meshes in camera space.")
    parser.add_argument("images", type=Path, nargs="*", help="folders, files or patterns; videos by their files")
    parser.add_argument("--camera", type=int, help="number of a camera to watch, from 0")
    parser.add_argument("--no_smooth", action="store_true", help="videos: poses as they are in each frame")
    parser.add_argument("-o", "--out", type=_path, default=Path("hands"), help="folder of the results (default: hands)")
    parser.add_argument("--save", nargs="+", choices=RESULTS, default=DEFAULT_RESULTS, help="what to write")
    parser.add_argument("--network", type=Path, default=SHIPPED, help="ONNX file (default: the shipped network)")
    parser.add_argument(
        "--detect", choices=DETECT, help="find hands always; never; auto, where one is clear; small, also far ones"
    )
    parser.add_argument("--hand", choices=("auto", RIGHT, LEFT), default="auto", help="which hands are in the images")
    parser.add_argument("--mirrored", action="store_true", help="the images are mirror images, as of front cameras")
    parser.add_argument("--boxes", type=Path, help="JSON file with the boxes of hands, by file name")
    parser.add_argument("--K", type=Path, help="intrinsics of all images that have none of their own beside them")
    parser.add_argument(
        "--fov", type=float, default=DEFAULT_FOV_DEGREES, help="degrees across the longer side (default: %(default)s)"
    )
    parser.add_argument("--hand_length_cm", type=float, help="from the wrist to the middle finger's tip")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return Path(text)


def _run(options: argparse.Namespace) -> int:
    length = options.hand_length_cm
    if length is not None:
        shortest, longest = HAND_LENGTH_M
        length = as_number("--hand_length_cm", length, (100 * shortest, 100 * longest), "centimetres") / 100
    settings = DemoSettings(
        detect=options.detect,
        hand=options.hand,
        hand_length_m=length,
        fov_degrees=as_number("--fov", options.fov, FOV_DEGREES, "degrees"),
        K=options.K,
        mirrored=options.mirrored,
        boxes={} if options.boxes is None else read_boxes(options.boxes),
        save=tuple(options.save),
    )
    videos: list[Path | int] = [path for path in options.images if path.suffix.lower() in VIDEO_SUFFIXES]
    videos += [] if options.camera is None else [options.camera]
    images = [path for path in options.images if path not in videos]
    if not images and not videos:
        raise InputError("nothing to look at: name images, folders or videos, or a --camera")
    find = load(options.network)
    taken = {entry.name for entry in find_images(images)[0]} if images and videos else ()
    status = run_videos(find, videos, options.out, settings, not options.no_smooth, taken) if videos else 0
    return max(status, run(find, images, options.out, settings) if images else 0)
