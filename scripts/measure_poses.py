#!/usr/bin/env python3
"""Measure the poses behind meshes on clips with the truth in every frame: joint angles, their standard deviations, and
how near the fitted hand is, beside the network's mesh.

    python run.py --phase synth --clips 50 --data_dir data/Clips
    python scripts/measure_poses.py data/Clips/clips

A finger is seen where its landmarks are clear on average. Factors by which deviations would have to be multiplied are
found on half of the clips and tried on the others.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from handmesh import SHIPPED, Hand, load  # noqa: E402
from handmesh.errors import without_traceback  # noqa: E402
from handmesh.geometry import project  # noqa: E402
from handmesh.images import files_in  # noqa: E402
from handmesh.intrinsics import read_intrinsics  # noqa: E402
from handmesh.skeleton import ANGLE_NAMES, FINGERS, FREE, LIMITS  # noqa: E402
from handmesh.video import VideoFile  # noqa: E402
from utils.metrics import aligned_error_mm  # noqa: E402

FRAME_STEP = 3  # neighbours look alike
CLEAR = 0.5  # mean confidence of the landmarks of a finger that is seen
FINGER = np.array([FINGERS.index(name.partition("_")[0]) for name in ANGLE_NAMES])
JOINT = np.array([name.partition("_")[2] for name in ANGLE_NAMES])
LOW, HIGH = LIMITS[FREE[:, 0], FREE[:, 1]].T
ONE_DEVIATION, TWO_DEVIATIONS = 0.6827, 0.9545  # shares of a normal distribution


def measured(hand: Hand, joints_m: np.ndarray, angles: np.ndarray) -> dict[str, np.ndarray | float]:
    """What is off of a hand, radians, millimetres and pixels; the truth is joints (21, 3) and angles (D,)."""
    pose, wanted_px = hand.pose, project(joints_m, hand.camera.K)
    clear = hand.landmark_confidence[1:].reshape(len(FINGERS), -1).mean(axis=1) > CLEAR
    own_px = project(pose.joints_m, hand.camera.K)
    return {
        "off": pose.angles - angles,
        "deviations": pose.angle_deviations,
        "seen": clear[FINGER],
        "outside": int(((pose.angles < LOW) | (pose.angles > HIGH)).sum()),
        "mesh_mm": aligned_error_mm(joints_m, hand.joints_m),
        "pose_mm": aligned_error_mm(joints_m, pose.joints_m),
        "landmarks_px": np.linalg.norm(hand.landmarks_px - wanted_px, axis=1).mean(),
        "mesh_px": np.linalg.norm(hand.joints_px - wanted_px, axis=1).mean(),
        "pose_px": np.linalg.norm(own_px - wanted_px, axis=1).mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--network", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    find, rows, half = load(arguments.network), [], []
    for number, path in enumerate(tqdm(files_in(arguments.clips, (".mp4",)), unit="clip", dynamic_ncols=True)):
        with np.load(path.with_name(f"{path.stem}_truth.npz")) as arrays:
            truth = list(zip(arrays["joints_m"], arrays["angles"], strict=True))
        for frame, (joints_m, angles) in list(zip(VideoFile(path), truth, strict=True))[::FRAME_STEP]:
            K = read_intrinsics(path.with_name(f"{path.stem}_K.json"), *frame.image.shape[:2])
            for hand in find(frame.image, K, hand="right")[:1]:
                rows.append(measured(hand, joints_m, angles))
                half.append(number % 2)

    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    report(values, np.array(half))


def report(values: dict[str, np.ndarray], half: np.ndarray) -> None:
    """Print it all; `half` (N,) says of each hand with which clips it goes."""
    off_deg, seen = np.abs(np.rad2deg(values["off"])), values["seen"]
    print(f"{len(half)} hands, {values['outside'].sum()} angles outside of their limits")
    print(f"angles off, median: {np.median(off_deg[seen]):.2f} deg of seen fingers, {np.median(off_deg):.2f} of all")
    print(
        *(f"joints after alignment, {name}: {values[name + '_mm'].mean():.2f} mm" for name in ("mesh", "pose")),
        sep="\n",
    )
    print(*(f"2D, {name}: {values[name + '_px'].mean():.2f} px" for name in ("landmarks", "mesh", "pose")), sep="\n")
    ratio = np.abs(values["off"]) / values["deviations"]
    shares = " and ".join(f"{(ratio < number).mean():.1%}" for number in (1, 2))
    print(f"within one and two standard deviations: {shares}")
    print("by kind: deg off, median; factor of the deviations by each half of the clips, and what it does to the other")
    for joint in dict.fromkeys(JOINT):
        columns = joint == JOINT
        print(f"  {joint:14} {np.median(off_deg[:, columns]):5.2f}", end="")
        for part in (0, 1):
            fitted, others = (ratio[np.ix_(chosen, columns)] for chosen in (half == part, half != part))
            factor = (np.quantile(fitted, ONE_DEVIATION) + np.quantile(fitted, TWO_DEVIATIONS) / 2) / 2
            print(f"  {factor:.2f}:", *(f"{(others < number * factor).mean():.1%}" for number in (1, 2)), end="")
        print()


if __name__ == "__main__":
    with without_traceback():
        main()
