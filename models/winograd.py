"""3x3 convolutions on a CPU with a quarter of the multiplications: Winograd's F(4x4, 3x3) (Lavin and Gray 2016).

Each tile of 4x4 results needs 6x6 inputs. Transformed, every one of the 36 places is a product of its own, of all
tiles with one matrix (in, out). The transforms are additions, compiled by numba; the products are a library's.
Equal to the direct convolution up to rounding.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
import numpy as np
import torch
from torch import Tensor, nn

TILE, PATCH = 4, 6  # results and inputs of a tile, a side
PLACES = PATCH * PATCH
FEWEST_TILES = 16  # of all images; fewer do not pay for reading four times as many weights
MOST_WEIGHTS = 200_000  # in x out; larger ones stand where maps are smaller than that, and would fill the memory
COLUMN = (  # from the taps of a column to its places
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
TWO, FOUR, FIVE, EIGHT = np.float32(2), np.float32(4), np.float32(5), np.float32(8)
compiled = numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")


class WinogradConv(nn.Module):
    """A 3x3 convolution of stride 1, zero padding 1, for float32 inference on a CPU.

    Args:
        convolution: see `suits`.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.direct = convolution
        transform = torch.tensor(COLUMN, dtype=torch.float64)
        weight = convolution.weight.detach().double()  # (out, in, 3, 3)
        places = torch.einsum("ia,oqab,jb->ijqo", transform, weight, transform).flatten(0, 1)
        self.register_buffer("places", places.to(convolution.weight.dtype).contiguous(), persistent=False)
        bias = convolution.bias if convolution.bias is not None else torch.zeros(convolution.out_channels)
        self.register_buffer("bias", bias.detach().clone(), persistent=False)

    @torch.compiler.disable
    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W), channels last."""
        batch, channels, height, width = x.shape
        down, across = -(-height // TILE), -(-width // TILE)
        if batch * down * across < FEWEST_TILES:
            return self.direct(x)
        image = x.permute(0, 2, 3, 1).contiguous()
        spread = torch.empty(PLACES, batch * down * across, channels)
        _in_shares(_spread, batch * down, image.numpy(), spread.numpy())
        products = torch.bmm(spread, self.places)
        result = torch.empty(batch, height, width, len(self.bias))
        _in_shares(_gather, batch * down, products.numpy(), self.bias.numpy(), result.numpy())
        return result.permute(0, 3, 1, 2)


def use_winograd(module: nn.Module) -> None:
    """Put `WinogradConv` in the place of every convolution inside a module that it suits."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and suits(child):
            setattr(module, name, WinogradConv(child))
        else:
            use_winograd(child)


def suits(convolution: nn.Conv2d) -> bool:
    """Whether `WinogradConv` does the same as a convolution, and can be faster."""
    if convolution.in_channels * convolution.out_channels > MOST_WEIGHTS:
        return False
    same = ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
    return same == (
        convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation, convolution.groups,
        convolution.padding_mode,
    )  # fmt: skip


def _in_shares(kernel: Callable, rows: int, *arrays: np.ndarray) -> None:
    """Run a kernel over rows of tiles, as many at a time as PyTorch has threads."""
    shares = min(torch.get_num_threads(), rows)
    bounds = [rows * share // shares for share in range(shares + 1)]
    pool = _pool(os.getpid())  # a forked process has none of the threads
    others = [pool.submit(kernel, *arrays, *bounds[share : share + 2]) for share in range(1, shares)]
    kernel(*arrays, *bounds[:2])
    for other in others:
        other.result()


@cache
def _pool(_process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="winograd")


@compiled
def _spread(image: np.ndarray, spread: np.ndarray, first: int, last: int) -> None:
    """Patches of rows of tiles to their places: image (B, H, W, C) -> spread (36, B * down * across, C)."""
    _, height, width, channels = image.shape
    down, across = -(-height // TILE), -(-width // TILE)
    tiles = spread.shape[1]
    wide = (TILE * across + 2) * channels  # of a row with its padding
    padded, upright = np.zeros(PATCH * wide, np.float32), np.empty(PATCH * wide, np.float32)
    source, places = image.reshape(-1), spread.reshape(-1)
    for row in range(first, last):
        index, top = row // down, row % down * TILE - 1
        for k in range(PATCH):
            line = padded[k * wide : (k + 1) * wide]
            if 0 <= top + k < height:
                start = (index * height + top + k) * width * channels
                line[channels : (width + 1) * channels] = source[start : start + width * channels]
            else:
                line[:] = 0
        _to_places(padded, 0, wide, upright, 0, wide, wide)
        for k in range(PATCH):
            for column in range(across):
                start = k * wide + column * TILE * channels
                to = (k * PATCH * tiles + row * across + column) * channels
                _to_places(upright, start, channels, places, to, tiles * channels, channels)


@compiled
def _to_places(source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int) -> None:
    """Six runs of numbers, `step` apart, to their six places. One loop each: each is then vector instructions."""
    d0, d1, d2 = (
        source[start : start + count],
        source[start + step : start + step + count],
        source[start + 2 * step : start + 2 * step + count],
    )
    d3, d4, d5 = (
        source[start + 3 * step : start + 3 * step + count],
        source[start + 4 * step : start + 4 * step + count],
        source[start + 5 * step : start + 5 * step + count],
    )
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


@compiled
def _gather(products: np.ndarray, bias: np.ndarray, result: np.ndarray, first: int, last: int) -> None:
    """Places of rows of tiles to results: products (36, B * down * across, C) -> result (B, H, W, C)."""
    _, height, width, channels = result.shape
    down, across = -(-height // TILE), -(-width // TILE)
    tiles = products.shape[1]
    run = across * channels  # of the tiles of a row
    upright = np.empty(TILE * PATCH * run, np.float32)  # (result's row, place across, tile, channel)
    line = np.empty(TILE * channels, np.float32)
    source, target = products.reshape(-1), result.reshape(-1)
    for row in range(first, last):
        index, top = row // down, row % down * TILE
        for k in range(PATCH):
            start = (k * tiles + row * across) * channels
            _from_places(source, start, PATCH * tiles * channels, upright, k * run, PATCH * run, run)
        for k in range(min(TILE, height - top)):
            for column in range(across):
                _from_places(upright, k * PATCH * run + column * channels, run, line, 0, channels, channels)
                kept = min(TILE, width - column * TILE)
                to = ((index * height + top + k) * width + column * TILE) * channels
                for j in range(kept):
                    out = target[to + j * channels : to + (j + 1) * channels]
                    part = line[j * channels : (j + 1) * channels]
                    for i in range(channels):
                        out[i] = part[i] + bias[i]


@compiled
def _from_places(
    source: np.ndarray, start: int, step: int, target: np.ndarray, to: int, stride: int, count: int
) -> None:
    """Six places, `step` apart, to four results."""
    m0, m1, m2 = (
        source[start : start + count],
        source[start + step : start + step + count],
        source[start + 2 * step : start + 2 * step + count],
    )
    m3, m4, m5 = (
        source[start + 3 * step : start + 3 * step + count],
        source[start + 4 * step : start + 4 * step + count],
        source[start + 5 * step : start + 5 * step + count],
    )
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
