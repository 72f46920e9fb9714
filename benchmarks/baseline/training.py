"""A training step in float32, channels first, one operation after the other."""

import torch
from torch import Tensor

from benchmarks.baseline.network import PlainCMR
from models.cmr import CMR
from models.losses import cmr_loss
from runner.train import coarse_selections
from utils.template import Template


class PlainStep:
    """Forward, losses, backward and Adam on a plain copy of a network.

    Args:
        model: stays as it is; its copy trains on the same device.
        template: the one it was built with.
        learning_rate: of Adam.
    """

    def __init__(self, model: CMR, template: Template, learning_rate: float = 1e-4) -> None:
        self.network = PlainCMR(model, template).float().train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate)
        device = next(model.parameters()).device
        self.faces = torch.from_numpy(template.faces[0]).to(device)
        self.coarse_vertices = [torch.from_numpy(index).to(device) for index in coarse_selections(template)]

    def step(self, batch: dict[str, Tensor]) -> float:
        """Train on a batch, return its loss before the step.

        Args:
            batch: `image` (B, 3, S, S), `mesh` (B, V, 3) in units of 0.2 m, `heatmaps` (B, 21, S/2, S/2) and
                `silhouette` (B, S/2, S/2), float32, on the device of the network.
        """
        output = self.network(batch["image"], as_logits=True)
        meshes = [batch["mesh"], *(batch["mesh"][:, index] for index in self.coarse_vertices)]
        loss = cmr_loss(output, meshes, batch["heatmaps"], batch["silhouette"], self.faces)["loss"]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()
