"""Reading image files."""

from pathlib import Path

import cv2
import numpy as np

from handmesh.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def files_of_option(option: str, folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """The files of a folder that end in one of the suffixes, by name. Raises InputError, naming the option, if none."""
    if not folder.is_dir():
        raise InputError(f"--{option} {folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        raise InputError(f"--{option} {folder}: no {', '.join(suffixes)} in it")
    return paths


def read_image(path: Path, flags: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
    """Read an image, upright as its EXIF orientation says, as RGB (H, W, 3) or grey (H, W) uint8.

    Decoding from memory refuses a truncated file, which `cv2.imread` fills up with grey.

    Raises:
        InputError: the file is missing, or not a whole image.
    """
    try:
        encoded = np.fromfile(path, np.uint8)
        image = cv2.imdecode(encoded, flags) if len(encoded) else None
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, MemoryError, cv2.error) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error
    if image is None:
        raise InputError(f"{path}: cannot be decoded as an image; it may be cut short")
    return image
