"""A folder of images to hands in camera space, with a picture of each and a page of all."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from handmesh.camera import DEFAULT_FOV_DEGREES, FROM_FOV, find_camera
from handmesh.drawing.photo import plot_photo
from handmesh.errors import InputError
from handmesh.files import atomic_write
from handmesh.finder import HandFinder
from handmesh.gallery import GalleryEntry, write_gallery
from handmesh.hand import Hand
from handmesh.hand_files import write_hands, write_meshes
from handmesh.image_folder import ImageEntry, list_images

JPEG_QUALITY = 92


@dataclass(frozen=True)
class DemoSettings:
    """How the images are looked at; see `HandFinder`.

    Attributes:
        detect, hand: as of `HandFinder`.
        fov_degrees: across the longer side, where neither a file nor EXIF data says more.
        hand_length_m: from the wrist to the middle finger's tip; None: not known.
    """

    detect: str | None = None
    hand: str = "auto"
    fov_degrees: float = DEFAULT_FOV_DEGREES
    hand_length_m: float | None = None


def run_folder(find: HandFinder, images: Path, results: Path, settings: DemoSettings) -> int:
    """Process every image of a folder; a bad one is reported and skipped.

    Returns:
        The exit status: 0, or 1 if any was skipped.

    Raises:
        InputError: there is no image, or the results cannot be written.
    """
    entries = list_images(images)
    pages, skipped = [], []
    started = time.perf_counter()
    for entry in tqdm(entries, unit="image", dynamic_ncols=True):
        try:
            pages.append(process(entry, find, results, settings))
        except InputError as error:
            skipped.append(str(error))
            pages.append(GalleryEntry(entry.name, (), warning=f"skipped: {error}"))
    seconds = time.perf_counter() - started
    write_gallery(results / "index.html", f"Hands in {images.name}", pages)
    count = sum(len(page.rows) for page in pages)
    print(
        f"{count} hands in {len(entries) - len(skipped)} of {len(entries)} images, {seconds:.1f} s; "
        f"results in {results}, index.html shows them"
    )
    for page in pages:
        if page.warning and page.files:
            print(f"{page.name}: {page.warning}")
    for message in skipped:
        print(f"skipped: {message}", file=sys.stderr)
    return 1 if skipped else 0


def process(entry: ImageEntry, find: HandFinder, folder: Path, settings: DemoSettings) -> GalleryEntry:
    """Write the files of one image and say what is in them. Raises InputError."""
    image = entry.read()
    camera = find_camera(entry.path, entry.name, *image.shape[:2], settings.fov_degrees)
    hands = find(image, camera, settings.detect, settings.hand, settings.hand_length_m)
    mesh, document, plot = (folder / f"{entry.name}{ending}" for ending in ("_mesh.ply", "_hands.json", "_plot.jpg"))
    if hands:
        write_meshes(mesh, hands, find.faces)
    else:
        mesh.unlink(missing_ok=True)  # of an earlier run with other settings
    write_hands(document, entry.path.name, image.shape[:2], hands)
    picture = plot_photo(image, hands, find.faces)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    with atomic_write(plot) as file:
        file.write(encoded.tobytes())
    files = (plot.name, document.name, mesh.name) if hands else (plot.name, document.name)
    return GalleryEntry(entry.name, files, tuple(map(_row, hands)), _warning(hands))


def _row(hand: Hand) -> tuple[str, ...]:
    residual = f"{hand.residual_px:.1f} px" if np.isfinite(hand.residual_px) else "no landmark fitted"
    distance = f"{hand.translation_m[2]:.2f} m" + (" (approximate)" if hand.camera.approximate else "")
    return hand.side, f"{hand.confidence:.0%}", distance, residual, hand.camera.source


def _warning(hands: list[Hand]) -> str:
    if not hands:
        return "no hand found"
    warnings = []
    if not all(hand.success for hand in hands):
        warnings.append("position in camera space not reliable")
    if hands[0].camera.source == FROM_FOV and not hands[0].known_size:
        warnings.append("focal length guessed: distances are approximate")
    return "; ".join(warnings)
