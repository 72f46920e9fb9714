"""From light to a file: exposure, white balance, blur, noise, the camera's tone curve, JPEG."""

import cv2
import numpy as np

LEVELS = 4096
NOISE_SIZE = 512
BRIGHTEST = 1.6  # exposures that the tone curve reaches up to
SHOULDER = 0.8  # of white; what is brighter rolls off


def _tone_curve() -> np.ndarray:
    """8-bit values of linear light from 0 to `BRIGHTEST`: sRGB with a shoulder."""
    light = np.linspace(0, BRIGHTEST, LEVELS)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    rest = 1 - SHOULDER
    value = np.where(value < SHOULDER, value, 1 - rest * np.exp(-(value - SHOULDER) / rest))
    return np.rint(value.clip(0, 1) * 255).astype(np.uint8)


TONE_CURVE = _tone_curve()


class Sensor:
    """Camera effects, with a tile of noise that is drawn once."""

    def __init__(self) -> None:
        rng = np.random.default_rng(15485863)
        self.noise = rng.standard_normal((NOISE_SIZE, NOISE_SIZE, 3), np.float32)

    def capture(
        self, light: np.ndarray, rng: np.random.Generator, noise_rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """RGB uint8 (S, S, 3) of exposed linear light (S, S, 3): white balance, blur, noise and tone curve.

        Args:
            noise_rng: of the noise, where it is to differ between pictures that are alike in the rest.
        """
        size = light.shape[0]
        light = light * rng.normal(1, 0.05, 3).clip(0.8, 1.25).astype(np.float32)
        blur = rng.random()
        if blur < 0.6:
            light = cv2.GaussianBlur(light, None, rng.uniform(0.3, 0.95))
        elif blur < 0.66:
            light = cv2.filter2D(light, -1, _motion_kernel(rng))
        top, left = (noise_rng or rng).integers(0, NOISE_SIZE - size, 2)
        noise = self.noise[top : top + size, left : left + size]
        if rng.random() < 0.5:  # what demosaicing and noise reduction leave is smooth
            noise = 1.8 * cv2.GaussianBlur(noise, None, rng.uniform(0.5, 0.9))
        strength = np.float32(10 ** rng.uniform(-2.9, -1.75))
        light = light + strength * noise * np.sqrt(np.maximum(light, 0) * np.float32(0.5) + np.float32(0.01))
        index = (light * np.float32((LEVELS - 1) / BRIGHTEST)).clip(0, LEVELS - 1).astype(np.uint16)
        return TONE_CURVE[index]

    @staticmethod
    def compress(image: np.ndarray, rng: np.random.Generator) -> bytes:
        """JPEG of an RGB image at a random quality."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(72, 98))]
        return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


def _motion_kernel(rng: np.random.Generator) -> np.ndarray:
    """A short line (9, 9) in a random direction, sum 1."""
    kernel = np.zeros((9, 9), np.float32)
    angle, length = rng.uniform(0, np.pi), rng.uniform(1, 3.5)
    reach = length * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(np.rint((4 + sign * reach) * 16).astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return kernel / kernel.sum()
