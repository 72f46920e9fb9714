"""Poses over time without their jitter: one-euro filters (Casiez et al. 2012) on place, turn and joint angles, and one
size and shape for a hand.

What rests is smoothed more than what moves: a slow hand does not shake, and a fast one is not late.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from OneEuroFilter import OneEuroFilter

from handmesh.hand_model import quaternion_matrix, quaternions, rotation_vector
from handmesh.pose import HandPose

AWAY_SECONDS = 0.5  # for which a hand that is not seen is shown; later it is smoothed anew when it comes back
RATE_HZ = 30.0  # before two times are known
# Cut-offs in hertz at rest, and how much they rise with the speed. What is not late by itself can be smoother.
LIVE = {"place": (2.5, 30.0), "depth": (0.8, 8.0), "turn": (2.5, 5.0), "angles": (2.0, 1.5)}
WHOLE = {"place": (1.5, 20.0), "depth": (0.7, 3.0), "turn": (1.5, 2.0), "angles": (1.2, 0.6)}


@dataclass
class Build:
    """Size and shape of one hand: means over its frames."""

    weight: float = 0.0
    log_size: float = 0.0
    shape: np.ndarray | float = 0.0

    def learn(self, pose: HandPose, weight: float) -> None:
        """Take in a frame; `weight` is its own in the means."""
        self.weight += weight
        share = weight / self.weight
        self.log_size += share * (np.log(pose.size) - self.log_size)
        self.shape = self.shape + share * (pose.shape - self.shape)

    def __call__(self, pose: HandPose) -> HandPose:
        """The pose with this size and shape; it stays where it is in the picture."""
        built = replace(pose, size=float(np.exp(self.log_size)), shape=np.asarray(self.shape))
        return replace(built, wrist_position_m=pose.wrist_position_m * built.length_m / pose.length_m)


@dataclass
class PoseFilter:
    """The filters of one hand.

    Attributes:
        cutoffs: `LIVE` or `WHOLE`.
    """

    cutoffs: Mapping[str, tuple[float, float]] = field(default_factory=LIVE.copy)
    _filters: dict[str, list[OneEuroFilter]] = field(default_factory=dict)
    _quaternion: np.ndarray | None = None
    _time_s: float = -np.inf

    def __call__(self, pose: HandPose, time_s: float) -> HandPose:
        """The smoothed pose at a time, later than that of the call before."""
        if time_s - self._time_s > AWAY_SECONDS:
            self._filters, self._quaternion = {}, None
        self._time_s = time_s
        x, y, z = pose.wrist_position_m
        ray = self._filtered("place", np.array([x / z, y / z]), time_s)
        depth = np.exp(self._filtered("depth", np.log([z]), time_s)[0])
        quaternion = quaternions(rotation_vector(pose.wrist_rotation))
        if self._quaternion is not None and quaternion @ self._quaternion < 0:
            quaternion = -quaternion
        self._quaternion = quaternion
        return replace(
            pose,
            angles=self._filtered("angles", pose.angles, time_s),
            wrist_rotation=quaternion_matrix(self._filtered("turn", quaternion, time_s)),
            wrist_position_m=depth * np.array([*ray, 1.0]),
        )

    def _filtered(self, name: str, values: np.ndarray, time_s: float) -> np.ndarray:
        least, slope = self.cutoffs[name]
        if name not in self._filters:
            self._filters[name] = [OneEuroFilter(RATE_HZ, least, slope) for _ in values]
        return np.array([one(float(value), time_s) for one, value in zip(self._filters[name], values, strict=True)])


def smooth_track(poses: Sequence[HandPose], times_s: Sequence[float]) -> list[HandPose]:
    """All poses of a hand, smoothed without being late: the means of a filter that runs forward in time and of one that
    runs backward."""
    forward, backward = PoseFilter(WHOLE), PoseFilter(WHOLE)
    ahead = [forward(pose, time) for pose, time in zip(poses, times_s, strict=True)]
    last = times_s[-1]
    back = [backward(pose, last - time) for pose, time in zip(reversed(poses), reversed(times_s), strict=True)][::-1]
    return [_mean(one, other) for one, other in zip(ahead, back, strict=True)]


def _mean(one: HandPose, other: HandPose) -> HandPose:
    turns = [quaternions(rotation_vector(pose.wrist_rotation)) for pose in (one, other)]
    turns[1] = turns[1] * (1 if turns[0] @ turns[1] >= 0 else -1)
    return replace(
        one,
        angles=(one.angles + other.angles) / 2,
        wrist_rotation=quaternion_matrix(turns[0] + turns[1]),
        wrist_position_m=(one.wrist_position_m + other.wrist_position_m) / 2,
    )
