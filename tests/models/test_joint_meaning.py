"""What the 21 joints of the open hand mean: what they do in hands that a network of the paper predicted."""

import numpy as np
import torch

from datasets.synthesis.hand import load_open_hand
from datasets.synthesis.skeleton import LIMITS_DEGREES
from models.hand import OpenHandLayer
from models.losses import nearest_rotation
from tests.conftest import shared_file

STEPS, LARGEST_MM = 500, 3.0
PALM = [0, 5, 9, 13, 17]
ELSEWHERE = 0.85  # of the way from the wrist to the knuckles


def laid_on(joints, target, by):
    """Joints (N, 21, 3), turned and moved so that those in `by` are nearest to the target's."""
    center, target_center = joints[:, by].mean(1, keepdim=True), target[:, by].mean(1, keepdim=True)
    rotation, _ = nearest_rotation((joints - center)[:, by].detach(), (target - target_center)[:, by])
    return (joints - center) @ rotation.mT + target_center


def test_posed_within_its_limits_it_fits_predicted_hands(template):
    with np.load(shared_file("photos", "cmr", "reference_predictions.npz")) as predictions:
        names = [name for name in predictions.files if name.startswith("xyz_")]
        predicted = torch.from_numpy(np.stack([predictions[name] for name in names])).double()
    shifted = predicted.clone()  # as if knuckles were said to be where another model has them
    shifted[:, PALM[1:]] = predicted[:, :1] + ELSEWHERE * (predicted[:, PALM[1:]] - predicted[:, :1])
    target = torch.cat([predicted, shifted])
    hand = load_open_hand()
    layer = OpenHandLayer(hand).double()
    regressor = torch.from_numpy(template.joint_regressor).double()
    vertices = torch.from_numpy(hand.model_vertices).long()
    low, high = torch.from_numpy(np.deg2rad(LIMITS_DEGREES)).double().unbind(-1)
    smallest, largest = torch.from_numpy(hand.shape_ranges).double().unbind(-1)
    bend = torch.zeros(len(target), *low.shape, dtype=torch.float64, requires_grad=True)
    shape = torch.zeros(len(target), len(smallest), dtype=torch.float64, requires_grad=True)
    length_m = torch.full((len(target),), 0.18, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [bend, shape], "lr": 0.03}, {"params": [length_m], "lr": 0.002}])
    for step in range(STEPS):
        angles = (low + high) / 2 + (high - low) / 2 * torch.tanh(bend)
        posed, _ = layer(angles, shape.clamp(smallest, largest), length_m)
        joints = regressor @ posed[:, vertices]
        # Fingers that are bent otherwise would first turn the palm the wrong way.
        aligned = laid_on(joints, target, PALM if step < STEPS // 5 else list(range(21)))
        distance = torch.linalg.vector_norm(aligned - target, dim=-1)
        optimizer.zero_grad()
        (1e4 * distance.square().sum()).backward()
        optimizer.step()
    fitted_mm, shifted_mm = 1000 * distance.detach().unflatten(0, (2, -1)).mean(dim=(1, 2))
    assert fitted_mm < LARGEST_MM < shifted_mm
