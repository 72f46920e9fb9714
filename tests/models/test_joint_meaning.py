"""What the 21 joints of the open hand mean: what they do in hands that a network of the paper predicted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from datasets.synthesis.hand import load_open_hand
from datasets.synthesis.kinematics import bone_transforms, skin
from handmesh.skeleton import LIMITS_DEGREES
from tests.conftest import shared_file
from utils.metrics import fit_similarity

LARGEST_MM = 3.0
KNUCKLES = [5, 9, 13, 17]
ELSEWHERE = 0.85  # of the way from the wrist to the knuckles


def fitted_mm(hand, regressor, target):
    """Mean distance of joints (21, 3) from those of the hand, posed within its limits and turned as fits best."""
    low, high = np.deg2rad(LIMITS_DEGREES).astype(float).transpose(2, 0, 1)
    bends = high > low
    lowest, highest = (
        np.concatenate([limits[bends], shapes])
        for limits, shapes in zip((low, high), hand.shape_ranges.T.astype(float), strict=True)
    )

    def differences(values):
        angles = np.zeros_like(low)
        angles[bends] = values[: bends.sum()]
        vertices, joints, _ = hand.shaped(values[bends.sum() :], hand.length_m)
        posed = regressor @ skin(vertices, hand.weights, bone_transforms(angles, joints, hand.axes))
        return (fit_similarity(target, posed)[1] - target).ravel()

    found = least_squares(differences, (lowest + highest) / 2, bounds=(lowest, highest), diff_step=1e-3, max_nfev=60)
    return 1000 * np.linalg.norm(found.fun.reshape(-1, 3), axis=1).mean()


@pytest.mark.shared_data
def test_posed_within_its_limits_it_fits_predicted_hands(template):
    with np.load(shared_file("photos", "cmr", "reference_predictions.npz")) as predictions:
        predicted = np.stack([predictions[name] for name in predictions.files if name.startswith("xyz_")])
    hand, used = load_open_hand(), np.flatnonzero(template.joint_regressor.any(axis=0))
    picked = hand.model_vertices[used]
    hand = replace(
        hand,
        vertices=hand.vertices[picked],
        weights=hand.weights[picked],
        shape_vertices=hand.shape_vertices[:, picked],
    )
    shifted = predicted.copy()  # as if knuckles were said to be where another model has them
    shifted[:, KNUCKLES] = predicted[:, :1] + ELSEWHERE * (predicted[:, KNUCKLES] - predicted[:, :1])
    regressor = template.joint_regressor[:, used]
    right, wrong = (np.mean([fitted_mm(hand, regressor, one) for one in hands]) for hands in (predicted, shifted))
    assert right < LARGEST_MM < wrong, (right, wrong)
