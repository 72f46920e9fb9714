#!/usr/bin/env python3
"""Fit what the detector, the mobile network, the landmarks and the mesh each say about the side of a hand.

    python scripts/fit_sides.py

Prints weights for `handmesh.finder.SIDE_WEIGHTS`: logistic regression on held-out images of right hands, each seen as a
right and as a left one, and how often they are wrong, cross-validated.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.freihand_rows import read_rows  # noqa: E402
from handmesh import SHIPPED, HandFinder, load  # noqa: E402
from handmesh.errors import without_traceback  # noqa: E402
from handmesh.finder import side_features  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from scripts.logistic import logistic_weights  # noqa: E402

FOLDS = 5


def differences(find: HandFinder, root: Path, count: int) -> np.ndarray:
    """Features (N, 4) of each found hand seen as a right one minus those of the same hand seen as a left one."""
    K = read_rows(root / "evaluation_K.json", (3, 3))
    rows = []
    for index in tqdm(range(min(count or len(K), len(K))), unit="image", dynamic_ncols=True):
        image = read_image(root / f"evaluation/rgb/{index:08d}.jpg")
        seen = {side: find(image, K[index], hand=side) for side in ("right", "left")}
        if seen["right"]:
            rows.append(side_features(seen["right"][0]) - side_features(seen["left"][0]))
    return np.array(rows)


def fit(rows: np.ndarray) -> np.ndarray:
    """Weights (4,) with which the sum of the differences is positive."""
    return logistic_weights(rows, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", type=Path, default=SHIPPED)
    parser.add_argument("--data_dir", type=Path, default=ROOT / "data/Mobile/Synthetic")
    parser.add_argument("--images", type=int, default=0, help="how many held-out images; 0: all")
    arguments = parser.parse_args()
    rows = differences(load(arguments.network), arguments.data_dir, arguments.images)
    fold = np.arange(len(rows)) % FOLDS
    right = np.concatenate([rows[fold == k] @ fit(rows[fold != k]) > 0 for k in range(FOLDS)])
    print("weights of detector, network, clearness, residual:", fit(rows).round(2).tolist())
    print(f"wrong in {1 - right.mean():.1%} of {len(rows)} hands")


if __name__ == "__main__":
    with without_traceback():
        main()
