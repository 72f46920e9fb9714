"""Adaptive 2D-1D registration, run from the files that `models/registration.py` and `models/reprojection.py` were
exported to; constants and mathematics are there."""

from typing import Any

import numpy as np

from handmesh.network import FROM_LANDMARKS, FROM_OUTLINE
from handmesh.runtime import DATA, OnnxModel

FILES = {kind: DATA / f"registration_{kind}.onnx" for kind in (FROM_LANDMARKS, FROM_OUTLINE)}


class Registrar:
    """The registration of a kind of network.

    Args:
        kind: `landmarks` or `outline`, see `handmesh.network.Traits`.
    """

    def __init__(self, kind: str) -> None:
        self.model = OnnxModel(FILES[kind], threads=1)  # a thousand steps too small to share

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Find the translations of a batch of B hands; arguments are those of the exported module's `forward`.

        Returns:
            `translation_m` (B, 3), `residual_px` (B,) and `success` (B,), see `models.registration.Registration`.
        """
        return self.model({name: np.asarray(value, np.float64) for name, value in inputs.items()})
