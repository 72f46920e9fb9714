"""3x3 convolutions on a CPU with fewer multiplications: Winograd's F(4x4, 3x3) and F(2x2, 3x3) (Lavin and Gray 2016).

Each tile of 4x4 results needs 6x6 inputs. Transformed, every one of the 36 places is a product of its own, of all
tiles with one matrix (in, out): a quarter of the multiplications. Tiles of 2x2 save half of them, and have 16 matrices
to read instead of 36, which is what takes the time where tiles are few. The transforms are additions, compiled by
numba; the products are a library's. Equal to the direct convolution up to rounding.
"""

import threading

import numba
import numpy as np
import torch
from torch import Tensor, nn

from models.layers import bias_or_zeros, is_float32_inference, lowest_after
from models.packed import PackedConv
from utils.compiled import compiled, compiled_in_parallel, share_bounds, share_out

LARGE, SMALL = 4, 2  # results of a tile, a side; its inputs are 2 more
FEWEST_TILES = 16  # large ones, of all images; fewer do not pay for reading more weights than the direct convolution
FEW_TILES = 32  # large ones; for fewer, reading the matrices takes longer than multiplying
MOST_TILES = 1024  # at a time: what is between the transforms is to stay in the caches
MOST_WEIGHTS = 200_000  # in x out; those with more stand where maps have few tiles, and would fill the memory: 61
# numbers for each pair of channels where both kinds of tile and the direct convolution have been used
COLUMN = {  # of a tile: from the taps of a column to its positions
    LARGE: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    SMALL: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
}
TWO, FOUR, FIVE, EIGHT = np.float32(2), np.float32(4), np.float32(5), np.float32(8)


