"""The command `handmesh`: hands in the images of a folder."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from handmesh import SHIPPED, __version__, load
from handmesh.camera import DEFAULT_FOV_DEGREES
from handmesh.demo import DemoSettings, run_folder
from handmesh.detector import DETECT
from handmesh.errors import InputError
from handmesh.hand import LEFT, RIGHT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    try:
        return _run(_parser().parse_args(arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("handmesh", description="Hands in pictures, as meshes in camera space.")
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("-o", "--out", type=Path, default=Path("hands"), help="folder of the results (default: hands)")
    parser.add_argument("--network", type=Path, default=SHIPPED, help="ONNX file (default: the shipped network)")
    parser.add_argument("--detect", choices=DETECT, help="find hands always; never; or auto, where one is clear")
    parser.add_argument("--hand", choices=("auto", RIGHT, LEFT), default="auto", help="which hands are in the images")
    parser.add_argument(
        "--fov", type=float, default=DEFAULT_FOV_DEGREES, help="degrees across the longer side (default: %(default)s)"
    )
    parser.add_argument("--hand_length_cm", type=float, help="from the wrist to the middle finger's tip")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _run(options: argparse.Namespace) -> int:
    length_m = options.hand_length_cm / 100 if options.hand_length_cm else None
    settings = DemoSettings(options.detect, options.hand, options.fov, length_m)
    return run_folder(load(options.network), options.images, options.out, settings)
