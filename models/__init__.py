"""The networks of the paper, and what turns their output into a hand in front of the camera."""

from handmesh.finder import PhotoHand, PhotoPredictor
from models.build import build_model
from models.cmr import CMR, VARIANTS
from models.encoder import BACKBONES
from models.predictor import HandPredictor
from models.pretrained import load_pretrained

__all__ = [
    "BACKBONES",
    "CMR",
    "VARIANTS",
    "HandPredictor",
    "PhotoHand",
    "PhotoPredictor",
    "build_model",
    "load_pretrained",
]
