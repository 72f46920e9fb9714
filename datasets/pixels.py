"""What augmentation does to pixels, on the CPU: one warp of image and mask together, then compiled colours."""

import cv2
import numpy as np

from datasets.augmentation import Augmentation, HandSample
from datasets.color import ColorJitter
from utils.compiled import compiled


def joined_channels(sample: HandSample) -> np.ndarray:
    """Red, green, blue and mask, (H, W, 4) uint8: four channels are warped faster than three."""
    return cv2.merge([*cv2.split(sample.image), sample.mask])


def augmented_pixels(sample: HandSample, drawn: Augmentation, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (S, S, 3) and half-size mask (S/2, S/2), uint8, of `datasets.augmentation.augment` with one interpolation,
    not two."""
    side = sample.image.shape[0]
    warped = cv2.warpAffine(joined_channels(sample), drawn.affine(side, size), (size, size))
    return colored_and_parted(warped, drawn.window_px(side, size), drawn.color or ColorJitter())


def colored_and_parted(joined: np.ndarray, window_px: np.ndarray, jitter: ColorJitter) -> tuple[np.ndarray, np.ndarray]:
    """What is left to do after the warp, in one call: data threads take turns between calls.

    Args:
        joined: (S, S, 4) uint8, contiguous, see `joined_channels`.
        window_px: outside of which everything is black, see `Augmentation.window_px`.
        jitter: of the image.

    Returns:
        Image (S, S, 3) after `datasets.color.jitter_color`, and mask (S/2, S/2) as of `datasets.augmented.half_size`,
        uint8.
    """
    size = len(joined)
    image, mask = np.empty((size, size, 3), np.uint8), np.empty((size // 2, size // 2), np.uint8)
    _color_and_part(joined, window_px, jitter.numbers(), image, mask)
    return image, mask


@compiled
def _color_and_part(
    joined: np.ndarray, window_px: np.ndarray, numbers: np.ndarray, image: np.ndarray, mask: np.ndarray
) -> None:
    """Row by row, each as planes: the loops are then vector instructions."""
    size = len(joined)
    left, top, right, bottom = window_px
    red, green, blue = np.empty(size, np.uint8), np.empty(size, np.uint8), np.empty(size, np.uint8)
    upper, lower = np.empty(size, np.uint8), np.empty(size, np.uint8)
    for row in range(size):
        mixed, half = joined[row].reshape(-1), upper if row % 2 == 0 else lower
        first, end = (max(left, 0), right + 1) if top <= row <= bottom else (0, 0)
        for channel, plane in enumerate((red, green, blue, half)):
            for i in range(size):
                plane[i] = mixed[4 * i + channel]
            plane[:first] = 0
            plane[end:] = 0
        _jitter(red, green, blue, numbers)
        pixels = image[row].reshape(-1)
        for i in range(size):
            pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2] = red[i], green[i], blue[i]
        if row % 2 == 1:
            means = mask[row // 2]
            for i in range(size // 2):
                total = np.int32(2) + upper[2 * i] + upper[2 * i + 1] + lower[2 * i] + lower[2 * i + 1]
                means[i] = np.uint8(total >> 2)  # rounded, the 2 being half of the divisor


@compiled
def _jitter(red: np.ndarray, green: np.ndarray, blue: np.ndarray, numbers: np.ndarray) -> None:
    """Without branches on the pixels, so that it becomes vector instructions. numbers: see `ColorJitter.numbers`."""
    brightness, before, after, saturation, hue, _ = numbers
    in_hsv = numbers[5] > 0
    white, zero, half, tiny = np.float32(255), np.float32(0), np.float32(0.5), np.float32(1e-6)
    one, two, four, six = np.float32(1), np.float32(2), np.float32(4), np.float32(6)
    for i in range(len(red)):
        r = (np.float32(red[i]) + brightness) * before
        g = (np.float32(green[i]) + brightness) * before
        b = (np.float32(blue[i]) + brightness) * before
        if in_hsv:
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
        red[i] = np.uint8(min(max(r * after, zero), white) + half)
        green[i] = np.uint8(min(max(g * after, zero), white) + half)
        blue[i] = np.uint8(min(max(b * after, zero), white) + half)
