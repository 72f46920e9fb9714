"""What augmentation does to pixels, on the CPU: warp, colours and the half-size mask of a sample in one compiled call.

One, because Python's lock changes hands at every call that releases it, and between threads that costs more than the
arithmetic.
"""

import numpy as np

from datasets.augmentation import Augmentation, HandSample
from utils.compiled import compiled

FIXED, ROUND = 65536.0, 128  # positions are integers, of which 8 bits after the point count
BYTE = np.uint64(0xFF)
PAIRS, LANES, HALVES = np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0080008000800080)


def augmented_pixels(sample: HandSample, drawn: Augmentation, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (S, S, 3) and mask (S/2, S/2) uint8 of `datasets.augmentation.augment` with one interpolation, not two."""
    side = sample.image.shape[0]
    to_source = np.linalg.inv(np.vstack([drawn.affine(side, size), [0, 0, 1]]))[:2]
    image, mask = np.empty((size, size, 3), np.uint8), np.empty((size // 2, size // 2), np.uint8)
    pixels, cover = np.ascontiguousarray(sample.image), np.ascontiguousarray(sample.mask)
    _augment(pixels, cover, to_source, drawn.window_px(side, size), drawn.color_numbers(), image, mask)
    return image, mask


@compiled
def _augment(
    pixels: np.ndarray,
    cover: np.ndarray,
    to_source: np.ndarray,
    window_px: np.ndarray,
    numbers: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray,
) -> None:
    """Row by row of the result: bilinear interpolation, zero outside of the source and of the window, then colours."""
    height, width = cover.shape
    size = len(image)
    left, top, right, bottom = window_px
    half, quarter = np.float32(0.5), np.float32(0.25)
    source = _packed(pixels, cover)
    row = np.empty((4, size), np.float32)  # red, green, blue, mask
    above = np.zeros(size, np.float32)  # the mask of the row before
    across, down = np.int64(round(to_source[0, 0] * FIXED)), np.int64(round(to_source[1, 0] * FIXED))
    for y in range(size):
        row[:] = 0
        if top <= y <= bottom:
            u0 = np.int64(round((to_source[0, 1] * y + to_source[0, 2] + 1) * FIXED)) + ROUND
            v0 = np.int64(round((to_source[1, 1] * y + to_source[1, 2] + 1) * FIXED)) + ROUND
            for x in range(max(left, 0), min(right + 1, size)):
                u, v = u0 + across * x, v0 + down * x
                column, line = u >> 16, v >> 16
                if 0 <= column <= width and 0 <= line <= height:
                    part, upper, lower = np.uint64((u >> 8) & 255), source[line], source[line + 1]
                    first = _between(_lanes(upper[column]), _lanes(upper[column + 1]), part)
                    second = _between(_lanes(lower[column]), _lanes(lower[column + 1]), part)
                    found = _between(first, second, np.uint64((v >> 8) & 255))
                    row[0, x] = np.float32(found & BYTE)
                    row[1, x] = np.float32((found >> np.uint64(16)) & BYTE)
                    row[2, x] = np.float32((found >> np.uint64(32)) & BYTE)
                    row[3, x] = np.float32(found >> np.uint64(48))
        jitter_row(row[0], row[1], row[2], numbers)
        for x in range(size):
            image[y, x, 0] = np.uint8(row[0, x] + half)
            image[y, x, 1] = np.uint8(row[1, x] + half)
            image[y, x, 2] = np.uint8(row[2, x] + half)
        if y % 2:
            for x in range(size // 2):
                total = above[2 * x] + above[2 * x + 1] + row[3, 2 * x] + row[3, 2 * x + 1]
                mask[y // 2, x] = np.uint8(total * quarter + half)
        above[:] = row[3]


@compiled
def _packed(pixels: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Four channels in one number, with a border of zeros: (H + 2, W + 2) uint32."""
    height, width = cover.shape
    packed = np.zeros((height + 2, width + 2), np.uint32)
    for y in range(height):
        for x in range(width):
            color = np.uint32(pixels[y, x, 0]) | (np.uint32(pixels[y, x, 1]) << np.uint32(8))
            color |= np.uint32(pixels[y, x, 2]) << np.uint32(16)
            packed[y + 1, x + 1] = color | (np.uint32(cover[y, x]) << np.uint32(24))
    return packed


@compiled
def _lanes(packed: np.uint32) -> np.uint64:
    """Four channels of 8 bits, 16 bits apart: what is done to the number is done to all of them."""
    wide = np.uint64(packed)
    wide = (wide | (wide << np.uint64(16))) & PAIRS
    return (wide | (wide << np.uint64(8))) & LANES


@compiled
def _between(first: np.uint64, second: np.uint64, part: np.uint64) -> np.uint64:
    """Lanes that are `part` 256ths of the way from the first to the second, rounded."""
    return ((first * (np.uint64(256) - part) + second * part + HALVES) >> np.uint64(8)) & LANES


@compiled
def jitter_row(red: np.ndarray, green: np.ndarray, blue: np.ndarray, numbers: np.ndarray) -> None:
    """`datasets.color.jitter_color` of three rows of grey levels (N,) float32, in place.

    Without branches on the pixels, so that it becomes vector instructions.

    Args:
        numbers: (6,), see `ColorJitter.numbers`.
    """
    brightness, before, after, saturation, hue, in_hsv = numbers
    white, zero, tiny = np.float32(255), np.float32(0), np.float32(1e-6)
    one, two, four, six = np.float32(1), np.float32(2), np.float32(4), np.float32(6)
    for i in range(len(red)):
        r = (red[i] + brightness) * before
        g = (green[i] + brightness) * before
        b = (blue[i] + brightness) * before
        if in_hsv > 0:
            r, g, b = min(max(r, zero), white), min(max(g, zero), white), min(max(b, zero), white)
            value = max(r, max(g, b))
            spread = value - min(r, min(g, b))
            per_spread = one / max(spread, tiny)
            sextant = (g - b) * per_spread
            sextant = two + (b - r) * per_spread if value == g else sextant
            sextant = four + (r - g) * per_spread if value == b else sextant
            sextant = sextant + hue
            spread = min(spread * saturation, value)
            r5, g3, b1 = sextant + np.float32(5), sextant + np.float32(3), sextant + one
            r5 -= np.floor(r5 / six) * six
            g3 -= np.floor(g3 / six) * six
            b1 -= np.floor(b1 / six) * six
            r = value - spread * max(zero, min(one, min(r5, four - r5)))
            g = value - spread * max(zero, min(one, min(g3, four - g3)))
            b = value - spread * max(zero, min(one, min(b1, four - b1)))
        red[i] = min(max(r * after, zero), white)
        green[i] = min(max(g * after, zero), white)
        blue[i] = min(max(b * after, zero), white)
