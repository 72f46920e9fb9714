"""The files that are written of an image, by name."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from handmesh.drawing.photo import draw_overlay, number_hands, plot_photo
from handmesh.files import atomic_write, remove_matching
from handmesh.glb import write_glb
from handmesh.hand import Hand
from handmesh.hand_files import write_hands, write_mesh
from handmesh.image_folder import ImageEntry

JPEG_QUALITY = 92
DEFAULT_RESULTS = ("plot", "overlay", "mesh", "glb", "json")
Faces = dict[str, np.ndarray]


def write_results(
    save: Sequence[str], folder: Path, entry: ImageEntry, image: np.ndarray, hands: list[Hand], faces: Faces
) -> tuple[str, ...]:
    """Write what was asked for.

    Args:
        save: keys of `RESULTS`.
        folder: where to.
        image: (H, W, 3) RGB uint8, whose hands these are.
        faces: triangles of right and left hands.

    Returns:
        Names of the files, in the order of `RESULTS`.

    Raises:
        InputError: a file cannot be written.
    """
    # An earlier run may have found more hands.
    remove_matching(folder, re.escape(entry.name) + r"(_(left|right)(_\d+)?\.(ply|obj)|\.glb)")
    written: list[str] = []
    for name in RESULTS:
        if name in save:
            written += RESULTS[name](folder, entry, image, hands, faces)
    return tuple(written)


def _write_image(path: Path, image: np.ndarray) -> list[str]:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    encoded = cv2.imencode(path.suffix, bgr, settings)[1]
    with atomic_write(path) as file:
        file.write(encoded.tobytes())
    return [path.name]


def _plot(folder: Path, entry: ImageEntry, image: np.ndarray, hands: list[Hand], faces: Faces) -> list[str]:
    return _write_image(folder / f"{entry.name}_plot.jpg", plot_photo(image, hands, faces))


def _overlay(folder: Path, entry: ImageEntry, image: np.ndarray, hands: list[Hand], faces: Faces) -> list[str]:
    return _write_image(folder / f"{entry.name}_overlay.jpg", draw_overlay(image, hands, faces))


def _mask(folder: Path, entry: ImageEntry, image: np.ndarray, hands: list[Hand], faces: Faces) -> list[str]:
    return _write_image(folder / f"{entry.name}_mask.png", number_hands(image.shape[:2], hands, faces))


def _json(folder: Path, entry: ImageEntry, image: np.ndarray, hands: list[Hand], _faces: Faces) -> list[str]:
    path = folder / f"{entry.name}_hands.json"
    write_hands(path, entry.path.name, image.shape[:2], hands)
    return [path.name]


def _vertices(folder: Path, entry: ImageEntry, image: np.ndarray, hands: list[Hand], faces: Faces) -> list[str]:
    path = folder / f"{entry.name}_vertices.json"
    write_hands(path, entry.path.name, image.shape[:2], hands, faces)
    return [path.name]


def _glb(folder: Path, entry: ImageEntry, _image: np.ndarray, hands: list[Hand], faces: Faces) -> list[str]:
    path = folder / f"{entry.name}.glb"
    write_glb(path, hands, faces)
    return [path.name]


def _meshes(suffix: str) -> Callable[..., list[str]]:
    def write(folder: Path, entry: ImageEntry, _image: np.ndarray, hands: list[Hand], faces: Faces) -> list[str]:
        names: list[str] = []
        for hand in hands:
            number = sum(name.startswith(f"{entry.name}_{hand.side}") for name in names) + 1
            names.append(f"{entry.name}_{hand.side}{f'_{number}' if number > 1 else ''}{suffix}")
            write_mesh(folder / names[-1], hand.vertices_m, faces[hand.side])
        return names

    return write


RESULTS: dict[str, Callable[..., list[str]]] = {
    "plot": _plot,
    "overlay": _overlay,
    "mask": _mask,
    "json": _json,
    "vertices": _vertices,
    "mesh": _meshes(".ply"),
    "obj": _meshes(".obj"),
    "glb": _glb,
}
"""Name of a result and what writes it; the first are shown in the gallery."""
