"""How sure a hand is: of its pose, and of its side."""

from dataclasses import dataclass

import numpy as np

MIN_CONFIDENCE = 0.1  # landmarks below this heat-map maximum take no part in the registration


@dataclass(frozen=True)
class Calibration:
    """How often a hand is good, as a logistic function of what is known about it; fitted on held-out data.

    Attributes:
        weights: of 1, log residual in pixels, mean confidence of the landmarks.
        good_mm: mean error of the joints after alignment up to which a hand counts as good.
    """

    weights: tuple[float, float, float] = (0.0, 0.0, 0.0)
    good_mm: float = 10.0

    def __call__(self, residual_px: float, landmark_confidence: np.ndarray) -> float:
        """Probability that a hand is good."""
        value = np.dot(self.weights, confidence_features(residual_px, landmark_confidence))
        return float(1 / (1 + np.exp(-value)))


def confidence_features(residual_px: float, landmark_confidence: np.ndarray) -> np.ndarray:
    """What the confidence of a hand depends on: (3,)."""
    return np.array([1.0, log_residual(residual_px), np.mean(landmark_confidence)])


def log_residual(residual_px: float) -> float:
    """Logarithm of a residual, cut off where it no longer says anything."""
    return float(np.log(np.clip(residual_px, 0.1, 1e3)))


def log_odds(probability: float) -> float:
    """Logarithm of the odds, cut off at one in a thousand."""
    probability = np.clip(probability, 1e-3, 1 - 1e-3)
    return float(np.log(probability / (1 - probability)))