class _Scratch(threading.local):
    """Arrays that a thread's calls use one after the other, kept as long as the thread: fresh memory costs more to get
    than to fill."""

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A float32 array with anything in it."""
        size = int(np.prod(shape))
        if name not in self.__dict__ or getattr(self, name).size < size:
            setattr(self, name, np.empty(size, np.float32))
        return getattr(self, name)[:size].reshape(shape)


_SCRATCH = _Scratch()


class WinogradConv(nn.Module):
    """A 3x3 convolution of stride 1 with zero padding 1. Whatever is not float32 inference on a CPU, or too small, is
    left to the direct convolution.

    Args:
        convolution: see `suits`.
        relu: whether what is negative becomes zero.
    """

    def __init__(self, convolution: nn.Conv2d, relu: bool = False) -> None:
        super().__init__()
        self.direct = PackedConv(convolution, "relu" if relu else "none")
        self.lowest = lowest_after(relu)
        # Of the tiles that have been used. No buffers: they are only ever of use to float32 on a CPU.
        self.matrices: dict[int, Tensor] = {}
        self.register_buffer("bias", bias_or_zeros(convolution).float(), persistent=False)

    def __getstate__(self) -> dict[str, object]:
        """For copies and pickles, which make the matrices anew."""
        return super().__getstate__() | {"matrices": {}}

    @torch.compiler.disable
    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W), channels last.

        Args:
            added: of the result's shape, to be added before the ReLU.
        """
        batch, _, height, width = x.shape
        large = batch * -(-height // LARGE) * -(-width // LARGE)
        if large < FEWEST_TILES or not is_float32_inference(self.bias, x, added):
            return self.direct(x, added)
        tile = LARGE if large >= FEW_TILES else SMALL
        if tile not in self.matrices:
            self.matrices[tile] = _transformed(self.direct.weight, tile)
        down, across = -(-height // tile), -(-width // tile)
        image = _pixels(x)
        result = image.new_empty(batch, height, width, len(self.bias))
        added = result[:0] if added is None else _pixels(added.expand(batch, len(self.bias), height, width))
        at_once = max(MOST_TILES // across, 1)
        for first in range(0, batch * down, at_once):
            rows = min(at_once, batch * down - first)
            self._rows_of_tiles(tile, image, added, result, first, rows, rows * across)
        return result.permute(0, 3, 1, 2)

    def _rows_of_tiles(
        self, tile: int, image: Tensor, added: Tensor, result: Tensor, first: int, rows: int, tiles: int
    ) -> None:
        pixels, extra, found, bias = image.numpy(), added.numpy(), result.numpy(), self.bias.numpy()
        matrices = self.matrices[tile]
        patches = _SCRATCH.array("patches", (len(matrices), tiles, pixels.shape[-1]))
        products = _SCRATCH.array("products", (len(matrices), tiles, len(bias)))
        share_out(_spread, _spread_all, rows, pixels, tile, patches, first)
        torch.bmm(torch.from_numpy(patches), matrices, out=torch.from_numpy(products))
        share_out(_gather, _gather_all, rows, products, tile, bias, extra, self.lowest, found, first)


def _transformed(weight: Tensor, tile: int) -> Tensor:
    """(out, in, 3, 3) to one matrix (in, out) for each of the (tile + 2)^2 places."""
    transform = torch.tensor(COLUMN[tile], dtype=torch.float64, device="cpu")
    matrices = torch.einsum("ia,oqab,jb->ijqo", transform, weight.to("cpu", torch.float64), transform)
    return matrices.flatten(0, 1).float().contiguous()


def suits(module: nn.Module) -> bool:
    """Whether a module is a convolution that `WinogradConv` does as well, and can do faster."""
    if type(module) is not nn.Conv2d or module.weight.dtype != torch.float32:
        return False
    if module.in_channels * module.out_channels > MOST_WEIGHTS:
        return False
    found = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups, module.padding_mode)
    return found == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def _pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C)."""
    return x.detach().permute(0, 2, 3, 1).contiguous()


@compiled_in_parallel
def _spread_all(arguments: tuple, rows: int, shares: int) -> None:
    """`_spread` of all rows of tiles."""
    for share in numba.prange(shares):
        _spread(*(arguments + share_bounds(rows, share, shares)))


@compiled
def _spread(image: np.ndarray, tile: int, spread: np.ndarray, first: int, start: int, end: int) -> None:
    """Patches of tiles, transformed: image (B, H, W, C) -> spread (P, T, C), P = (tile + 2)^2.

    Args:
        first: row of tiles of all images that the T tiles begin with.
        start, end: rows of these to do.
    """
    _, height, width, channels = image.shape
    patch, down, across = tile + 2, -(-height // tile), -(-width // tile)
    tiles = spread.shape[1]
    wide = (tile * across + 2) * channels  # of a row with its padding
    padded, upright = np.zeros(patch * wide, np.float32), np.empty(patch * wide, np.float32)
    source, target = image.reshape(-1), spread.reshape(-1)
    for row in range(start, end):
        index, top = (first + row) // down, (first + row) % down * tile - 1
        for k in range(patch):
            line = padded[k * wide : (k + 1) * wide]
            if 0 <= top + k < height:
                begin = (index * height + top + k) * width * channels
                line[channels : (width + 1) * channels] = source[begin : begin + width * channels]
            else:
                line[:] = 0
        _transform(tile, padded, 0, wide, upright, 0, wide, wide)
        for k in range(patch):
            for column in range(across):
                begin = k * wide + column * tile * channels
                to = (k * patch * tiles + row * across + column) * channels
                _transform(tile, upright, begin, channels, target, to, tiles * channels, channels)


@compiled
def _transform(
    tile: int, source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int
) -> None:
    """Runs of pixels, `step` apart, to as many positions. One loop each: each is then vector instructions."""
    if tile == LARGE:
        _transform_large(source, start, step, target, to, stride, count)
    else:
        _transform_small(source, start, step, target, to, stride, count)


@compiled
def _transform_small(
    source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int
) -> None:
    """Four runs of pixels to four positions."""
    d0, d1, d2, d3, _, _ = _runs(source, start, step, count)
    out = target[to : to + count]
    for i in range(count):
        out[i] = d0[i] - d2[i]
    out = target[to + stride : to + stride + count]
    for i in range(count):
        out[i] = d1[i] + d2[i]
    out = target[to + 2 * stride : to + 2 * stride + count]
    for i in range(count):
        out[i] = d2[i] - d1[i]
    out = target[to + 3 * stride : to + 3 * stride + count]
    for i in range(count):
        out[i] = d1[i] - d3[i]


@compiled
def _runs(source: np.ndarray, start: int, step: int, count: int) -> tuple[np.ndarray, ...]:
    """Six runs of `count` numbers, `step` apart; the last two may be past the end."""
    second, third = start + step, start + 2 * step
    fourth, fifth, sixth = third + step, third + 2 * step, third + 3 * step
    return (
        source[start : start + count],
        source[second : second + count],
        source[third : third + count],
        source[fourth : fourth + count],
        source[fifth : fifth + count],
        source[sixth : sixth + count],
    )


@compiled
def _transform_large(
    source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int
) -> None:
    """Six runs of pixels to six positions."""
    d0, d1, d2, d3, d4, d5 = _runs(source, start, step, count)
    out = target[to : to + count]
    for i in range(count):
        out[i] = FOUR * d0[i] - FIVE * d2[i] + d4[i]
    out = target[to + stride : to + stride + count]
    for i in range(count):
        out[i] = (d3[i] + d4[i]) - FOUR * (d1[i] + d2[i])
    out = target[to + 2 * stride : to + 2 * stride + count]
    for i in range(count):
        out[i] = (d4[i] - d3[i]) + FOUR * (d1[i] - d2[i])
    out = target[to + 3 * stride : to + 3 * stride + count]
    for i in range(count):
        out[i] = (d4[i] - d2[i]) + TWO * (d3[i] - d1[i])
    out = target[to + 4 * stride : to + 4 * stride + count]
    for i in range(count):
        out[i] = (d4[i] - d2[i]) - TWO * (d3[i] - d1[i])
    out = target[to + 5 * stride : to + 5 * stride + count]
    for i in range(count):
        out[i] = FOUR * d1[i] - FIVE * d3[i] + d5[i]


@compiled_in_parallel
def _gather_all(arguments: tuple, rows: int, shares: int) -> None:
    """`_gather` of all rows of tiles."""
    for share in numba.prange(shares):
        _gather(*(arguments + share_bounds(rows, share, shares)))


@compiled
def _gather(
    products: np.ndarray,
    tile: int,
    bias: np.ndarray,
    added: np.ndarray,
    lowest: float,
    result: np.ndarray,
    first: int,
    start: int,
    end: int,
) -> None:
    """Products of tiles (P, T, C) to the result (B, H, W, C), nothing below `lowest`; see `_spread`.

    Args:
        added: to the result before that, of its size or empty.
    """
    _, height, width, channels = result.shape
    patch, down, across = tile + 2, -(-height // tile), -(-width // tile)
    tiles = products.shape[1]
    run = across * channels  # of the tiles of a row
    upright = np.empty(tile * patch * run, np.float32)  # (result's row, place across, tile, channel)
    line, nothing = np.empty(tile * channels, np.float32), np.zeros(channels, np.float32)
    source, extra, target = products.reshape(-1), added.reshape(-1), result.reshape(-1)
    for row in range(start, end):
        index, top = (first + row) // down, (first + row) % down * tile
        for k in range(patch):
            begin = (k * tiles + row * across) * channels
            _transform_back(tile, source, begin, patch * tiles * channels, upright, k * run, patch * run, run)
        for k in range(min(tile, height - top)):
            for column in range(across):
                _transform_back(tile, upright, k * patch * run + column * channels, run, line, 0, channels, channels)
                kept = min(tile, width - column * tile)
                to = ((index * height + top + k) * width + column * tile) * channels
                for j in range(kept):
                    pixel = to + j * channels
                    out = target[pixel : pixel + channels]
                    part = line[j * channels : (j + 1) * channels]
                    more = extra[pixel : pixel + channels] if len(extra) > 0 else nothing
                    for i in range(channels):
                        out[i] = max(part[i] + bias[i] + more[i], lowest)


@compiled
def _transform_back(
    tile: int, source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int
) -> None:
    """Positions, `step` apart, to the results of a tile."""
    if tile == LARGE:
        _transform_back_large(source, start, step, target, to, stride, count)
    else:
        _transform_back_small(source, start, step, target, to, stride, count)


@compiled
def _transform_back_small(
    source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int
) -> None:
    """Four positions to two results."""
    m0, m1, m2, m3, _, _ = _runs(source, start, step, count)
    out = target[to : to + count]
    for i in range(count):
        out[i] = m0[i] + (m1[i] + m2[i])
    out = target[to + stride : to + stride + count]
    for i in range(count):
        out[i] = (m1[i] - m2[i]) - m3[i]


@compiled
def _transform_back_large(
    source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int
) -> None:
    """Six positions to four results."""
    m0, m1, m2, m3, m4, m5 = _runs(source, start, step, count)
    out = target[to : to + count]
    for i in range(count):
        out[i] = m0[i] + (m1[i] + m2[i]) + (m3[i] + m4[i])
    out = target[to + stride : to + stride + count]
    for i in range(count):
        out[i] = (m1[i] - m2[i]) + TWO * (m3[i] - m4[i])
    out = target[to + 2 * stride : to + 2 * stride + count]
    for i in range(count):
        out[i] = (m1[i] + m2[i]) + FOUR * (m3[i] + m4[i])
    out = target[to + 3 * stride : to + 3 * stride + count]
    for i in range(count):
        out[i] = (m1[i] - m2[i]) + EIGHT * (m3[i] - m4[i]) + m5[i]
