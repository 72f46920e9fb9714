"""The network whose weights are in this repository, ready for pictures."""

from pathlib import Path

import torch

from handmesh.errors import InputError
from handmesh.finder import Calibration, PhotoPredictor
from handmesh.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD
from models.checkpoint import model_from_checkpoint, read_checkpoint
from models.predictor import HandPredictor
from utils.template import OPEN_HAND, ROOT, load_template

SHIPPED_WEIGHTS = ROOT / "weights/cmr_mobile.pt"


def load_pretrained(path: str | Path = SHIPPED_WEIGHTS, device: str = "cpu") -> PhotoPredictor:
    """From weights to something that is called with a picture and finds the hands in it.

    Args:
        path: a checkpoint of this project; the default is the one it ships.
        device: as PyTorch names them.

    Raises:
        InputError: a file is missing or damaged.
    """
    checkpoint = read_checkpoint(path)
    template = load_template(checkpoint.option("template", OPEN_HAND))
    model = model_from_checkpoint(checkpoint, template).to(torch.device(device), memory_format=torch.channels_last)
    defaults = {"size": INPUT_SIZE_PX, "img_mean": INPUT_MEAN, "img_std": INPUT_STD}
    predictor = HandPredictor(model, template, *(checkpoint.option(name, value) for name, value in defaults.items()))
    return PhotoPredictor(predictor, calibration_of(checkpoint.training))


def calibration_of(training: dict) -> Calibration | None:
    """The calibration in a checkpoint, if it has one. Raises InputError if it is not one."""
    stored = training.get("calibration")
    if stored is None:
        return None
    try:
        weights = tuple(map(float, stored["weights"]))
        good_mm = float(stored["good_mm"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the calibration of the weights cannot be used ({error!r})") from error
    if len(weights) != len(Calibration().weights):
        raise InputError(f"the calibration of the weights has {len(weights)} numbers, not {len(Calibration().weights)}")
    return Calibration(weights, good_mm)
