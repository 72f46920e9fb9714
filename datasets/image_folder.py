"""A folder of images with their intrinsics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import InputError
from utils.files import read_array, read_json
from utils.images import IMAGE_SUFFIXES, read_image

NAME_ENDING = "_img"  # of the released demo images; not part of the name
MIN_SIDE_PX = 16
RESULT_ENDING = "_plot"  # of our own results, never an input


@dataclass(frozen=True)
class ImageEntry:
    """An image file and the name its results get."""

    name: str
    path: Path

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """RGB image (H, W, 3) uint8, upright, and its intrinsics K (3, 3) in pixels. Raises InputError."""
        K = read_intrinsics(self.path.parent, self.name)
        image = read_image(self.path)
        if min(image.shape[:2]) < MIN_SIDE_PX:
            raise InputError(f"{self.path}: {image.shape[1]} x {image.shape[0]} px, too small to show a hand")
        return image, K


def list_images(folder: str | Path) -> list[ImageEntry]:
    """All images of a folder, by name.

    Raises:
        InputError: there is no such folder, it holds no image, or two images have the same name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"--image_dir {folder}: no such folder")
    entries: dict[str, ImageEntry] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.stem.endswith(RESULT_ENDING) or path.name.startswith("."):
            continue
        name = path.stem.removesuffix(NAME_ENDING)
        if name in entries:
            raise InputError(f"{path} and {entries[name].path.name} have the same name {name}: rename one of them")
        entries[name] = ImageEntry(name, path)
    if not entries:
        raise InputError(f"--image_dir {folder}: no image in it; expected {', '.join(IMAGE_SUFFIXES)}")
    return list(entries.values())


def read_intrinsics(folder: Path, name: str) -> np.ndarray:
    """K (3, 3) from `NAME_K.npy` or `NAME_K.json`. Raises InputError."""
    binary, text = folder / f"{name}_K.npy", folder / f"{name}_K.json"
    if binary.is_file():
        content, source = read_array(binary), binary
    elif text.is_file():
        content, source = read_json(text, "a 3 x 3 matrix"), text
        if isinstance(content, dict):
            content = content.get("K")
    else:
        raise InputError(f"{binary}: no such file, nor {text.name}; expected the camera's 3 x 3 intrinsics in pixels")
    try:
        K = np.array(content)
        K = K.astype(np.float64, casting="same_kind" if K.dtype.kind == "f" else "safe")
    except (TypeError, ValueError, OverflowError):
        K = np.empty(0)
    if K.shape != (3, 3):
        shape = " x ".join(map(str, K.shape)) if K.size else "no matrix"
        raise InputError(f"{source}: holds {shape}, expected 3 x 3")
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0 or not np.allclose(K[2], [0, 0, 1]):
        raise InputError(f"{source}: expected [[fx, s, cx], [0, fy, cy], [0, 0, 1]] with fx, fy above 0, in pixels")
    return K
