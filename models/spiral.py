"""Spiral convolution and the mesh decoder that is made of it (SpiralNet++, Gong et al. 2019; paper section 3.3).

Tensors are (B, V, C): batch, vertices, features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from utils.template import Template


class UpSampling(nn.Module):
    """Interpolation of features of coarse vertices at fine ones.

    Args:
        matrix: (V, V_coarse), few entries a row.
    """

    corners: Tensor
    weights: Tensor

    def __init__(self, matrix: sparse.spmatrix) -> None:
        super().__init__()
        rows = sparse.csr_matrix(matrix)
        counts = np.diff(rows.indptr)
        used = np.arange(counts.max()) < counts[:, None]  # shorter rows are filled up with weights of 0
        corners, weights = np.zeros(used.shape, np.int32), np.zeros(used.shape, np.float32)
        corners[used], weights[used] = rows.indices, rows.data
        self.register_buffer("corners", torch.from_numpy(corners.ravel()), persistent=False)
        self.register_buffer("weights", torch.from_numpy(weights)[..., None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V_coarse, C) -> (B, V, C)."""
        corners = x.index_select(1, self.corners).unflatten(1, self.weights.shape[:2])  # (B, V, entries, C)
        return (corners * self.weights).sum(2)


class SpiralConv(nn.Module):
    """Linear layer over the spiral neighbours of each vertex, side by side.

    Every vertex is multiplied by each neighbour's part of the matrix before what belongs together is gathered and added
    up: the products are smaller than the features.

    Args:
        in_channels, out_channels: features per vertex.
        spirals: (V, S) vertex indices.
    """

    places: Tensor

    def __init__(self, in_channels: int, out_channels: int, spirals: np.ndarray) -> None:
        super().__init__()
        self.length = spirals.shape[1]
        self.layer = nn.Linear(in_channels * self.length, out_channels)
        nn.init.xavier_uniform_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        places = (spirals * self.length + np.arange(self.length)).ravel().astype(np.int32)
        self.register_buffer("places", torch.from_numpy(places), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V, in_channels) -> (B, V, out_channels)."""
        out_channels, bias = self.layer.out_features, self.layer.bias
        parts = self.layer.weight.unflatten(1, (self.length, -1)).transpose(0, 1).flatten(0, 1)  # (S * out, in)
        products = F.linear(x, parts).unflatten(2, (-1, out_channels)).flatten(1, 2)  # (B, V * S, out)
        gathered = products.index_select(1, self.places).unflatten(1, (-1, self.length))  # (B, V, S, out)
        return gathered.sum(2, dtype=bias.dtype) + bias


class SpiralBlock(nn.Module):
    """Up-sampling, then three spiral convolutions of growing reach beside a vertex-wise one.

    Args:
        in_channels, out_channels: features per vertex.
        spirals: (V, S) vertex indices; row v starts with v itself.
        up: (V, V_coarse).
    """

    def __init__(self, in_channels: int, out_channels: int, spirals: np.ndarray, up: sparse.spmatrix) -> None:
        super().__init__()
        third = spirals.shape[1] // 3
        self.up = UpSampling(up)
        self.conv_2d3 = SpiralConv(in_channels, out_channels // 4, spirals[:, : third * 2])
        self.conv_d3 = SpiralConv(in_channels, out_channels // 4, spirals[:, :third])
        self.conv = SpiralConv(in_channels, out_channels // 2, spirals)
        self.conv1 = SpiralConv(in_channels, out_channels, spirals[:, :1])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V_coarse, in_channels) -> (B, V, out_channels)."""
        x = self.up(x)
        reach = torch.cat([self.conv(x), self.conv_2d3(x), self.conv_d3(x)], dim=-1)
        return torch.relu(self.conv1.layer(x) + reach)  # a spiral of one is the vertex itself


def mesh_levels(template: Template, out_channels: Sequence[int]) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Blocks and heads of a mesh decoder, coarse to fine, as it runs; widths finest level first."""
    widths = list(reversed(out_channels))
    inputs = [widths[0]] + [width + 3 for width in widths[:-1]]
    spirals, ups = list(reversed(template.spirals)), list(reversed(template.up))
    blocks = nn.ModuleList(SpiralBlock(*sizes) for sizes in zip(inputs, widths, spirals, ups, strict=True))
    heads = nn.ModuleList(SpiralConv(width, 3, level) for width, level in zip(widths, spirals, strict=True))
    return blocks, heads


def decode_levels(x: Tensor, blocks: Any, heads: Any) -> list[Tensor]:
    """Features (B, V_4, C), by `mesh_levels`, to the meshes of all levels, finest first: list of (B, V_l, 3)."""
    predictions: list[Tensor] = []
    for block, head in zip(blocks, heads, strict=True):
        x = block(x)
        prediction = head(x)
        if predictions:
            prediction = (prediction + block.up(predictions[0])) / 2
        predictions.insert(0, prediction)
        x = torch.cat([x, prediction], dim=-1)
    return predictions
