#!/usr/bin/env python3
"""Measure a network on photos whose joints are known in 3D.

    python scripts/measure_photos.py photos/ge_dev
    python scripts/measure_photos.py photos/ge_dev --predictions mediapipe.npz

`photos/ge_dev/labels.npz` has `names` of the images, `K` (N, 3, 3) and `xyz` (N, 21, 3), camera space, metres.
`--predictions` measures what another program said, as `scripts/compare_mediapipe.py` writes it.

Errors are of the joints after alignment. `corrected` is without what two definitions of the joints differ by: a
constant offset of each joint in the palm's frame, fitted on four fifths of the photos and applied to the fifth. Depth
is that of hands of which a length is given: from the wrist to the middle finger's tip, or of four fingers from the
knuckles.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from handmesh import SHIPPED, HandFinder, load  # noqa: E402
from handmesh.errors import without_traceback  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from handmesh.joints import hand_length, palm_frames  # noqa: E402
from utils.metrics import aligned_error_mm, fit_similarity, point_errors  # noqa: E402

FOLDS = 5
FAR_MM = 12.0


def predict(find: HandFinder, folder: Path, names: np.ndarray, K: np.ndarray) -> dict[str, np.ndarray]:
    """The first hand of each photo: `found` (N,), and of these `xyz`, camera space, `side`; `seconds` (N,)."""
    found, xyz, side, seconds = [], [], [], []
    for name, k in zip(tqdm(names, unit="photo", dynamic_ncols=True), K, strict=True):
        image = read_image(folder / str(name))
        started = time.perf_counter()
        hands = find(image, k)
        seconds.append(time.perf_counter() - started)
        found.append(bool(hands))
        if hands:
            xyz.append(hands[0].joints_m)
            side.append(hands[0].side)
    return {"found": np.array(found), "xyz": np.array(xyz), "side": np.array(side), "seconds": np.array(seconds)}


def in_other_definition(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Joints (N, 21, 3) of hands, camera space, moved to where those of the truth are on a hand: by a constant offset
    of each in the palm's frame, fitted on the other photos."""
    aligned = np.array([fit_similarity(truth, one)[1] for truth, one in zip(expected, found, strict=True)])
    offsets = np.linalg.solve(palm_frames(aligned)[:, None], (expected - aligned)[..., None])[..., 0]
    moved = np.empty_like(found)
    for fold in np.array_split(np.arange(len(found)), FOLDS):
        mean = np.delete(offsets, fold, axis=0).mean(axis=0)
        moved[fold] = found[fold] + np.einsum("nij,pj->npi", palm_frames(found[fold]), mean)
    return moved


def finger_length(joints: np.ndarray) -> float:
    """Sum of the bones of four fingers, without the thumb, from the knuckles, of joints (21, 3)."""
    fingers = joints[1:].reshape(5, 4, 3)[1:]
    return float(np.linalg.norm(np.diff(fingers, axis=1), axis=2).sum())


def report(expected: np.ndarray, predicted: dict[str, np.ndarray], names: np.ndarray) -> None:
    """Print what was measured; `expected` (N, 21, 3) of all photos."""
    found = predicted["found"]
    truth, xyz = expected[found], predicted["xyz"]
    sides, counts = np.unique(predicted["side"], return_counts=True)
    told = ", ".join(f"{count} {side}" for side, count in zip(sides, counts, strict=True))
    print(f"found in {found.sum()} of {len(found)} photos: {told}")
    moved = in_other_definition(truth, xyz)
    raw, corrected = (np.array(list(map(aligned_error_mm, truth, joints))) for joints in (xyz, moved))
    errors = {"aligned": raw, "aligned, corrected": corrected}
    if "in_camera" not in predicted or predicted["in_camera"]:
        errors["in camera space"] = 1000 * point_errors(truth, xyz).mean(axis=1)
        ways = (("hand", xyz, hand_length), ("hand, corrected", moved, hand_length), ("fingers", xyz, finger_length))
        for name, joints, length in ways:
            scale = np.array([length(one) / length(other) for one, other in zip(truth, joints, strict=True)])
            depth = scale * joints[..., 2].mean(axis=1) / truth[..., 2].mean(axis=1) - 1
            off = f"{100 * np.median(depth):+.1f} %, {100 * np.median(abs(depth)):.1f} % without the sign"
            print(f"depth off, length of {name} given, in the median: {off}")
    for name, values in errors.items():
        middle, high = np.percentile(values, [50, 95])
        print(f"{name:20} mean {values.mean():5.2f} median {middle:5.2f} 95 % {high:5.2f} mm")
    seconds = 1000 * predicted["seconds"]
    print(f"{np.median(seconds):.0f} ms in the median, {np.percentile(seconds, 95):.0f} ms in the 95th percentile")
    far = np.flatnonzero(raw > FAR_MM)
    worst = sorted(far, key=lambda index: -raw[index])
    print(f"above {FAR_MM:g} mm:", ", ".join(f"{names[found][index]} {raw[index]:.1f}" for index in worst) or "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--network", type=Path, default=SHIPPED)
    parser.add_argument("--predictions", type=Path, help="of another program, instead of a network's")
    arguments = parser.parse_args()
    labels = np.load(arguments.photos / "labels.npz")
    if arguments.predictions is None:
        predicted = predict(load(arguments.network), arguments.photos, labels["names"], labels["K"])
    else:
        predicted = dict(np.load(arguments.predictions))
    report(labels["xyz"], predicted, labels["names"])


if __name__ == "__main__":
    with without_traceback():
        main()
