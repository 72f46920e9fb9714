"""The demo phase: a folder of images to meshes in camera space, with a picture of each."""

import sys
import time
from pathlib import Path

import cv2
import trimesh
from tqdm import tqdm

from datasets.image_folder import ImageEntry, list_images
from models.predictor import HandPredictor
from models.registration import MIN_CONFIDENCE
from options import Options
from runner.setup import make_predictor, prepare
from utils.errors import InputError
from utils.files import atomic_write
from utils.result_plot import plot_result

JPEG_QUALITY = 92


def demo(options: Options) -> int:
    """Process every image; a bad one is reported and skipped. Returns 0, or 1 if any was skipped."""
    entries = list_images(options.image_root)
    setup = prepare(options)
    predictor = make_predictor(setup)
    folder = options.results_dir
    skipped, unreliable = [], []
    started = time.perf_counter()
    for entry in tqdm(entries, unit="image", dynamic_ncols=True):
        try:
            if not process(entry, predictor, folder):
                unreliable.append(entry.name)
        except InputError as error:
            skipped.append(str(error))
    seconds = time.perf_counter() - started
    print(f"{len(entries) - len(skipped)} of {len(entries)} images in {seconds:.1f} s, results in {folder}")
    if unreliable:
        print(f"position in camera space not reliable: {', '.join(unreliable)}")
    for message in skipped:
        print(f"skipped: {message}", file=sys.stderr)
    return 1 if skipped else 0


def process(entry: ImageEntry, predictor: HandPredictor, folder: Path) -> bool:
    """Write `NAME_mesh.ply` and `NAME_plot.jpg` of one image; returns whether the registration succeeded."""
    image, K = entry.read()
    crop, crop_K = predictor.fit(image, K)
    hands = predictor(crop, crop_K)
    faces = predictor.template.faces[0]
    mesh = trimesh.Trimesh(hands.vertices_m[0], faces, process=False)
    with atomic_write(folder / f"{entry.name}_mesh.ply") as file:
        file.write(mesh.export(file_type="ply"))
    sheet = plot_result(
        crop,
        crop_K,
        hands.vertices_m[0],
        hands.joints_m[0],
        faces,
        hands.landmarks_px[0],
        hands.confidence[0] > MIN_CONFIDENCE,
        hands.silhouette[0],
    )
    bgr = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    with atomic_write(folder / f"{entry.name}_plot.jpg") as file:
        file.write(encoded.tobytes())
    return bool(hands.success[0])
