"""What the demo writes for an image: meshes, and everything else that is known as JSON."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from handmesh.files import atomic_write, printable, write_json
from handmesh.hand import Hand
from handmesh.joints import JOINT_NAMES
from handmesh.pose import HandPose
from handmesh.skeleton import BONES

DECIMALS_M, DECIMALS_PX = 5, 2


def write_mesh(path: Path, vertices_m: np.ndarray, faces: np.ndarray) -> None:
    """A mesh as .ply or .obj: camera space, metres."""
    with tempfile.TemporaryDirectory() as folder:  # OpenCV crashes on paths that are not UTF-8
        plain = Path(folder) / f"mesh{path.suffix}"
        cv2.saveMesh(str(plain), vertices_m.astype(np.float32)[:, None], list(faces.astype(np.int32)))
        with atomic_write(path) as file:
            file.write(plain.read_bytes())


def write_hands(
    path: Path,
    image_name: str,
    size: tuple[int, int],
    hands: list[Hand],
    faces: dict[str, np.ndarray] | None = None,
) -> None:
    """`NAME_hands.json`. Joints in FreiHAND order; metres in the frame of the camera K: x right, y down, z forward.

    Args:
        image_name: of the file.
        size: height and width of the image.
        faces: triangles of right and left hands, to write the meshes as well.
    """
    rows = [_hand(hand) for hand in hands]
    if faces is not None:
        for row, hand in zip(rows, hands, strict=True):
            row |= {"vertices_m": _rounded(hand.vertices_m, DECIMALS_M), "faces": faces[hand.side].tolist()}
    height, width = size
    write_json(path, {"image": printable(image_name), "width": width, "height": height, "hands": rows}, indent=1)


def _hand(hand: Hand) -> dict:
    found = hand.found
    return {
        "side": hand.side,
        "score": None if found is None else round(found.presence, 4),
        "side_probability": None if np.isnan(hand.side_probability) else round(hand.side_probability, 4),
        "box_px": _rounded(hand.box_px, DECIMALS_PX),
        "K": _rounded(hand.camera.K, 4),
        "K_from": hand.camera.source,
        "scale_and_depth_approximate": hand.camera.approximate,
        "size_from": "hand_length" if hand.known_size else "network",
        "joint_names": list(JOINT_NAMES),
        "landmarks_px": _rounded(hand.landmarks_px, DECIMALS_PX),
        "joints_px": _rounded(hand.joints_px, DECIMALS_PX),
        "joints_m": _rounded(hand.joints_m, DECIMALS_M),
        "translation_m": _rounded(hand.translation_m, DECIMALS_M),
        "depth_m": round(hand.depth_m, DECIMALS_M),
        "depth_deviation_m": None if np.isnan(hand.depth_deviation_m) else round(hand.depth_deviation_m, DECIMALS_M),
        "pose": _pose(hand.pose) if hand.has_pose and np.isfinite(hand.vertices_m).all() else None,
        "residual_px": round(hand.residual_px, 3) if np.isfinite(hand.residual_px) else None,
        "position_reliable": hand.success,
        "confidence": round(hand.confidence, 4),
        "warnings": list(hand.warnings),
    }


def _pose(pose: HandPose) -> dict:
    return {
        "joint_angles_deg": {name: round(value, 2) for name, value in pose.joint_angles_deg.items()},
        "joint_deviations_deg": {name: round(value, 2) for name, value in pose.joint_deviations_deg.items()},
        "quaternions": dict(zip(BONES, _rounded(pose.quaternions, 6), strict=True)),
        "wrist_pose": _rounded(pose.wrist_pose, 6),
        "shape": _rounded(pose.shape, 4),
    }


def _rounded(values: np.ndarray, decimals: int) -> list:
    return np.round(np.asarray(values, np.float64), decimals).tolist()
