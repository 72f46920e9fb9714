"""Tracked hands as BVH files, for programs that animate: the open hand's bones and their rotations over time."""

import numpy as np

from handmesh.glb import CAMERA_TO_GLTF
from handmesh.hand_model import load_hand_model, quaternion_matrix
from handmesh.pose import MIRROR
from handmesh.skeleton import BONES, FINGERS, PARENTS

CM_PER_M = 100.0
ROTATIONS = "Zrotation Xrotation Yrotation"
POSITIONS = "Xposition Yposition Zposition"


def bvh_text(rows: np.ndarray) -> str:
    """The motion of one hand, centimetres, x right, y up, z backward, the camera at the origin.

    Frames are as far apart as those of the video in the median; of a frame that the hand is not in, the nearest one is
    taken.

    Args:
        rows: of `handmesh.video_results.row_type`, in the order of their times. Shape and size are those of the last.
    """
    model = load_hand_model()
    mirror = np.eye(3) if rows["right"][0] else MIRROR
    size = float(rows["size"][-1])
    surface, joints = (CM_PER_M * size * points @ mirror for points in model.rest(rows["shape"][-1].astype(float)))
    tips = model.joint_regressor[4::4] @ surface
    lines, order = ["HIERARCHY"], []

    def add(bone: int, depth: int) -> None:
        order.append(bone)
        space, offset = "  " * depth, joints[bone] - (joints[PARENTS[bone]] if depth else joints[bone])
        lines.extend([f"{space}{'JOINT' if depth else 'ROOT'} {BONES[bone]}", f"{space}{{"])
        lines.append(f"{space}  OFFSET {_numbers(offset)}")
        lines.append(f"{space}  CHANNELS {'3 ' if depth else f'6 {POSITIONS} '}{ROTATIONS}")
        children = np.flatnonzero(bone == PARENTS)
        for child in children:
            add(int(child), depth + 1)
        if not len(children):
            finger = BONES[bone].partition("_")[0]
            end = tips[FINGERS.index(finger)] - joints[bone] if finger in FINGERS else np.zeros(3)  # of the forearm
            lines.extend([f"{space}  End Site", f"{space}  {{", f"{space}    OFFSET {_numbers(end)}", f"{space}  }}"])
        lines.append(f"{space}}}")

    add(0, 0)
    times = rows["time_s"]
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
    count = 1 + round((times[-1] - times[0]) / step_s)
    nearest = [int(np.abs(times - time).argmin()) for time in times[0] + step_s * np.arange(count)]
    lines += ["MOTION", f"Frames: {count}", f"Frame Time: {step_s:.6f}"]
    for row in rows[nearest]:
        pose = row["wrist_pose"].astype(float)
        place = CM_PER_M * pose[:3, 3] * CAMERA_TO_GLTF * (size / row["size"])
        turns = [quaternion_matrix(row["quaternions"][bone].astype(float)) for bone in order]
        turns[0] = np.diag(CAMERA_TO_GLTF) @ pose[:3, :3]
        lines.append(" ".join([_numbers(place), *(_numbers(_zxy_degrees(turn)) for turn in turns)]))
    return "\n".join(lines) + "\n"


def _zxy_degrees(turn: np.ndarray) -> np.ndarray:
    """Angles (3,) about z, x and y, in this order from the outermost, of a rotation (3, 3)."""
    x = np.arcsin(np.clip(turn[2, 1], -1, 1))
    z, y = np.arctan2(-turn[0, 1], turn[1, 1]), np.arctan2(-turn[2, 0], turn[2, 2])
    return np.rad2deg([z, x, y])


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.5f}" for value in values)
