"""Graph operations of the mesh decoder: spiral convolution and constant up-sampling."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn


class SpiralConv(nn.Module):
    """Linear layer over the spiral neighbours of each vertex (SpiralNet++, Gong et al. 2019).

    Args:
        in_channels, out_channels: features per vertex.
        spirals: (V, S) vertex indices; row v starts with v itself.
    """

    def __init__(self, in_channels: int, out_channels: int, spirals: np.ndarray) -> None:
        super().__init__()
        self.layer = nn.Linear(in_channels * spirals.shape[1], out_channels)
        nn.init.xavier_uniform_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.register_buffer("spirals", torch.from_numpy(spirals.astype(np.int64)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V, in_channels) -> (B, V, out_channels)."""
        num_vertices, length = self.spirals.shape
        neighbours = x.index_select(1, self.spirals.flatten())  # (B, V * S, C)
        return self.layer(neighbours.view(len(x), num_vertices, length * x.shape[-1]))


class Upsample(nn.Module):
    """Multiplication by a constant sparse matrix from the coarser to the finer level.

    Args:
        matrix: (V_fine, V_coarse), a few entries per row (barycentric coordinates: three).
    """

    def __init__(self, matrix: sparse.spmatrix) -> None:
        super().__init__()
        rows = sparse.csr_matrix(matrix)
        rows.sum_duplicates()
        counts = np.diff(rows.indptr)
        width = max(1, counts.max())
        index = np.zeros((rows.shape[0], width), np.int64)
        weight = np.zeros((rows.shape[0], width), np.float32)
        slots = np.arange(width) < counts[:, None]
        index[slots] = rows.indices
        weight[slots] = rows.data
        self.register_buffer("index", torch.from_numpy(index), persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V_coarse, C) -> (B, V_fine, C)."""
        corners = x.index_select(1, self.index.flatten()).unflatten(1, self.index.shape)  # (B, V_fine, 3, C)
        return (corners * self.weight[..., None]).sum(dim=2)


class SpiralBlock(nn.Module):
    """Three spiral convolutions of growing reach beside a vertex-wise one (paper section 3.3, mesh decoder)."""

    def __init__(self, in_channels: int, out_channels: int, spirals: np.ndarray) -> None:
        super().__init__()
        third = spirals.shape[1] // 3
        self.conv_2d3 = SpiralConv(in_channels, out_channels // 4, spirals[:, : third * 2])
        self.conv_d3 = SpiralConv(in_channels, out_channels // 4, spirals[:, :third])
        self.conv = SpiralConv(in_channels, out_channels // 2, spirals)
        self.conv1 = SpiralConv(in_channels, out_channels, spirals[:, :1])

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, V, in_channels) -> (B, V, out_channels)."""
        reach = torch.cat([self.conv(x), self.conv_2d3(x), self.conv_d3(x)], dim=-1)
        return torch.relu(self.conv1(x) + reach)
