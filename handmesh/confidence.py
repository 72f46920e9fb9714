"""How sure a hand is: of its pose, and of its side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

NUM_FEATURES = 3
MIN_CONFIDENCE = 0.1  # landmarks below this heat-map maximum take no part in the registration


@dataclass(frozen=True)
class Calibration:
    """How often a hand is good, and how far off its depth is, by what is known about it; fitted on held-out data.

    Attributes:
        weights: of the features of `confidence_features` in the log odds that a hand is good.
        good_mm: mean error of the joints after alignment up to which a hand counts as good.
        depth_weights: of the features in the logarithm of the standard deviation of the depth over the depth;
            known_depth_weights: likewise where the hand's length was given. None: not known.
    """

    weights: tuple[float, ...] = (0.0, 0.0, 0.0)
    good_mm: float = 10.0
    depth_weights: tuple[float, ...] | None = None
    known_depth_weights: tuple[float, ...] | None = None

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Calibration":
        """Read back what `dataclasses.asdict` made, or JSON of it. Raises KeyError, TypeError or ValueError."""
        rows: dict[str, tuple[float, ...] | None] = {}
        for name in ("weights", "depth_weights", "known_depth_weights"):
            row = values["weights"] if name == "weights" else values.get(name)
            rows[name] = None if row is None else tuple(map(float, row))
            if row is not None and len(row) != NUM_FEATURES:
                raise ValueError(f"{name}: expected {NUM_FEATURES} numbers")
        return Calibration(**rows, good_mm=float(values["good_mm"]))  # type: ignore[arg-type]

    def __call__(self, residual_px: float, landmark_confidence: np.ndarray) -> float:
        """Probability that a hand is good."""
        value = np.dot(self.weights, confidence_features(residual_px, landmark_confidence))
        return float(1 / (1 + np.exp(-value)))

    def depth_deviation(self, residual_px: float, landmark_confidence: np.ndarray, known_size: bool) -> float:
        """Standard deviation of a hand's depth, as a share of it; NaN where that is not known."""
        weights = self.known_depth_weights if known_size else self.depth_weights
        if weights is None:
            return float("nan")
        return float(np.exp(np.dot(weights, confidence_features(residual_px, landmark_confidence))))


def confidence_features(residual_px: float, landmark_confidence: np.ndarray) -> np.ndarray:
    """What the confidence of a hand depends on (3,): 1, log residual in pixels, mean confidence of the landmarks."""
    return np.array([1.0, log_residual(residual_px), np.mean(landmark_confidence)])


def log_residual(residual_px: float) -> float:
    """Logarithm of a residual, cut off where it no longer says anything."""
    return float(np.log(np.clip(residual_px, 0.1, 1e3)))


def log_odds(probability: float) -> float:
    """Logarithm of the odds, cut off at one in a thousand."""
    probability = np.clip(probability, 1e-3, 1 - 1e-3)
    return float(np.log(probability / (1 - probability)))
