"""The networks of the paper and a small one, in PyTorch: how they are built, trained and written to files."""

from models.build import build_model
from models.cmr import CMR, VARIANTS
from models.encoder import BACKBONES

__all__ = ["BACKBONES", "CMR", "VARIANTS", "build_model"]
