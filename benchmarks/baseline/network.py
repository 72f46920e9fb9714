"""The network in plain form: scatter-add up-sampling, one gather per spiral convolution, float32, channels first."""

import copy

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from models.cmr import CMR
from models.spiral import SpiralBlock, SpiralConv
from utils.template import Template


class PlainUpsample(nn.Module):
    """Constant sparse matrix (V_fine, V_coarse) as a scatter-add; its entries are copied to the device each time."""

    def __init__(self, matrix: sparse.spmatrix) -> None:
        super().__init__()
        entries = matrix.tocoo()
        self.rows, self.columns = entries.row.astype(np.int64), entries.col.astype(np.int64)
        self.values, self.fine = entries.data.astype(np.float32), matrix.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V_coarse, C) -> (B, V_fine, C)."""
        rows, columns = (torch.from_numpy(index).to(x.device) for index in (self.rows, self.columns))
        corners = x[:, columns] * torch.from_numpy(self.values).to(x.device)[:, None]
        return x.new_zeros(len(x), self.fine, x.shape[2]).index_add_(1, rows, corners)


class PlainSpiralConv(nn.Module):
    """Gather the spiral, then one linear layer; shares the layer of a `SpiralConv`."""

    def __init__(self, fused: SpiralConv, spirals: np.ndarray) -> None:
        super().__init__()
        self.layer, self.spirals = fused.layer, spirals[:, : fused.length].astype(np.int64)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V, C) -> (B, V, C_out)."""
        index = torch.from_numpy(self.spirals).to(x.device)
        return self.layer(x[:, index.flatten()].view(len(x), *index.shape, -1).flatten(2))


class PlainBlock(nn.Module):
    """A `SpiralBlock` without the up-sampling before it."""

    def __init__(self, block: SpiralBlock, spirals: np.ndarray) -> None:
        super().__init__()
        for name in ("conv", "conv_2d3", "conv_d3", "conv1"):
            self.add_module(name, PlainSpiralConv(getattr(block, name), spirals))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv1(x) + torch.cat([self.conv(x), self.conv_2d3(x), self.conv_d3(x)], dim=-1))


class PlainCMR(CMR):
    """A copy of a network with a plain mesh decoder, in the same training or evaluation mode."""

    def __init__(self, model: CMR, template: Template) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(copy.deepcopy(model).to(memory_format=torch.contiguous_format).__dict__)
        project, *blocks = self.de_layers
        spirals = list(reversed(template.spirals))
        self.de_layers = nn.ModuleList([project, *map(PlainBlock, blocks, spirals)])
        self.heads = nn.ModuleList(map(PlainSpiralConv, self.heads, spirals))
        self.upsample = nn.ModuleList(map(PlainUpsample, reversed(template.up)))

    def decode_mesh(self, pooled: Tensor) -> list[Tensor]:
        project, *blocks = self.de_layers
        x = project(self.attention(pooled)).view(-1, *self.coarsest)
        predictions: list[Tensor] = []
        for upsample, block, head in zip(self.upsample, blocks, self.heads, strict=True):
            x = block(upsample(x))
            prediction = head(x)
            if predictions:
                prediction = (prediction + upsample(predictions[0])) / 2
            predictions.insert(0, prediction)
            x = torch.cat([x, prediction], dim=-1)
        return predictions
