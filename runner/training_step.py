"""One step of the training, from batches to changed weights."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from datasets.batch import finish_batch
from models.losses import cmr_loss, present_labels
from models.torch_network import compile_network
from runner.errors import TrainingDivergedError
from runner.ranks import Ranks
from utils.template import Template

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class StepResult:
    """What a step was like.

    Attributes:
        losses: terms of the loss, means over its batches and processes.
        stop: whether any process was told to stop; the same in all of them.
        batch, output: the last batch and what the network said of it.
    """

    losses: dict[str, float]
    stop: bool
    batch: Batch
    output: dict


class TrainingStep:
    """Forward, losses, backward, update.

    Args:
        model: in training mode, on its device.
        template: that it was built on.
        optimizer: of its parameters.
        size, mean, std: of its input.
        precision: `float32`, or `bf16` for the arithmetic of the network.
        compiled: see `compile_network`.
        all_levels: whether the mesh is supervised at four levels instead of the finest only.
        ranks: processes that make a step together.
    """

    def __init__(
        self,
        model: nn.Module,
        template: Template,
        optimizer: torch.optim.Optimizer,
        *,
        size: int,
        mean: float,
        std: float,
        precision: str = "float32",
        compiled: str = "none",
        all_levels: bool = True,
        ranks: Ranks = Ranks(),  # noqa: B008  # cannot change
    ) -> None:
        self.device = next(model.parameters()).device
        self.optimizer, self.precision, self.ranks = optimizer, precision, ranks
        self.input = {"size": size, "mean": mean, "std": std}
        self.told_sides = model.traits.knows_sides
        network = compile_network(model, compiled)
        self.network = DistributedDataParallel(network, broadcast_buffers=False) if ranks.count > 1 else network
        self.faces = torch.from_numpy(template.faces[0]).to(self.device)
        coarse = coarse_selections(template) if all_levels else []
        self.coarse_vertices = [torch.from_numpy(index).to(self.device) for index in coarse]
        self.regressor = torch.from_numpy(template.joint_regressor).float().to(self.device)

    def __call__(self, parts: Sequence[Batch], told_to_stop: Callable[[], bool] = lambda: False) -> StepResult:
        """Make a step.

        Args:
            parts: batches of equal size that make up its samples, as `datasets.loading.load_batches` yields them.
            told_to_stop: whether this process was, asked when the processes join their losses.

        Raises:
            TrainingDivergedError: the loss is not finite; the weights are as they were.
        """
        self.optimizer.zero_grad(set_to_none=True)
        sums = 0.0
        for number, part in enumerate(parts, 1):
            batch, present = self._moved(part), self._moved(present_labels(part, self.told_sides))
            batch = finish_batch(batch, **self.input)
            with nullcontext() if number == len(parts) or self.ranks.count == 1 else self.network.no_sync():
                terms, output = self._losses(batch, present)
                (terms["loss"] / len(parts)).backward()
            sums = sums + torch.stack(list(terms.values())).detach() / len(parts)
        joined = torch.cat([sums, sums.new_tensor([float(told_to_stop())])])
        *means, stop = self.ranks.mean(joined).tolist()  # one transfer
        losses = dict(zip(terms, means, strict=True))
        if not math.isfinite(losses["loss"]):
            bad = ", ".join(f"{name} {value}" for name, value in losses.items() if not math.isfinite(value))
            raise TrainingDivergedError(f"the loss is not finite ({bad})")
        self.optimizer.step()
        return StepResult(losses, stop > 0, batch, output)

    def _moved(self, tensors: Batch) -> Batch:
        return {name: value.to(self.device, non_blocking=True) for name, value in tensors.items()}

    def _losses(self, batch: Batch, present: Batch) -> tuple[dict[str, Tensor], dict]:
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            output = self.network(images, as_logits=True)
        meshes = [batch["mesh"], *(batch["mesh"][:, index] for index in self.coarse_vertices)]
        maps = (batch["heatmaps"], batch["silhouette"])
        points = (batch["landmarks_px"], self.regressor, batch.get("joints"))
        terms = cmr_loss(output, meshes, *maps, self.faces, *points, present)
        return terms, output


def coarse_selections(template: Template) -> list[np.ndarray]:
    """Indices of the vertices of levels 1 to 3 among those of the finest level."""
    index = np.arange(template.num_vertices[0])
    selections = []
    for matrix in template.down[:3]:
        index = index[matrix.tocsr().indices]
        selections.append(index)
    return selections
