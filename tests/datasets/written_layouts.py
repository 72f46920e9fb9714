"""A few rendered hands in the layouts of RHD and HO-3D, and as own photographs."""

import json
import pickle
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from datasets.ho3d import HO3D_TO_FREIHAND, OPENGL_TO_CAMERA
from datasets.rhd import RHD_TO_FREIHAND
from handmesh.geometry import project
from tests.rendered_freihand import place_hand, render
from utils.template import Template


class Hand(NamedTuple):
    """Image (224, 224, 3), mask (224, 224), mesh (V, 3) and joints (21, 3) in the frame of the camera, and K."""

    image: np.ndarray
    mask: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    K: np.ndarray


def hands(template: Template, count: int, seed: int = 0) -> list[Hand]:
    rng = np.random.default_rng(seed)
    placed = [place_hand(template, rng) for _ in range(count)]
    return [Hand(*render(v, K, template, rng), v, template.joint_regressor @ v, K) for v, K in placed]


def write_rhd(root: Path, shown: list[Hand]) -> None:
    """Each image has a right hand, and what a mirror beside it would show as its left one."""
    for folder in ("color", "mask"):
        (root / "training" / folder).mkdir(parents=True)
    order = np.argsort(RHD_TO_FREIHAND)
    annotations = {}
    for number, hand in enumerate(shown):
        image, mask = np.zeros((320, 320, 3), np.uint8), np.ones((320, 320), np.uint8)
        image[:224, 96:], mask[:224, 96:] = hand.image, np.where(hand.mask > 0, 18 + number % 16, 0)
        K = hand.K + np.array([[0, 0, 96], [0, 0, 0], [0, 0, 0]])
        both = np.concatenate([(hand.joints * [-1, 1, 1])[order], hand.joints[order]])
        points = project(both, K)
        visible = ((points >= 0) & (points < 320)).all(axis=1) & (np.arange(42) >= (0 if number == 0 else 21))
        if number == 0:  # the left hand of the first image, instead of its right one
            image, mask, visible = image[:, ::-1], mask[:, ::-1], np.arange(42) < 21
            mask = np.where(mask >= 18, mask - 16, mask)
            K[0, 2] = 319 - K[0, 2]
            points = project(both, K)
        cv2.imwrite(str(root / f"training/color/{number:05d}.png"), image[..., ::-1])
        cv2.imwrite(str(root / f"training/mask/{number:05d}.png"), mask)
        annotations[number] = {
            "K": K.astype(np.float32),
            "xyz": both.astype(np.float32),
            "uv_vis": np.column_stack([points, visible]).astype(np.float32),
        }
    (root / "training/anno_training.pickle").write_bytes(pickle.dumps(annotations, protocol=2))


def write_ho3d(root: Path, shown: list[Hand], suffix: str) -> None:
    """The last frame is not annotated."""
    order = np.argsort(HO3D_TO_FREIHAND)
    lines = []
    for number, hand in enumerate(shown):
        sequence, frame = f"ABF1{number % 2}", f"{number:04d}"
        folder = root / "train" / sequence
        for part in ("rgb", "meta"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "rgb" / f"{frame}{suffix}"), hand.image[..., ::-1])
        annotated = number < len(shown) - 1
        content = {
            "camMat": hand.K,
            "handJoints3D": (hand.joints * OPENGL_TO_CAMERA)[order] if annotated else None,
            "handPose": np.zeros(48) if annotated else None,
            "objName": "021_bleach_cleanser",
        }
        (folder / "meta" / f"{frame}.pkl").write_bytes(pickle.dumps(content, protocol=2))
        lines.append(f"{sequence}/{frame}")
    (root / "train.txt").write_text("\n".join(lines) + "\n")


def write_keypoints(root: Path, shown: list[Hand], entries: list[dict]) -> list[dict]:
    """Photographs 300 wide and 260 high, JPEG and PNG in folders of their own; returns the entries with their images.

    Args:
        entries: what else to say of each hand; `mask`, if true, becomes the name of one.
    """
    written = []
    for number, (hand, entry) in enumerate(zip(shown, entries, strict=True)):
        image, mask = np.zeros((260, 300, 3), np.uint8), np.zeros((260, 300), np.uint8)
        image[:224, 50:274], mask[:224, 50:274] = hand.image, hand.mask
        name = f"day_{number}/photo{'.png' if number % 2 else '.jpg'}"
        points = project(hand.joints, hand.K) + np.array([50, 0])
        own = {"image": name, "points": points.tolist()} | entry
        (root / name).parent.mkdir(parents=True)
        if own.get("side") == "left":
            image, mask = image[:, ::-1], mask[:, ::-1]
            own["points"] = (points * [-1, 1] + [299, 0]).tolist()
        cv2.imwrite(str(root / name), image[..., ::-1])
        if own.get("mask"):
            own["mask"] = f"day_{number}/mask.png"
            cv2.imwrite(str(root / own["mask"]), mask)
        written.append(own)
    (root / "annotations.json").write_text(json.dumps(written))
    return written
