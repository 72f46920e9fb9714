#!/usr/bin/env python3
"""Measure tracking on clips with the truth in every frame, beside each frame by itself.

    python run.py --phase synth --clips 50 --data_dir data/Clips
    python scripts/measure_clips.py data/Clips/clips

Acceleration errors are the mean distance of second differences of the joints from those of the truth, in mm a frame
squared; the lag of the filter is the shift in time at which the joints fit the truth best.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from handmesh import SHIPPED, HandFinder, Tracker, load  # noqa: E402
from handmesh.errors import without_traceback  # noqa: E402
from handmesh.images import files_in  # noqa: E402
from handmesh.intrinsics import read_intrinsics  # noqa: E402
from handmesh.joints import hand_length  # noqa: E402
from handmesh.tracking import whole_tracks  # noqa: E402
from handmesh.video import VideoFile  # noqa: E402
from utils.metrics import aligned_error_mm, point_errors  # noqa: E402

SINGLE = "frame by frame"
WAYS = (SINGLE, "tracked", "live", "whole")  # the last two smoothed, live as of a camera, whole as of a file
LAGS_S = np.arange(-0.05, 0.15, 0.005)


def follow(
    find: HandFinder, path: Path, way: str, length_m: float | None
) -> tuple[np.ndarray, list[tuple[int, str]], float]:
    """Joints (T, 21, 3), not a number where no hand was found, number and side of the hand in each frame, and seconds.

    Args:
        way: one of `WAYS`.
        length_m: of the hand, where that is given.
    """
    K, tracker = None, None
    found, seconds = [], 0.0
    for frame in VideoFile(path):
        if K is None:
            K = read_intrinsics(path.with_name(f"{path.stem}_K.json"), *frame.image.shape[:2])
            tracker = Tracker(find, K, way == "live", length_m)
        started = time.perf_counter()
        if way == SINGLE:
            found.append(find(frame.image, K, hand_length_m=length_m))
        else:
            found.append(tracker.update(frame.image, frame.time_s))
        seconds += time.perf_counter() - started
    if way == "whole":
        started = time.perf_counter()
        found = whole_tracks(found)
        seconds += time.perf_counter() - started
    joints = [hands[0].joints_m if hands else np.full((21, 3), np.nan) for hands in found]
    names = [(0 if way == SINGLE else hands[0].track, hands[0].side) for hands in found if hands]
    return np.array(joints), names, seconds


def acceleration_mm(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Errors (T - 2, 21) of the second differences, mm."""
    return 1000 * np.linalg.norm(np.diff(joints - truth, 2, axis=0), axis=-1)


def lag_s(joints: np.ndarray, truth: np.ndarray, times: np.ndarray) -> float:
    """By how much the movement of the joints is later than that of the truth."""
    flat, seen = truth.reshape(len(truth), -1), joints.reshape(len(joints), -1)
    inside = (times > times[0] + LAGS_S[-1]) & (times < times[-1] + LAGS_S[0]) & np.isfinite(seen).all(axis=1)
    errors = []
    for lag in LAGS_S:
        moved = np.stack([np.interp(times[inside] - lag, times, column) for column in flat.T], axis=1)
        off = seen[inside] - moved
        errors.append(np.square(off - off.mean(axis=0)).sum())
    return float(LAGS_S[np.argmin(errors)])


def report(find: HandFinder, clips: list[Path], way: str, length_given: bool, seen: dict[Path, np.ndarray]) -> None:
    """Print what was measured of one way to see the clips; `seen` (T,) of each: frames to compare all ways in, those in
    which the first way finds the hand."""
    rows: dict[str, list] = {key: [] for key in ("joints", "wrist", "lag", "aligned", "camera")}
    lost, switches, sides, frames, seconds = 0, 0, 0, 0, 0.0
    for path in tqdm(clips, unit="clip", desc=way, dynamic_ncols=True):
        with np.load(path.with_name(f"{path.stem}_truth.npz")) as arrays:
            truth, times = arrays["joints_m"], arrays["time_s"]
        joints, names, passed = follow(find, path, way, hand_length(truth[0]) if length_given else None)
        there = np.isfinite(joints[:, 0, 0])
        lost, frames, seconds = lost + int((~there).sum()), frames + len(truth), seconds + passed
        switches += sum(one[0] != two[0] for one, two in zip(names[1:], names, strict=False))
        sides += sum(one[1] != two[1] for one, two in zip(names[1:], names, strict=False))
        off = acceleration_mm(joints, truth)
        rows["joints"] += off[np.isfinite(off).all(axis=1)].mean(axis=1).tolist()
        rows["wrist"] += off[np.isfinite(off).all(axis=1), 0].tolist()
        both = there & seen.setdefault(path, there)
        pairs = zip(truth[both], joints[both], strict=True)
        rows["aligned"] += [aligned_error_mm(one, two) for one, two in pairs]
        rows["camera"] += (1000 * point_errors(truth[both], joints[both]).mean(axis=1)).tolist()
        if there.sum() > len(times) / 2:
            rows["lag"].append(1000 * lag_s(joints, truth, times))
    mean = {key: np.mean(values) for key, values in rows.items()}
    print(f"{way}: {frames / seconds:.1f} frames/s, {lost} of {frames} frames without a hand")
    print(f"  {switches} switches of identity, {sides} of side; lag {mean['lag']:.0f} ms")
    print(f"  acceleration error: joints {mean['joints']:.2f}, wrist {mean['wrist']:.2f} mm a frame squared")
    print(f"  joints after alignment {mean['aligned']:.2f} mm, in camera space {mean['camera']:.1f} mm")
    print(f"    in {len(rows['camera'])} frames in which the hand is found frame by frame, too")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--network", type=Path, default=SHIPPED)
    parser.add_argument("--length_given", action="store_true", help="tell the length of each hand")
    arguments = parser.parse_args()
    find, clips = load(arguments.network), files_in(arguments.clips, (".mp4",))
    seen: dict[Path, np.ndarray] = {}
    for way in WAYS:
        report(find, clips, way, arguments.length_given, seen)


if __name__ == "__main__":
    with without_traceback():
        main()
