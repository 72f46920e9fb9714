#!/usr/bin/env python3
"""Write `handmesh/data/hand_model.npz`: the open hand, and how the generator's people hold and build theirs.

python scripts/build_hand_model.py
"""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.synthesis.contact import Settler, capsule_radii  # noqa: E402
from datasets.synthesis.generator import joints_scale, sample_shape  # noqa: E402
from datasets.synthesis.hand import OpenHand, load_open_hand  # noqa: E402
from datasets.synthesis.poses import sample_pose  # noqa: E402
from handmesh.files import atomic_write  # noqa: E402
from handmesh.hand_model import HAND_MODEL  # noqa: E402
from handmesh.skeleton import FREE  # noqa: E402
from utils.template import OPEN_HAND, load_template  # noqa: E402

PEOPLE = 4000  # drawn from the generator
LEAST_SIGMA = {"pose": np.deg2rad(3.0), "shape": 0.05}  # added to their deviations


def people(hand: OpenHand) -> dict[str, np.ndarray]:
    """Angles (N, D) and shapes (N, S) of hands that the generator draws."""
    rng, radii = np.random.default_rng(0), capsule_radii(hand)
    poses, shapes = [], []
    for _ in tqdm(range(PEOPLE), unit="hand", dynamic_ncols=True):
        coefficients, length_m = sample_shape(rng, hand)
        _, joints, tips = hand.shaped(coefficients, length_m)
        settler = Settler(joints, tips, hand.axes, radii * joints_scale(hand, joints))
        poses.append(sample_pose(rng, settler).angles[FREE[:, 0], FREE[:, 1]])
        shapes.append(coefficients)
    return {"pose": np.array(poses), "shape": np.array(shapes)}


def main() -> None:
    hand, template = load_open_hand(), load_template(OPEN_HAND)
    arrays = {
        "vertices": hand.vertices[hand.model_vertices],
        "faces": template.faces[0],
        "joint_regressor": template.joint_regressor,
        "weights": hand.weights[hand.model_vertices],
        "joints": hand.joints,
        "axes": hand.axes,
        "shape_vertices": hand.shape_vertices[:, hand.model_vertices],
        "shape_joints": hand.shape_joints,
        "shape_ranges": hand.shape_ranges,
        "template_digest": np.array(template.digest),
    }
    for name, values in people(hand).items():
        covariance = np.cov(values.T) + LEAST_SIGMA[name] ** 2 * np.eye(values.shape[1])
        arrays |= {f"{name}_mean": values.mean(axis=0), f"{name}_precision": np.linalg.inv(covariance)}
    with atomic_write(HAND_MODEL) as file:
        np.savez_compressed(file, **arrays)
    print(f"{HAND_MODEL}: {HAND_MODEL.stat().st_size >> 10} kB")


if __name__ == "__main__":
    main()
