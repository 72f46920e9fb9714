"""The bones of the open hand: names, hierarchy, and how far each joint turns."""

import numpy as np

FINGERS = ("thumb", "index", "middle", "ring", "little")

BONES = (
    "wrist",
    "forearm",
    "ring_metacarpal",
    "little_metacarpal",
    *(f"{finger}_{part}" for finger in FINGERS for part in (1, 2, 3)),
)
"""The wrist bone holds the palm and is the root; the forearm hangs on it, so that a pose is given from the hand."""

BONE_INDEX = {name: index for index, name in enumerate(BONES)}
NUM_BONES = len(BONES)


def _parent(name: str) -> str:
    finger, _, part = name.partition("_")
    if part in ("2", "3"):
        return f"{finger}_{int(part) - 1}"
    if part == "1" and finger in ("ring", "little"):
        return f"{finger}_metacarpal"
    return "wrist"


PARENTS = np.array([-1] + [BONE_INDEX[_parent(name)] for name in BONES[1:]], np.int32)

FLEXION, ABDUCTION, TWIST = range(3)
"""Angles of a joint, in the order in which they are stored. Flexion bends towards the palm; abduction spreads a
finger away from the middle one (the middle finger towards the thumb), lifts the thumb off the palm and turns the
forearm towards the little finger; twist turns about the bone, the thumb's pad towards the fingers."""

# Degrees from the rest pose, an open hand with fingers apart: flexion, abduction, twist.
_KNUCKLE, _HINGE = (-32, 82), {2: (-14, 100), 3: (-12, 68)}
_SPREAD = {"index": (-17, 12), "middle": (-8, 8), "ring": (-20, 6), "little": (-27, 14)}
_LIMITS: dict[str, tuple[tuple[float, float], ...]] = {
    "forearm": ((-55, 55), (-18, 28), (0, 0)),
    "ring_metacarpal": ((0, 9), (0, 0), (0, 0)),
    "little_metacarpal": ((0, 17), (0, 0), (0, 0)),
    "thumb_1": ((-22, 32), (-28, 26), (-8, 40)),
    "thumb_2": ((-14, 55), (-8, 8), (0, 0)),
    "thumb_3": ((-18, 78), (0, 0), (0, 0)),
    **{f"{finger}_1": (_KNUCKLE, spread, (-4, 4)) for finger, spread in _SPREAD.items()},
    **{f"{finger}_{part}": (bend, (0, 0), (0, 0)) for finger in FINGERS[1:] for part, bend in _HINGE.items()},
}
LIMITS_DEGREES = np.array([_LIMITS.get(name, ((0, 0),) * 3) for name in BONES], np.float32)
"""(B, 3, 2): smallest and largest flexion, abduction and twist of each joint."""

LIMITS = np.deg2rad(LIMITS_DEGREES.astype(np.float64))
FREE = np.array(
    [
        (bone, axis)
        for bone, name in enumerate(BONES)
        for axis in range(3)
        if np.ptp(LIMITS[bone, axis]) > 0 and name != "forearm" and (axis != TWIST or name == "thumb_1")
    ]
)
"""(D, 2) bone and axis of the angles in which poses differ."""

_JOINTS = {
    "thumb": {"1": "cmc", "2": "mcp", "3": "ip"},
    **{finger: {"metacarpal": "cmc", "1": "mcp", "2": "pip", "3": "dip"} for finger in FINGERS[1:]},
}


def _angle_name(bone: int, axis: int) -> str:
    finger, _, part = BONES[bone].partition("_")
    return f"{finger}_{_JOINTS[finger][part]}_{('flexion', 'abduction', 'twist')[axis]}"


ANGLE_NAMES = tuple(_angle_name(bone, axis) for bone, axis in FREE)
"""(D,) anatomical names of these angles, such as `index_pip_flexion`."""
