"""Pictures in the forms in which people have them: files, arrays of several kinds, images of Pillow."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handmesh.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
PILLOW_SUFFIXES = (".heic", ".heif", ".avif")
EXPECTED = (
    "a path, a Pillow image, or an array (H, W), (H, W, 3) or (H, W, 4) in the order RGB: uint8, uint16, or float from "
    "0 to 1"
)

Picture = np.ndarray | str | os.PathLike


def is_several(picture: object) -> bool:
    """Whether this is a list of pictures, or an array (N, H, W, C)."""
    return isinstance(picture, list | tuple) or getattr(picture, "ndim", 0) == 4


def as_image(picture: Any, source: str = "image") -> np.ndarray:
    """A picture as RGB (H, W, 3) uint8. Raises InputError, which names the source, if it is none; see `EXPECTED`."""
    if isinstance(picture, str | os.PathLike):
        return read_image(Path(picture))
    if hasattr(picture, "getexif") and hasattr(picture, "convert"):
        return _from_pillow(picture, source)
    pixels: np.ndarray = np.asarray(picture) if hasattr(picture, "__array__") else np.empty(0)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or not pixels.size:
        shape = f"an array of shape {pixels.shape}" if hasattr(picture, "__array__") else repr(type(picture).__name__)
        raise InputError(f"{source}: {shape}, expected {EXPECTED}")
    pixels = _as_bytes(pixels[..., :3], source)  # without transparency
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _as_bytes(pixels: np.ndarray, source: str) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:  # of either byte order
        return (pixels >> 8).astype(np.uint8)
    if pixels.dtype.kind != "f":
        raise InputError(f"{source}: pixels of type {pixels.dtype}, expected {EXPECTED}")
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # also where one is not a number
        low, high = pixels.min(), pixels.max()
        raise InputError(f"{source}: values from {low:g} to {high:g}, expected floats from 0 to 1, or uint8")
    return np.rint(pixels * 255).astype(np.uint8)


def read_image(path: Path, flags: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
    """Read an image, upright as its EXIF orientation says, as RGB (H, W, 3) or grey (H, W) uint8; of an animation the
    first frame.

    Decoding from memory refuses a truncated file, which `cv2.imread` fills up with grey.

    Raises:
        InputError: the file is missing, or not a whole image.
    """
    try:
        if path.suffix.lower() in PILLOW_SUFFIXES:
            return _read_with_pillow(path)
        encoded = np.fromfile(path, np.uint8)
        image = cv2.imdecode(encoded, flags) if len(encoded) else None
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, MemoryError, cv2.error) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error
    if image is None:
        raise InputError(f"{path}: cannot be decoded as an image; it may be cut short")
    return image


def _from_pillow(picture: Any, source: str) -> np.ndarray:
    from PIL import ImageOps

    try:
        upright = ImageOps.exif_transpose(picture)
        pixels = np.asarray(upright)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for broken files
        raise InputError(f"{source}: cannot be read as an image ({error})") from error
    if not upright.mode.startswith(("I", "F")):
        return np.array(upright.convert("RGB"))
    if upright.mode == "I" and pixels.min() >= 0 and pixels.max() < 1 << 16:
        pixels = pixels.astype(np.uint8 if pixels.max() < 1 << 8 else np.uint16)
    return as_image(pixels, source)  # Pillow would clip to what 8 bits hold


def _read_with_pillow(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        if path.suffix.lower() != ".avif":
            raise InputError(f"{path}: reading {path.suffix} needs pillow-heif: pip install pillow-heif") from None
    try:
        with Image.open(path) as image:
            return as_image(image, str(path))
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: too large ({error})") from error


def files_in(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """The files of a folder that end in one of the suffixes, by name. Raises InputError if there are none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        raise InputError(f"{folder}: no {', '.join(suffixes)} in it")
    return paths
