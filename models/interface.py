"""The networks as `handmesh.network` has them: every output under a name of its own, and all that is known of them."""

import numpy as np
from torch import Tensor, nn

from handmesh.confidence import Calibration
from handmesh.network import Description
from models.cmr import CMR
from models.mobile import MobileCMR
from utils.template import Template


class NamedOutputs(nn.Module):
    """A network whose meshes are `mesh_pred_0` (finest) to `mesh_pred_3`, and whose maps are probabilities."""

    def __init__(self, model: CMR | MobileCMR) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """image: (B, 3, S, S), normalised."""
        output = self.model(image)
        meshes = {f"mesh_pred_{level}": mesh for level, mesh in enumerate(output.pop("mesh_pred"))}
        return meshes | output


def describe(
    model: CMR | MobileCMR,
    template: Template,
    *,
    size: int,
    mean: float,
    std: float,
    calibration: Calibration | None = None,
) -> Description:
    """What goes with a network's weights.

    Args:
        template: the one it was built with.
        size: side of its input, pixels.
        mean, std: its input is (rgb / 255 - mean) / std.
        calibration: of its confidence; None: not calibrated.
    """
    return Description(
        name=model.name,
        traits=model.traits,
        size_px=size,
        mean=mean,
        std=std,
        template_digest=template.digest,
        faces=np.asarray(template.faces[0]),
        joint_regressor=template.joint_regressor,
        calibration=calibration or Calibration(),
    )
