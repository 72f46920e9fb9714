"""A network that predicts through PyTorch: on a GPU, or on a CPU without a file."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from handmesh.confidence import Calibration
from handmesh.errors import InputError
from models.cmr import CMR
from models.interface import NamedOutputs, describe
from models.mobile import MobileCMR
from models.recording import Recorded
from utils.template import Template

PRECISIONS = ("float32", "bf16")
COMPILERS = ("none", "default", "cudagraphs")
RECORDED_KERNELS = "recorded"


class TorchNetwork:
    """A network on the device of its weights; called like `handmesh.network.OnnxNetwork`.

    Args:
        model: in any mode; a copy predicts.
        template, size, mean, std, calibration: see `describe`.
        precision: one of `PRECISIONS`, of most of the arithmetic; outputs are float32.
        compiled: one of `COMPILERS`, see `compile_network`; or `recorded`, see `models.recording`; or `auto`, which is
            that on a GPU and `none` on a CPU.

    Raises:
        InputError: nothing can be recorded on a CPU.
    """

    def __init__(
        self,
        model: CMR | MobileCMR,
        template: Template,
        *,
        size: int,
        mean: float,
        std: float,
        calibration: Calibration | None = None,
        precision: str = "float32",
        compiled: str = "auto",
    ) -> None:
        self.description = describe(model, template, size=size, mean=mean, std=std, calibration=calibration)
        self.device = next(model.parameters()).device
        self.half = precision == "bf16"
        on_gpu = self.device.type == "cuda"
        if compiled == "auto":
            compiled = RECORDED_KERNELS if on_gpu else "none"
        recorded = compiled == RECORDED_KERNELS
        if recorded and not on_gpu:
            raise InputError(f"{RECORDED_KERNELS}: a network on a CPU has no kernels to record")
        network = NamedOutputs(copy.deepcopy(model)).eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._network = compile_network(network, "none" if recorded else compiled)
        self._run = Recorded(self._predict) if recorded else self._predict

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs for normalised crops (B, 3, S, S) float32, by name."""
        inputs = torch.from_numpy(images).to(self.device)
        return {name: value.cpu().numpy() for name, value in self._run(inputs).items()}

    def _predict(self, images: Tensor) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            output = self._network(images.contiguous(memory_format=torch.channels_last))
        return {name: value.float() for name, value in output.items()}


def compile_network(network: nn.Module, how: str) -> Any:
    """Hand a network to `torch.compile`: `none` leaves it, `cudagraphs` also records its kernels (CUDA only).

    The first call takes half a minute or more, and one more for every new batch size.
    """
    if how == "none":
        return network
    return torch.compile(network, mode="reduce-overhead" if how == "cudagraphs" else "default", dynamic=False)
