"""Logistic regression with few features, for what is fitted on held-out images."""

import numpy as np
from scipy.optimize import minimize

RIDGE = 1e-3  # of the weights


def logistic_weights(features: np.ndarray, true: np.ndarray | bool, spared: int = 0) -> np.ndarray:
    """Weights (F,) of features (N, F) whose sum is the log odds that `true` (N,) holds. The first `spared` of them may
    be as large as they like."""

    def loss(weights: np.ndarray) -> float:
        value = features @ weights
        return float(np.logaddexp(0, np.where(true, -value, value)).mean() + RIDGE * (weights[spared:] ** 2).sum())

    return minimize(loss, np.zeros(features.shape[1])).x
