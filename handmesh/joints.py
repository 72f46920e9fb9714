"""The 21 joints of a hand, in the orders in which files hold them."""

import numpy as np

JOINT_NAMES = (
    "wrist",
    *(f"{finger}_{part}" for finger in ("thumb", "index", "middle", "ring", "little") for part in range(1, 5)),
)
NUM_JOINTS = len(JOINT_NAMES)

# Bones of the FreiHAND skeleton: (parent, child).
BONES = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, NUM_JOINTS))

MIDDLE_FINGER = (0, 9, 10, 11, 12)  # from the wrist to the tip
WRIST, MIDDLE_KNUCKLE = MIDDLE_FINGER[:2]
INDEX_KNUCKLE, LITTLE_KNUCKLE = 5, 17


def lean(points: np.ndarray) -> float:
    """Radians by which a hand leans clockwise from upright; points (21, 2), y down, in FreiHAND order."""
    x, y = points[MIDDLE_KNUCKLE] - points[WRIST]
    return float(np.arctan2(x, -y))


def hand_length(joints: np.ndarray) -> float:
    """From the wrist along the bones to the tip of the middle finger; joints (21, 3) in FreiHAND order."""
    return float(np.linalg.norm(np.diff(joints[list(MIDDLE_FINGER)], axis=0), axis=1).sum())


def palm_frames(joints: np.ndarray) -> np.ndarray:
    """Across the palm to the index finger, along it to the middle knuckle and out of it: the columns (N, 3, 3), each as
    long as the palm; joints (N, 21, 3) in FreiHAND order."""
    along = joints[:, MIDDLE_KNUCKLE] - joints[:, WRIST]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    across = joints[:, INDEX_KNUCKLE] - joints[:, LITTLE_KNUCKLE]
    across = across - along * (across * along).sum(axis=1, keepdims=True) / length**2
    across *= length / np.linalg.norm(across, axis=1, keepdims=True)
    return np.stack([across, along, np.cross(across, along) / length], axis=2)


# MANO rows: wrist, index, middle, little, ring, thumb (three each), tips of index, middle, little, ring, thumb.
# Entry i is the MANO row of FreiHAND joint i.
MANO_TO_FREIHAND = (0, 13, 14, 15, 20, 1, 2, 3, 16, 4, 5, 6, 17, 10, 11, 12, 19, 7, 8, 9, 18)

# Vertices of the finger tips on the MANO mesh, in MANO's tip order: index, middle, little, ring, thumb.
MANO_TIP_VERTICES = (333, 444, 672, 555, 744)
