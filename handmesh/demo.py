"""The demo phase: a folder of images to hands in camera space, with a picture of each and a page of all."""

import sys
import time
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from handmesh.camera import FROM_FOV, find_camera
from handmesh.drawing.photo import plot_photo
from handmesh.errors import InputError
from handmesh.files import atomic_write
from handmesh.finder import PhotoHand, PhotoPredictor
from handmesh.gallery import GalleryEntry, write_gallery
from handmesh.hand_files import write_hands, write_meshes
from handmesh.image_folder import ImageEntry, list_images
from options import Options
from runner.setup import make_photo_predictor, prepare

JPEG_QUALITY = 92


def demo(options: Options) -> int:
    """Process every image; a bad one is reported and skipped. Returns 0, or 1 if any was skipped."""
    entries = list_images(options.image_root)
    setup = prepare(options)
    predictor = make_photo_predictor(setup)
    folder = options.results_dir
    print(f"weights: {setup.checkpoint.path}")
    predictor.prepare(setup.options.detect)
    pages, skipped = [], []
    started = time.perf_counter()
    for entry in tqdm(entries, unit="image", dynamic_ncols=True):
        try:
            pages.append(process(entry, predictor, folder, setup.options))
        except InputError as error:
            skipped.append(str(error))
            pages.append(GalleryEntry(entry.name, (), warning=f"skipped: {error}"))
    seconds = time.perf_counter() - started
    write_gallery(folder / "index.html", f"Hands in {options.image_root.name}", pages)
    count = sum(len(page.rows) for page in pages)
    print(
        f"{count} hands in {len(entries) - len(skipped)} of {len(entries)} images, {seconds:.1f} s; "
        f"results in {folder}, index.html shows them"
    )
    for page in pages:
        if page.warning and page.files:
            print(f"{page.name}: {page.warning}")
    for message in skipped:
        print(f"skipped: {message}", file=sys.stderr)
    return 1 if skipped else 0


def process(entry: ImageEntry, predictor: PhotoPredictor, folder: Path, options: Options) -> GalleryEntry:
    """Write the files of one image and say what is in them."""
    image = entry.read()
    camera = find_camera(entry.path, entry.name, *image.shape[:2], options.fov)
    length_m = options.hand_length_cm / 100 if options.hand_length_cm else None
    hands = predictor(image, camera, options.detect, options.hand, length_m)
    mesh, document, plot = (folder / f"{entry.name}{ending}" for ending in ("_mesh.ply", "_hands.json", "_plot.jpg"))
    if hands:
        write_meshes(mesh, hands, predictor.faces)
    else:
        mesh.unlink(missing_ok=True)  # of an earlier run with other options
    write_hands(document, entry.path.name, image.shape[:2], hands)
    picture = plot_photo(image, hands, predictor.faces)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    with atomic_write(plot) as file:
        file.write(encoded.tobytes())
    files = (plot.name, document.name, mesh.name) if hands else (plot.name, document.name)
    return GalleryEntry(entry.name, files, tuple(map(_row, hands)), _warning(hands))


def _row(hand: PhotoHand) -> tuple[str, ...]:
    residual = f"{hand.residual_px:.1f} px" if np.isfinite(hand.residual_px) else "no landmark fitted"
    distance = f"{hand.translation_m[2]:.2f} m" + (" (approximate)" if hand.camera.approximate else "")
    return hand.side, f"{hand.confidence:.0%}", distance, residual, hand.camera.source


def _warning(hands: list[PhotoHand]) -> str:
    if not hands:
        return "no hand found"
    warnings = []
    if not all(hand.success for hand in hands):
        warnings.append("position in camera space not reliable")
    if hands[0].camera.source == FROM_FOV and not hands[0].known_size:
        warnings.append("focal length guessed: distances are approximate")
    return "; ".join(warnings)
