"""Spiral convolutions for inference on a CPU: all of a block are one product and one compiled sum."""

import numba
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import at_least_float32, is_float32_inference, lowest_after
from models.packed import PackedLinear
from models.spiral import SpiralBlock, SpiralConv
from utils.compiled import compiled, compiled_in_parallel, share_bounds, share_out


class FusedSpirals(nn.Module):
    """A `SpiralConv`, or all of a `SpiralBlock` with its ReLU: equal up to rounding.

    The convolutions of a block read the same neighbours, some of them only the nearest ones. So what a neighbour adds
    to the channels of all of them lies in one run of the product, which is shorter for those farther away.

    Args:
        layer: stays as it is.
    """

    def __init__(self, layer: SpiralConv | SpiralBlock) -> None:
        super().__init__()
        is_block = isinstance(layer, SpiralBlock)
        reach = [layer.conv, layer.conv_2d3, layer.conv_d3] if is_block else [layer]
        parts = [one.layer.weight.detach().unflatten(1, (one.length, -1)).transpose(0, 1) for one in reach]
        steps = [torch.cat([part[step] for part in parts if step < len(part)]) for step in range(reach[0].length)]
        bias = at_least_float32(torch.cat([one.layer.bias.detach() for one in reach]))
        if is_block:  # the vertex-wise layer reads what each spiral begins with
            steps[0] = steps[0] + layer.conv1.layer.weight.detach()
            bias = bias + layer.conv1.layer.bias.detach()
        self.widths = [len(step) for step in steps]
        self.columns = np.cumsum([0, *self.widths])
        self.is_block, self.lowest = is_block, lowest_after(is_block)
        self.gather = reach[0].gather
        self.vertices = len(self.gather.transposed_start) // len(self.widths)  # of the coarser level
        self.product = PackedLinear(torch.cat(steps))
        self.register_buffer("bias", bias, persistent=False)

    @torch.compiler.disable
    def forward(self, x: Tensor) -> Tensor:
        """x: (V_coarse, B, in_channels) -> (V, B, out_channels), as `SpiralConv` and `SpiralBlock`. Raises ValueError
        for another number of vertices."""
        if len(x) != self.vertices:  # compiled code would not notice
            raise ValueError(f"{len(x)} vertices where the spirals are of {self.vertices}")
        products = at_least_float32(self.product(x.flatten(0, 1)))
        products = products.unflatten(0, x.shape[:2])  # (V_coarse, B, channels of all steps)
        direct = is_float32_inference(self.bias, products)
        found = self._summed_by_loops(products) if direct else self._summed(products)
        return found.to(x.dtype) if self.is_block else found

    def _summed_by_loops(self, products: Tensor) -> Tensor:
        gather = self.gather
        found = products.new_empty(len(gather.start), products.shape[1], len(self.bias))
        share_out(
            _sum,
            _sum_all,
            len(found),
            products.detach().numpy(),
            self.columns,
            gather.index.numpy(),
            gather.start.numpy(),
            gather.weight.numpy(),
            self.bias.numpy(),
            self.lowest,
            found.numpy(),
        )
        return found

    def _summed(self, products: Tensor) -> Tensor:
        widest = self.widths[0]
        parts = zip(products.split(self.widths, dim=-1), self.widths, strict=True)
        found = self.gather(torch.cat([F.pad(part, (0, widest - width)) for part, width in parts])) + self.bias
        return found.clamp(min=float(self.lowest))  # as a ReLU, or as it is


@compiled_in_parallel
def _sum_all(arguments: tuple, count: int, shares: int) -> None:
    """`_sum` of all vertices, `count` of them."""
    for share in numba.prange(shares):
        _sum(*(arguments + share_bounds(count, share, shares)))


@compiled
def _sum(
    products: np.ndarray,
    columns: np.ndarray,
    index: np.ndarray,
    begins: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    lowest: float,
    result: np.ndarray,
    start: int,
    end: int,
) -> None:
    """Weighted sums of runs of products (V_coarse, B, N) to the result (V, B, C), nothing below `lowest`.

    Args:
        columns: where the run of each step along the spiral begins, and where the last one ends.
        index, begins, weight: of each vertex's sum, see `SparseSum`; the coarse vertices, once for each step.
        start, end: vertices to do.
    """
    coarse, samples, wide = products.shape
    source = products.reshape(-1)
    for vertex in range(start, end):
        stop = begins[vertex + 1] if vertex + 1 < len(begins) else len(index)
        for sample in range(samples):
            out = result[vertex, sample]
            out[:] = bias
            for k in range(begins[vertex], stop):
                step, row, factor = index[k] // coarse, index[k] % coarse, weight[k]
                first = (row * samples + sample) * wide
                run = source[first + columns[step] : first + columns[step + 1]]
                for i in range(len(run)):
                    out[i] += factor * run[i]
            for i in range(len(out)):
                out[i] = max(out[i], lowest)
