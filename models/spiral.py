"""Graph operations of the mesh decoder: spiral convolution and constant up-sampling.

A spiral convolution gathers the neighbours of each vertex and multiplies them by one matrix (SpiralNet++, Gong et al.
2019). The gather, and the up-sampling before it, are constant and linear in the vertices; the matrix is linear in the
features: they commute. Here the vertices of the coarser level, half as many, are multiplied by each neighbour's part
of the matrix, and one sparse sum per fine vertex does the rest. That is half the arithmetic, and no copy of 27 times
the features.

Tensors are (V, B, C), vertices first: a sparse sum then runs over whole rows of the batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from models.layers import at_least_float32
from utils.template import Template


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
        x = at_least_float32(x)
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


class _ManyProducts(torch.autograd.Function):
    """x (N, in) times each of the matrices (S, in, out): (S, N, out). The gradient of x is one product, not S of them
    to be added up."""

    @staticmethod
    def forward(ctx, x, parts):  # noqa: ANN001, ANN205
        products = torch.bmm(x.expand(len(parts), -1, -1), parts)
        ctx.save_for_backward(x.to(products.dtype), parts.to(products.dtype))  # as autocast had them
        return products

    @staticmethod
    def backward(ctx, gradient):  # noqa: ANN001, ANN205
        x, parts = ctx.saved_tensors
        of_x = gradient.transpose(0, 1).flatten(1) @ parts.mT.flatten(0, 1) if ctx.needs_input_grad[0] else None
        return of_x, torch.bmm(x.mT.expand(len(parts), -1, -1), gradient)


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
        products = _ManyProducts.apply(x.flatten(0, 1), parts)  # (S, V_coarse * B, out)
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


class MeshLevels(nn.Module):
    """From features of the coarsest vertices to meshes of all finer levels (paper section 3.3).

    Args:
        template: mesh hierarchy with spirals and up-sampling matrices.
        out_channels: widths, finest level first; the input has the last one.
    """

    def __init__(self, template: Template, out_channels: Sequence[int]) -> None:
        super().__init__()
        self.blocks, self.heads, self.upsample = mesh_levels(template, out_channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (V_4, B, C) -> list of (B, V_l, 3), finest first."""
        return decode_levels(x, self.blocks, self.heads, self.upsample)


def mesh_levels(template: Template, out_channels: Sequence[int]) -> tuple[nn.ModuleList, nn.ModuleList, nn.ModuleList]:
    """Blocks, heads and up-samplings of a mesh decoder, coarse to fine, as it runs; widths finest level first."""
    widths = list(reversed(out_channels))
    inputs = [widths[0]] + [width + 3 for width in widths[:-1]]
    spirals, ups = list(reversed(template.spirals)), list(reversed(template.up))
    blocks = nn.ModuleList(SpiralBlock(*sizes) for sizes in zip(inputs, widths, spirals, ups, strict=True))
    heads = nn.ModuleList(SpiralConv(width, 3, level) for width, level in zip(widths, spirals, strict=True))
    return blocks, heads, nn.ModuleList(SparseSum(up) for up in ups)


def decode_levels(
    x: Tensor, blocks: Sequence[nn.Module], heads: Sequence[nn.Module], upsample: Sequence[nn.Module]
) -> list[Tensor]:
    """Features (V_4, B, C) to the meshes of all levels, finest first: list of (B, V_l, 3)."""
    predictions: list[Tensor] = []
    for up, block, head in zip(upsample, blocks, heads, strict=True):
        x = block(x)
        prediction = head(x)
        if predictions:
            prediction = (prediction + up(predictions[0])) / 2
        predictions.insert(0, prediction)
        x = torch.cat([x, prediction.to(x.dtype)], dim=-1)
    return [prediction.transpose(0, 1) for prediction in predictions]
