"""Regressions with few features, for what is fitted on held-out images: logistic, and of a standard deviation."""

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


def deviation_weights(features: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Weights (F,) of features (N, F) whose sum is the logarithm of the standard deviation of normal errors (N,)."""

    def loss(weights: np.ndarray) -> float:
        value = features @ weights
        return float((value + 0.5 * errors**2 * np.exp(-2 * value)).mean() + RIDGE * (weights[1:] ** 2).sum())

    start = np.zeros(features.shape[1])
    start[0] = np.log(errors.std())
    return minimize(loss, start).x
