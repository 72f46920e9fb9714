"""Poses over time without their jitter: one-euro filters (Casiez et al. 2012) on place, turn and joint angles, and one
size and shape for a hand.

The filters are causal. What rests is smoothed more than what moves: a slow hand does not shake, and a fast one is not
late.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from OneEuroFilter import OneEuroFilter

from handmesh.hand_model import quaternion_matrix, quaternions, rotation_vector
from handmesh.pose import HandPose

RATE_HZ = 30.0  # before two times are known
# Cut-off in hertz at rest, and how much it rises with the speed.
PLACE, DEPTH, TURN, ANGLES = (1.5, 20.0), (0.7, 3.0), (1.5, 2.0), (1.2, 0.6)


@dataclass
class PoseFilter:
    """The filters of one hand."""

    weight: float = 0.0
    log_size: float = 0.0
    shape: np.ndarray | float = 0.0
    _filters: dict[str, list[OneEuroFilter]] = field(default_factory=dict)
    _quaternion: np.ndarray | None = None

    def build(self, pose: HandPose, weight: float) -> HandPose:
        """The pose with the size and shape of the hand, means of all so far; it stays where it is in the picture.

        Args:
            weight: of this pose in the means.
        """
        self.weight += weight
        share = weight / self.weight
        self.log_size += share * (np.log(pose.size) - self.log_size)
        self.shape = self.shape + share * (pose.shape - self.shape)
        built = replace(pose, size=float(np.exp(self.log_size)), shape=np.asarray(self.shape))
        return replace(built, wrist_position_m=pose.wrist_position_m * (built.length_m / pose.length_m))

    def __call__(self, pose: HandPose, time_s: float) -> HandPose:
        """The smoothed pose at a time, later than that of the call before."""
        x, y, z = pose.wrist_position_m
        ray = self._filtered("place", np.array([x / z, y / z]), PLACE, time_s)
        depth = np.exp(self._filtered("depth", np.log([z]), DEPTH, time_s)[0])
        quaternion = quaternions(rotation_vector(pose.wrist_rotation))
        if self._quaternion is not None and quaternion @ self._quaternion < 0:
            quaternion = -quaternion
        self._quaternion = quaternion
        return replace(
            pose,
            angles=self._filtered("angles", pose.angles, ANGLES, time_s),
            wrist_rotation=quaternion_matrix(self._filtered("turn", quaternion, TURN, time_s)),
            wrist_position_m=depth * np.array([*ray, 1.0]),
        )

    def _filtered(self, name: str, values: np.ndarray, cutoff: tuple[float, float], time_s: float) -> np.ndarray:
        least, slope = cutoff
        if name not in self._filters:
            self._filters[name] = [OneEuroFilter(RATE_HZ, least, slope) for _ in values]
        return np.array([one(float(value), time_s) for one, value in zip(self._filters[name], values, strict=True)])
