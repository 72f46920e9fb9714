"""Settling a pose: finger pads that should touch do, and nothing goes through anything else.

Bones and held objects are capsules (a sphere is a capsule of no length). The wanted angles, the contacts and the
penetrations are residuals of one least-squares problem, solved by a few damped Gauss-Newton steps within the limits of
the joints.
"""

from dataclasses import dataclass

import numpy as np

from datasets.synthesis.hand import OpenHand
from datasets.synthesis.settling import settle
from handmesh.skeleton import BONE_INDEX, FINGERS, FLEXION, FREE, LIMITS, PARENTS

FINGER_BONES = [BONE_INDEX[f"{finger}_{part}"] for finger in FINGERS for part in (1, 2, 3)]
PALM_BONES = [BONE_INDEX[name] for name in ("wrist", "wrist", "ring_metacarpal", "little_metacarpal")]
PALM_RADIUS_M = 0.0095
PALM_DEPTH_M = 0.004  # of the palm's capsules below the line from wrist to knuckle
TOLERANCES_M = np.array([0.0025, 0.0015])  # flesh gives way by this much to flesh, and to objects
ITERATIONS = 12
STEP_RADIANS = 1e-4
PRIOR_WEIGHT = 0.0012  # metres per radian: what a departure from the wanted angle costs against a distance
LARGEST_STEP = 0.5  # radians


def _capsule_pairs() -> np.ndarray:
    """Pairs of capsules that may meet: different fingers, and the outer bones of a finger with the palm."""
    pairs = []
    for first in range(15):
        for second in range(first + 1, 15):
            same_finger = first // 3 == second // 3
            roots = first % 3 == 0 and second % 3 == 0  # neighbours share the web
            if not same_finger and not roots:
                pairs.append((first, second))
        for palm in range(15, 19):
            own_side = first // 3 == 0 and (first % 3 == 0 or (first % 3 == 1 and palm == 15))
            if first % 3 != 0 and not own_side:
                pairs.append((first, palm))
    return np.array(pairs)


PAIRS = _capsule_pairs()
CAPSULE_BONES = np.array(FINGER_BONES + PALM_BONES)


def capsule_radii(hand: OpenHand) -> np.ndarray:
    """Radii (19,) of the capsules of the mean hand: fifteen finger bones, four of the palm; metres."""
    starts, ends = capsule_ends(hand.joints, hand.tips)
    radii = np.full(len(CAPSULE_BONES), PALM_RADIUS_M)
    for capsule, bone in enumerate(FINGER_BONES):
        own = hand.vertices[hand.weights[:, bone] > 0.6]
        axis = ends[capsule] - starts[capsule]
        along = np.clip((own - starts[capsule]) @ axis / (axis @ axis), 0, 1)
        distance = np.linalg.norm(own - starts[capsule] - along[:, None] * axis, axis=1)
        radii[capsule] = np.quantile(distance, 0.35)
    return radii


def capsule_ends(joints: np.ndarray, tips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends (19, 3) and (19, 3) of the capsules at rest."""
    starts, ends = [], []
    for number, finger in enumerate(FINGERS):
        chain = [*(joints[BONE_INDEX[f"{finger}_{part}"]] for part in (1, 2, 3)), tips[number]]
        chain[3] = chain[2] + 0.75 * (chain[3] - chain[2])  # the cap reaches the tip
        starts += chain[:3]
        ends += chain[1:]
    below = np.array([0, 0, PALM_DEPTH_M])
    wrist = joints[BONE_INDEX["wrist"]]
    for finger in FINGERS[1:]:
        knuckle = joints[BONE_INDEX[f"{finger}_1"]]
        starts.append(wrist + 0.2 * (knuckle - wrist) + below)
        ends.append(wrist + 0.9 * (knuckle - wrist) + below)
    return np.array(starts, np.float64), np.array(ends, np.float64)


@dataclass(frozen=True)
class Contact:
    """A place on a finger. Half of the flesh is in its position, so that fingers meet with the right sides; for the
    other half any direction will do.

    Attributes:
        bone: index of the bone.
        point: (3,) at rest, half way from the bone's axis to the skin, metres.
        reach: how far it is from there to the skin, metres.
    """

    bone: int
    point: np.ndarray
    reach: float


class Settler:
    """Contacts of one person's hand.

    Args:
        joints: (B, 3), tips: (5, 3) at rest; axes: (B, 3, 3) of the joints.
        radii: (19,) of the capsules.
    """

    def __init__(self, joints: np.ndarray, tips: np.ndarray, axes: np.ndarray, radii: np.ndarray) -> None:
        self.joints, self.tips = np.float64(joints), np.float64(tips)
        self.axes, self.radii = np.float64(axes), np.float64(radii)
        self.starts, self.ends = capsule_ends(self.joints, self.tips)

    def pad(self, finger: int) -> Contact:
        """The pad of a finger; fingers count from the thumb."""
        return self._contact(3 * finger + 2, 0.85, 1)

    def back(self, finger: int, part: int, along: float) -> Contact:
        """The back of a finger's bone; part 0 to 2, along in [0, 1]."""
        return self._contact(3 * finger + part, along, -1)

    def _contact(self, capsule: int, along: float, side: int) -> Contact:
        bone, half = FINGER_BONES[capsule], self.radii[capsule] / 2
        direction = self.ends[capsule] - self.starts[capsule]
        palmar = np.cross(self.axes[bone, FLEXION], direction / np.linalg.norm(direction))
        return Contact(bone, self.starts[capsule] + along * direction + side * half * palmar, half)

    def settle(
        self,
        angles: np.ndarray,
        touches: list[tuple[Contact, Contact]],
        objects: list[tuple[np.ndarray, np.ndarray, float]],
    ) -> tuple[np.ndarray, float, float]:
        """The nearest pose that keeps the contacts.

        Args:
            angles: (B, 3) wanted, radians.
            touches: places that should meet.
            objects: capsules (end, end, radius) in the palm's frame, metres.

        Returns:
            (B, 3) angles within the limits, the deepest penetration left beyond what flesh allows, and the widest gap
            left between places that should meet, metres.
        """
        touch_bones = np.array([[one.bone for one in pair] for pair in touches], np.int64).reshape(-1, 2)
        touch_points = np.array([[one.point for one in pair] for pair in touches]).reshape(-1, 2, 3)
        touch_gaps = np.array([sum(one.reach for one in pair) for pair in touches], np.float64)
        capsules = np.array([(start, end) for start, end, _ in objects], np.float64).reshape(-1, 2, 3)
        object_radii = np.array([radius for _, _, radius in objects])
        return settle(
            np.clip(angles, LIMITS[..., 0], LIMITS[..., 1]),
            FREE,
            LIMITS,
            (ITERATIONS, STEP_RADIANS, PRIOR_WEIGHT, LARGEST_STEP),
            (
                self.joints, self.axes, PARENTS, self.starts, self.ends, self.radii, CAPSULE_BONES, PAIRS,
                touch_bones, touch_points, touch_gaps, capsules, object_radii, TOLERANCES_M,
            ),
        )  # fmt: skip
