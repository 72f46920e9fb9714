#!/usr/bin/env python3
"""Measure a network on crops of hands without truth, against the averaged landmarks of MediaPipe's network.

    python scripts/measure_crops.py photos --source letters --calibration data/Mobile/Synthetic

`photos/index.csv` is as of `scripts/label_photos.py`; the rows of `--split` are measured. Counted are the crops on
which MediaPipe's network agrees with itself: how far the joints of the mesh, projected, are from its landmarks moved to
our joints, and whether the sides are the same. Where on the hand its joints are is measured on the evaluation part of
generated data, `--calibration`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.crop_index import Crop, read_crops  # noqa: E402
from datasets.freihand_rows import read_rows  # noqa: E402
from datasets.teacher import as_our_joints, averaged_landmarks, fit_offsets  # noqa: E402
from handmesh import SHIPPED, HandFinder, load  # noqa: E402
from handmesh.errors import without_traceback  # noqa: E402
from handmesh.geometry import project  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from handmesh.joints import NUM_JOINTS  # noqa: E402
from scripts.label_photos import MAX_SPREAD, MIN_PRESENCE, assumed_intrinsics, is_sure  # noqa: E402


def measured_offsets(find: HandFinder, root: Path, count: int = 500) -> np.ndarray:
    """Where MediaPipe's joints are, see `fit_offsets`, from generated images with an evaluation part."""
    K = np.array(read_rows(root / "evaluation_K.json", (3, 3)))[:count]
    joints = np.array(read_rows(root / "evaluation_xyz.json", (NUM_JOINTS, 3)))[:count]
    taught = []
    for index, (one, k) in enumerate(zip(joints, K, strict=True)):
        image = read_image(root / f"evaluation/rgb/{index:08d}.jpg")
        taught.append(averaged_landmarks(find.detector, image, project(one, k)))
    sure = np.array([hand.presence > MIN_PRESENCE and hand.spread < MAX_SPREAD for hand in taught])
    landmarks = np.array([hand.landmarks_px for hand in taught])
    return fit_offsets(landmarks[sure], joints[sure], K[sure])


def measure(find: HandFinder, crops: list[Crop], offsets: np.ndarray) -> None:
    """Print what was measured of crops."""
    distances, other_side, lost = [], [], []
    for crop in tqdm(crops, unit="photo", dynamic_ncols=True):
        image = read_image(crop.path)
        taught = averaged_landmarks(find.detector, image, crop.landmarks_px)
        if not is_sure(taught):
            continue
        K = assumed_intrinsics(*image.shape[:2])
        hands = find(image, K)
        if not hands:
            lost.append(str(crop.path))
            continue
        hand = min(hands, key=lambda one: np.linalg.norm(one.joints_px - taught.landmarks_px))
        if (hand.side == "right") != (taught.right > 0.5):
            other_side.append(f"{crop.path} {hand.side_probability:.2f}")
        wanted = as_our_joints(taught.landmarks_px[None], offsets, hand.joints_m[None], K[None])[0]
        size = np.ptp(taught.landmarks_px, axis=0).max()
        distances.append(np.linalg.norm(hand.joints_px - wanted, axis=1).mean() / size)
    counted = len(distances) + len(lost)
    print(f"{len(crops)} crops, MediaPipe's network agrees with itself on {counted}; {len(lost)} hands not found")
    middle, high = np.percentile(distances, [50, 95])
    spread = f"mean {np.mean(distances):.1%} median {middle:.1%} 95 % {high:.1%}"
    print(f"joints from its landmarks: {spread} of the hand's box")
    print(f"sides as it says in {1 - len(other_side) / len(distances):.1%}; not in {', '.join(other_side) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with index.csv and crops")
    parser.add_argument("--source", help="of the index; all without")
    parser.add_argument("--split", default="test", help="of the index")
    parser.add_argument("--calibration", type=Path, required=True, help="generated data with an evaluation part")
    parser.add_argument("--network", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    crops = read_crops(arguments.photos, arguments.split, arguments.source)
    find = load(arguments.network)
    measure(find, crops, measured_offsets(find, arguments.calibration))


if __name__ == "__main__":
    with without_traceback():
        main()
