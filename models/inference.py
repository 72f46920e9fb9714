"""The same network, rearranged for inference: fewer operations, equal outputs up to rounding."""

import copy

import torch
from torch import Tensor

from models.cmr import CMR
from models.folding import fold_batch_norm
from models.subpose import SubPoseAggregation

COMPILERS = ("none", "default", "cudagraphs")
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


class InferenceCMR(CMR):
    """A copy of a network with batch normalisation and sub-poses folded into the convolutions.

    Not for training and not for checkpoints: its parameters are no longer those of the released files.

    Args:
        model: stays as it is.
        precision: a key of `PRECISIONS`, of the network; outputs are float32.
    """

    def __init__(self, model: CMR, precision: str = "float32") -> None:
        torch.nn.Module.__init__(self)
        self.__dict__.update(copy.deepcopy(model).eval().__dict__)
        self.requires_grad_(False)
        fold_batch_norm(self)
        self._fold_sub_poses()
        self.dtype = PRECISIONS[precision]
        self.to(memory_format=torch.channels_last)
        for parameter in self.parameters():  # not the buffers: the mesh's constants stay exact
            parameter.data = parameter.data.to(self.dtype)

    def _fold_sub_poses(self) -> None:
        """A convolution of sums of heat maps is a convolution of the heat maps with summed weights."""
        convolution = self.get_submodule(self.variant.stages[-1].encoder).reduce[0].conv
        membership = self.sub_pose.membership  # (groups, joints)
        groups, joints = membership.shape
        weight = convolution.weight
        kept, folded = weight[:, :-groups].clone(), weight[:, -groups:]
        kept[:, -joints:] += torch.einsum("osyx,sj->ojyx", folded, membership)
        convolution.weight = torch.nn.Parameter(kept, requires_grad=False)
        convolution.in_channels -= groups
        self.sub_pose = SubPoseAggregation(())

    def forward(self, images: Tensor, as_logits: bool = False) -> dict[str, Tensor | list[Tensor]]:
        """As `CMR.forward`; images may have any floating type and memory format."""
        images = images.to(self.dtype, memory_format=torch.channels_last)
        output = super().forward(images, as_logits)
        return {
            name: [level.float() for level in value] if isinstance(value, list) else value.float()
            for name, value in output.items()
        }


def compile_network(model: torch.nn.Module, how: str) -> torch.nn.Module:
    """Hand a network to `torch.compile`: `none` leaves it, `cudagraphs` also records its kernels (CUDA only).

    The first call takes half a minute or more, and one more for every new batch size.
    """
    if how == "none":
        return model
    return torch.compile(model, mode="reduce-overhead" if how == "cudagraphs" else "default", dynamic=False)
