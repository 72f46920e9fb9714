#!/usr/bin/env python3
"""Measure a trained mobile network on held-out images, calibrate its confidence, and pack its weights.

    python scripts/ship_mobile.py out/Synthetic+Keypoints/mobile/checkpoints/checkpoint_last.pt

Of several checkpoints, one trained from the other, it takes the mean of the weights. Writes half-precision weights with
the calibration to `weights/cmr_mobile.pt`, and the network to `handmesh/data/cmr_mobile.onnx`. Half of the images
calibrate, the other half say how good that is; both are counted in the errors, which do not depend on it.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.freihand_rows import read_rows  # noqa: E402
from handmesh import SHIPPED, HandFinder, load  # noqa: E402
from handmesh.confidence import Calibration, confidence_features  # noqa: E402
from handmesh.errors import without_traceback  # noqa: E402
from handmesh.files import atomic_write, read_json  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from handmesh.joints import NUM_JOINTS, hand_length  # noqa: E402
from models.checkpoint import model_from_checkpoint, read_checkpoint  # noqa: E402
from models.export import export_network  # noqa: E402
from models.weight_file import read_weight_file  # noqa: E402
from scripts.checksums import write_checksums  # noqa: E402
from scripts.logistic import deviation_weights, logistic_weights  # noqa: E402
from utils.metrics import aligned_error_mm, point_errors  # noqa: E402
from utils.template import load_template  # noqa: E402

WEIGHTS = ROOT / "weights/cmr_mobile.pt"
KEPT_OPTIONS = ("size", "img_mean", "img_std", "model", "backbone", "template", "out_channels")
LONG_M = 0.16  # from the wrist along the bones to the middle finger's tip: hardly any child's


def measure(find: HandFinder, root: Path, count: int) -> dict[str, np.ndarray]:
    """Of the held-out images in which a hand was found: its kind, features of the confidence, mean errors of the joints
    (aligned, in camera space, and there with the hand's length given), depth of the wrist over the true one minus 1,
    also with the length given, whether it was taken for a right hand, whether it is long. Of all: seconds."""
    K, joints = read_rows(root / "evaluation_K.json", (3, 3)), read_rows(root / "evaluation_xyz.json", (NUM_JOINTS, 3))
    kinds = read_json(root / "evaluation_kind.json", "what each held-out image shows, as the generator writes it")
    rows: dict[str, list] = defaultdict(list)
    count = min(count or len(K), len(K))
    for index in tqdm(range(count), unit="image", dynamic_ncols=True):
        image = read_image(root / f"evaluation/rgb/{index:08d}.jpg")
        started = time.perf_counter()
        hands = find(image, K[index])
        rows["seconds"].append(time.perf_counter() - started)
        if not hands:
            continue
        hand = hands[0]
        rows["kind"].append(kinds[index])
        rows["features"].append(confidence_features(hand.residual_px, hand.landmark_confidence))
        rows["aligned_mm"].append(aligned_error_mm(joints[index], hand.joints_m))
        rows["camera_mm"].append(1000 * point_errors(joints[index], hand.joints_m).mean())
        length_m = hand_length(joints[index])
        sized = hand.joints_m * (length_m / hand_length(hand.joints_m))
        rows["known_length_mm"].append(1000 * point_errors(joints[index], sized).mean())
        for name, found in (("depth", hand.joints_m), ("known_depth", sized)):
            rows[name].append(found[0, 2] / joints[index, 0, 2] - 1)
        rows["long"].append(length_m > LONG_M)
        rows["right"].append(hand.side == "right")
    return {name: np.array(values) for name, values in rows.items()} | {"images": np.array(count)}


def calibrate(found: dict[str, np.ndarray], good: np.ndarray, good_mm: float) -> Calibration:
    """Logistic regression of whether a hand is good, and the deviation of its depth; the first feature is constant."""
    features = found["features"]
    weights = logistic_weights(features, good, spared=1)
    depths = (deviation_weights(features, found[name]) for name in ("depth", "known_depth"))
    return Calibration(tuple(map(float, weights)), good_mm, *(tuple(map(float, one)) for one in depths))


def calibration_error(calibration: Calibration, features: np.ndarray, good: np.ndarray, bins: int = 8) -> float:
    """Mean difference between the stated probability and how often it was true, over groups of equal size."""
    stated = 1 / (1 + np.exp(-features @ np.array(calibration.weights)))
    groups = np.array_split(np.argsort(stated), bins)
    return float(np.mean([abs(stated[group].mean() - good[group].mean()) for group in groups]))


def mean_of(checkpoints: Sequence[Path]) -> dict:
    """The last checkpoint's content with the mean of all weights."""
    contents = [read_weight_file(path) for path in checkpoints]
    weights = [content["model_state_dict"] for content in contents]
    mean = {
        name: torch.stack([one[name] for one in weights]).mean(dim=0) if value.is_floating_point() else value
        for name, value in weights[-1].items()
    }
    return contents[-1] | {"model_state_dict": mean}


def packed(content: dict, calibration: Calibration) -> dict:
    """The content of a checkpoint as it is shipped: weights in half precision, and what is needed to use them."""
    return {
        "model_state_dict": {
            name: value.half() if value.is_floating_point() else value
            for name, value in content["model_state_dict"].items()
        },
        "options": {name: content["options"][name] for name in KEPT_OPTIONS},
        "template_digest": content["template_digest"],
        "calibration": asdict(calibration),
    }


def write_both(content: dict, weights: Path, network: Path, calibration: Calibration) -> None:
    """Write a checkpoint as it is shipped, for PyTorch and as an ONNX file."""
    with atomic_write(weights) as file:
        torch.save(packed(content, calibration), file)
    checkpoint = read_checkpoint(weights)
    options = content["options"]
    template = load_template(options["template"])
    model = model_from_checkpoint(checkpoint, template)
    image = {"size": options["size"], "mean": options["img_mean"], "std": options["img_std"]}
    export_network(model, template, network, **image, calibration=calibration)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="checkpoint")
    parser.add_argument("--data_dir", type=Path, default=ROOT / "data/Mobile/Synthetic")
    parser.add_argument("--images", type=int, default=0, help="how many held-out images; 0: all")
    parser.add_argument("--good_mm", type=float, default=10.0)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="checkpoint to write")
    parser.add_argument("--network", type=Path, default=SHIPPED, help="ONNX file to write")
    arguments = parser.parse_args()
    content = mean_of(arguments.checkpoints)
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "mean.onnx"
        write_both(content, Path(folder) / "mean.pt", network, Calibration())
        find = load(network)
    found = measure(find, arguments.data_dir, arguments.images)
    errors, good = found["aligned_mm"], found["aligned_mm"] < arguments.good_mm
    share = len(errors) / found["images"]
    print(f"hand found in {share:.1%} of {found['images']} images, a right one in {found['right'].mean():.1%} of these")
    groups = {"all": np.ones(len(errors), bool), "taken for right hands": found["right"], "long hands": found["long"]}
    for name in ("aligned_mm", "camera_mm", "known_length_mm"):
        for group, chosen in groups.items():
            values = found[name][chosen]
            if len(values):
                print(f"{name:16} {group:22} mean {values.mean():6.2f} median {np.median(values):6.2f} ({len(values)})")
    for name in np.unique(found["kind"]):
        chosen = (found["kind"] == name).any(axis=1)
        values, told = errors[chosen], f"right {found['right'][chosen].mean():.1%}"
        print(f"{name:10} {len(values):5} mean {values.mean():5.2f} median {np.median(values):5.2f} {told}")
    print(f"{1000 * np.median(found['seconds']):.1f} ms an image")
    features, even = found["features"], np.arange(len(good)) % 2 == 0
    rows = {name: values[even] for name, values in found.items() if name in ("features", "depth", "known_depth")}
    calibration = calibrate(rows, good[even], arguments.good_mm)
    error = calibration_error(calibration, features[~even], good[~even])
    for name in ("depth", "known_depth"):
        weights = getattr(calibration, f"{name}_weights")
        off, deviation = found[name][~even], np.exp(features[~even] @ np.array(weights))
        inside = ", ".join(f"{np.mean(abs(off) < count * deviation):.0%} within {count}" for count in (1, 2))
        print(
            f"{name:16} off by {np.median(off):+.1%}, {np.median(abs(off)):.1%} without the sign (medians); "
            f"deviation {np.median(deviation):.1%} in the median, {inside} of them"
        )
    print(f"good (below {arguments.good_mm:g} mm): {good.mean():.1%}; confidence off by {error:.1%} on the other half")
    write_both(content, arguments.weights, arguments.network, calibration)
    write_checksums()
    for path in (arguments.weights, arguments.network):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    with without_traceback():
        main()
