"""The same network, rearranged for inference: fewer operations, equal outputs up to rounding."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from threading import Lock

import torch
from torch import Tensor

from models import packed, residual, winograd
from models.cmr import CMR, Output
from models.folding import composed, fold_batch_norm
from models.fused_spiral import FusedSpirals
from models.hand_trunk import SameConv
from models.layers import ConvBlock
from models.mobile import MobileCMR
from models.spiral import SpiralBlock, SpiralConv

COMPILERS = ("none", "default", "cudagraphs")
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
AT_ONCE = 8  # images on a CPU: on two cores as fast as more, and what they become takes less memory


class _Rearranged:
    """A copy of a network with batch normalisation folded into the convolutions.

    Not for training and not for checkpoints: its parameters are no longer those of the files.

    Args:
        model: stays as it is.
        precision: a key of `PRECISIONS`, of the network; outputs are float32.
    """

    def __init__(self, model: torch.nn.Module, precision: str = "float32") -> None:
        torch.nn.Module.__init__(self)
        self.__dict__.update(copy.deepcopy(model).eval().__dict__)
        self.requires_grad_(False)
        fold_batch_norm(self)
        self._fold()
        self.dtype = PRECISIONS[precision]
        self.at_once: int | None = None  # more images are done one part after the other
        self.to(memory_format=torch.channels_last)
        for parameter in self.parameters():  # not the buffers: the mesh's constants stay exact
            parameter.data = parameter.data.to(self.dtype)

    def _fold(self) -> None:
        """Whatever else can be folded."""

    def forward(self, images: Tensor, as_logits: bool = False) -> Output:
        """As the network's; images may have any floating type and memory format."""
        if self.at_once is None or len(images) <= self.at_once or images.device.type != "cpu":
            return self._some(images, as_logits)
        parts = [self._some(part, as_logits) for part in images.tensor_split(-(-len(images) // self.at_once))]
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def _some(self, images: Tensor, as_logits: bool) -> Output:
        output = super().forward(images.to(self.dtype, memory_format=torch.channels_last), as_logits)
        return {
            name: [level.float() for level in value] if isinstance(value, list) else value.float()
            for name, value in output.items()
        }


def _joined(parts: Sequence[Tensor] | Sequence[list[Tensor]]) -> Tensor | list[Tensor]:
    """Outputs of several batches as of one."""
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return [torch.cat(levels) for levels in zip(*parts, strict=True)]


class InferenceCMR(_Rearranged, CMR):
    """A network of the paper, its sub-poses folded into the convolution that reads them. See `_Rearranged`."""

    def _fold(self) -> None:
        encoder = self.get_submodule(self.variant.stages[-1].encoder)
        self._fold_sub_poses(encoder.reduce[0].conv)
        if isinstance(self.attention, torch.nn.Identity) and encoder.fc.in_features < encoder.fc.out_features:
            self.de_layers[0] = composed(encoder.fc, self.de_layers[0])
            encoder.fc = torch.nn.Identity()

    def _fold_sub_poses(self, convolution: torch.nn.Conv2d) -> None:
        """A convolution of sums of heat maps is a convolution of the heat maps with summed weights."""
        membership = self.sub_pose.membership  # (groups, joints)
        groups, joints = membership.shape
        weight = convolution.weight
        kept, folded = weight[:, :-groups].clone(), weight[:, -groups:]
        kept[:, -joints:] += torch.einsum("osyx,sj->ojyx", folded, membership)
        convolution.weight = torch.nn.Parameter(kept, requires_grad=False)
        convolution.in_channels -= groups
        self.sub_pose = None


class InferenceMobileCMR(_Rearranged, MobileCMR):
    """The mobile network. A single image on a CPU is for a single thread: to hand parts of its small layers to others
    takes longer than to do them. See `_Rearranged`."""

    def _some(self, images: Tensor, as_logits: bool) -> Output:
        alone = len(images) == 1 and images.device.type == "cpu"
        with _single_thread if alone else nullcontext():
            return super()._some(images, as_logits)


class _SingleThread:
    """A context in which PyTorch uses one thread, in all threads of the program: the last to leave restores theirs."""

    def __init__(self) -> None:
        self.lock, self.inside, self.threads = Lock(), 0, 1

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.threads = torch.get_num_threads()
            self.inside += 1
            torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            torch.set_num_threads(self.threads if self.inside == 0 else 1)


_single_thread = _SingleThread()


def for_inference(model: CMR | MobileCMR, precision: str = "float32", compiled: str = "none") -> torch.nn.Module:
    """The same network, rearranged. On a CPU, and not compiled, also its convolutions, and large batches in parts: a
    compiler has its own ways.

    Args:
        precision: a key of `PRECISIONS`.
        compiled: see `compile_network`.
    """
    network = (InferenceMobileCMR if isinstance(model, MobileCMR) else InferenceCMR)(model, precision)
    on_cpu = next(network.parameters()).device.type == "cpu"
    if on_cpu and compiled == "none":
        exchange_convolutions(network)
        network.at_once = AT_ONCE
    return compile_network(network, compiled)


def exchange_convolutions(module: torch.nn.Module) -> None:
    """Exchange the convolutions inside a module, those of spirals too, for equal ones that are faster on a CPU, where
    there are, and let them do the ReLU and the sum of their block."""
    for name, child in module.named_children():
        if residual.suits(child):
            child = residual.FusedBlock(child, lambda convolution: _exchanged(convolution, relu=True))
            setattr(module, name, child)
        if isinstance(child, SpiralBlock | SpiralConv):
            setattr(module, name, FusedSpirals(child))
            continue
        if not isinstance(child, torch.nn.Conv2d):
            exchange_convolutions(child)
            continue
        block_with_relu = isinstance(module, ConvBlock) and isinstance(module.relu, torch.nn.ReLU)
        relu = block_with_relu and isinstance(module.norm, torch.nn.Identity)
        exchanged = _exchanged(child, relu)
        setattr(module, name, exchanged)
        if relu and exchanged is not child:
            module.relu = torch.nn.Identity()


def _exchanged(convolution: torch.nn.Conv2d, relu: bool) -> torch.nn.Module:
    if isinstance(convolution, SameConv) and packed.WITH_ONEDNN:
        return packed.PackedConv(convolution, "hardtanh" if convolution.clipped else "none", convolution.extra)
    if winograd.suits(convolution):
        return winograd.WinogradConv(convolution, relu)
    return packed.PackedConv(convolution, "relu" if relu else "none") if packed.suits(convolution) else convolution


def compile_network(model: torch.nn.Module, how: str) -> torch.nn.Module:
    """Hand a network to `torch.compile`: `none` leaves it, `cudagraphs` also records its kernels (CUDA only).

    The first call takes half a minute or more, and one more for every new batch size.
    """
    if how == "none":
        return model
    return torch.compile(model, mode="reduce-overhead" if how == "cudagraphs" else "default", dynamic=False)
