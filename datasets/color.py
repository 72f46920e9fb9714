"""Colour augmentation (SSD style): what is drawn, and the reference of what it does."""

from dataclasses import dataclass

import cv2
import numpy as np

BRIGHTNESS = 32.0  # grey levels
CONTRAST = SATURATION = (0.5, 1.5)
HUE_DEGREES = 18.0


@dataclass(frozen=True)
class ColorJitter:
    """A change of colours; the defaults change nothing.

    Attributes:
        brightness: added, grey levels.
        contrast: factor of all channels, before or after the change of saturation and hue.
        saturation: factor.
        hue_degrees: added.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    contrast_first: bool = True
    saturation: float = 1.0
    hue_degrees: float = 0.0

    def numbers(self) -> np.ndarray:
        """For `datasets.batch`, (6,) float32: brightness, contrast before and after saturation and hue, saturation,
        hue in sextants, and whether there is anything to do to saturation and hue."""
        before, after = (self.contrast, 1.0) if self.contrast_first else (1.0, self.contrast)
        in_hsv = self.saturation != 1 or self.hue_degrees != 0
        return np.array([self.brightness, before, after, self.saturation, self.hue_degrees / 60, in_hsv], np.float32)


def draw_jitter(rng: np.random.Generator) -> ColorJitter:
    """Brightness, contrast, saturation and hue, each with probability 1/2."""

    def perhaps(low: float, high: float, otherwise: float) -> float:
        return rng.uniform(low, high) if rng.random() < 0.5 else otherwise

    brightness = perhaps(-BRIGHTNESS, BRIGHTNESS, 0.0)
    contrast = perhaps(*CONTRAST, 1.0)
    contrast_first = bool(rng.random() < 0.5)
    saturation = perhaps(*SATURATION, 1.0)
    return ColorJitter(brightness, contrast, contrast_first, saturation, perhaps(-HUE_DEGREES, HUE_DEGREES, 0.0))


def jitter_color(image: np.ndarray, jitter: ColorJitter) -> np.ndarray:
    """Change the colours of an RGB uint8 image."""
    pixels = image.astype(np.float32) + np.float32(jitter.brightness)
    contrast = np.float32(jitter.contrast)
    if jitter.contrast_first:
        pixels *= contrast
    if jitter.saturation != 1 or jitter.hue_degrees:
        hsv = cv2.cvtColor(pixels.clip(0, 255) / 255, cv2.COLOR_RGB2HSV)  # degrees, [0, 1], [0, 1]
        hsv[..., 1] = (hsv[..., 1] * np.float32(jitter.saturation)).clip(0, 1)
        hsv[..., 0] = (hsv[..., 0] + np.float32(jitter.hue_degrees)) % 360
        pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    if not jitter.contrast_first:
        pixels *= contrast
    return np.rint(pixels.clip(0, 255)).astype(np.uint8)
