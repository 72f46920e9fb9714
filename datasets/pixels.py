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
    """Image (S, S, 3) and mask (S, S) uint8 of `datasets.augmentation.augment` with one interpolation, not two."""
    side = sample.image.shape[0]
    warped = cv2.warpAffine(joined_channels(sample), drawn.affine(side, size), (size, size))
    left, top, right, bottom = drawn.window_px(side, size)
    warped[: max(top, 0)] = warped[bottom + 1 :] = 0
    warped[:, : max(left, 0)] = warped[:, right + 1 :] = 0
    planes = np.empty((4, size, size), np.uint8)
    cv2.split(warped, list(planes))
    if drawn.color is not None:
        jitter_planes(planes[:3], drawn.color)
    return cv2.merge(list(planes[:3])), planes[3]


def jitter_planes(planes: np.ndarray, jitter: ColorJitter) -> None:
    """`datasets.color.jitter_color` of an image as planes (3, S, S) uint8, contiguous, in place."""
    red, green, blue = planes.reshape(3, -1)
    *numbers, in_hsv = jitter.numbers()
    _jitter(red, green, blue, *numbers, in_hsv > 0)


@compiled
def _jitter(
    red: np.ndarray,
    green: np.ndarray,
    blue: np.ndarray,
    brightness: np.float32,
    before: np.float32,
    after: np.float32,
    saturation: np.float32,
    hue: np.float32,
    in_hsv: bool,
) -> None:
    """Without branches on the pixels, so that it becomes vector instructions. hue: in sextants."""
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
