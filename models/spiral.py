"""Graph operations of the mesh decoder: spiral convolution and constant up-sampling.

A spiral convolution gathers the neighbours of each vertex and multiplies them by one matrix (SpiralNet++, Gong et al.
2019). The gather, and the up-sampling before it, are constant and linear in the vertices; the matrix is linear in the
features: they commute. Here the vertices of the coarser level, half as many, are multiplied by each neighbour's part
of the matrix, and one sparse sum per fine vertex does the rest. That is half the arithmetic, and no copy of 27 times
the features.

Tensors are (V, B, C), vertices first: a sparse sum then runs over whole rows of the batch.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn


class SparseSum(nn.Module):
    """Multiplication by a constant sparse matrix (R, N), in float32 or better: (N, ...) -> (R, ...)."""

    def __init__(self, matrix: sparse.spmatrix) -> None:
        super().__init__()
        self._register("", matrix)
        self._register("transposed_", matrix.T)  # for the gradient

    def _register(self, prefix: str, matrix: sparse.spmatrix) -> None:
        rows = sparse.csr_matrix(matrix)
        rows.sum_duplicates()
        for name, values in (("index", rows.indices), ("start", rows.indptr[:-1]), ("weight", rows.data)):
            values = values.astype(np.float32 if name == "weight" else np.int64)
            self.register_buffer(prefix + name, torch.from_numpy(values), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        forward = (self.index, self.start, self.weight.to(x.dtype))
        backward = (self.transposed_index, self.transposed_start, self.transposed_weight.to(x.dtype))
        summed = _SparseSum.apply(x.flatten(1), *forward, *backward)
        return summed.unflatten(1, x.shape[1:])


class _SparseSum(torch.autograd.Function):
    """Rows of weighted sums; the gradient is the same with the transposed matrix, so it is deterministic as well."""

    @staticmethod
    def forward(ctx, x, index, start, weight, *backward):  # noqa: ANN001, ANN002, ANN205
        ctx.save_for_backward(*backward)
        return F.embedding_bag(index, x, start, mode="sum", per_sample_weights=weight)

    @staticmethod
    def backward(ctx, gradient):  # noqa: ANN001, ANN205
        index, start, weight = ctx.saved_tensors
        summed = F.embedding_bag(index, gradient.contiguous(), start, mode="sum", per_sample_weights=weight)
        return summed, *(None,) * 6


class SpiralConv(nn.Module):
    """Linear layer over the spiral neighbours of each vertex, optionally after an up-sampling.

    Args:
        in_channels, out_channels: features per vertex.
        spirals: (V, S) vertex indices; row v starts with v itself.
        up: (V, V_coarse), the up-sampling; None where the input already is of the level of the spirals.
    """

    def __init__(
        self, in_channels: int, out_channels: int, spirals: np.ndarray, up: sparse.spmatrix | None = None
    ) -> None:
        super().__init__()
        vertices, length = spirals.shape
        self.length = length
        self.layer = nn.Linear(in_channels * length, out_channels)
        nn.init.xavier_uniform_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        rows = np.arange(vertices).repeat(length)
        columns = (np.arange(length) * vertices + spirals).ravel()  # which neighbour, then which vertex that is
        gather = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(vertices, length * vertices))
        if up is not None:
            gather = gather @ sparse.kron(sparse.identity(length), up, format="csr")
        self.gather = SparseSum(gather)

    def forward(self, x: Tensor) -> Tensor:
        """x: (V_coarse, B, in_channels) -> (V, B, out_channels) float32."""
        parts = self.layer.weight.unflatten(1, (self.length, -1)).permute(1, 2, 0)  # (S, in, out)
        products = torch.bmm(x.flatten(0, 1).expand(self.length, -1, -1), parts)  # (S, V_coarse * B, out)
        return self.gather(products.unflatten(1, x.shape[:2]).flatten(0, 1)) + self.layer.bias


class SpiralBlock(nn.Module):
    """Up-sampling, then three spiral convolutions of growing reach beside a vertex-wise one (paper section 3.3).

    Args:
        in_channels, out_channels: features per vertex.
        spirals: (V, S) of the finer level.
        up: (V, V_coarse).
    """

    def __init__(self, in_channels: int, out_channels: int, spirals: np.ndarray, up: sparse.spmatrix) -> None:
        super().__init__()
        third = spirals.shape[1] // 3
        self.conv_2d3 = SpiralConv(in_channels, out_channels // 4, spirals[:, : third * 2], up)
        self.conv_d3 = SpiralConv(in_channels, out_channels // 4, spirals[:, :third], up)
        self.conv = SpiralConv(in_channels, out_channels // 2, spirals, up)
        self.conv1 = SpiralConv(in_channels, out_channels, spirals[:, :1], up)

    def forward(self, x: Tensor) -> Tensor:
        """x: (V_coarse, B, in_channels) -> (V, B, out_channels)."""
        reach = torch.cat([self.conv(x), self.conv_2d3(x), self.conv_d3(x)], dim=-1)
        return torch.relu(self.conv1(x) + reach).to(x.dtype)
