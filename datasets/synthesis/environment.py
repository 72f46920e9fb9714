"""Light from all around: environment maps as ambient light, a key light and a background."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from datasets.synthesis.textures import smooth_noise
from handmesh.errors import InputError
from handmesh.images import files_in, read_image

COARSE = (16, 32)  # rows and columns of the map that ambient light is summed over
CAP = 3.0  # times the mean radiance; what is brighter belongs to the key light
LOBE_DEGREES = 35.0  # what is this close to the brightest spot makes up the key light
LOBE_SHARPNESS = 6  # of the cosine lobe that one ambient direction stands for
GRID = 29  # the background's rays are computed on this many points per side and stretched
NUM_PROCEDURAL = 24
MAP_SIZE = (1024, 512)  # columns and rows that maps from files are kept at
BRIGHTEST = 6e4  # what is above the range of half precision, or infinite
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Environment:
    """Radiance from every direction.

    Attributes:
        radiance: (H, 2 H, 3) float32 linear RGB, equirectangular: rows from the zenith down. World frame: y down.
    """

    radiance: np.ndarray

    @cached_property
    def _coarse(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Radiance (N, 3), directions (N, 3) and solid angles (N,) of a small map."""
        rows, columns = COARSE
        small = cv2.resize(self.radiance, (columns, rows), interpolation=cv2.INTER_AREA)
        polar = (np.arange(rows) + 0.5) / rows * np.pi
        turn = (np.arange(columns) + 0.5) / columns * 2 * np.pi
        polar, turn = np.meshgrid(polar, turn, indexing="ij")
        directions = np.stack([np.sin(polar) * np.sin(turn), -np.cos(polar), np.sin(polar) * np.cos(turn)], axis=-1)
        area = np.sin(polar) * (np.pi / rows) * (2 * np.pi / columns)
        return small.reshape(-1, 3), directions.reshape(-1, 3).astype(np.float32), area.ravel().astype(np.float32)

    @cached_property
    def mean_radiance(self) -> np.ndarray:
        """Mean over the sphere (3,)."""
        radiance, _, area = self._coarse
        return area @ radiance / area.sum()

    @cached_property
    def key_light(self) -> tuple[np.ndarray, np.ndarray]:
        """Direction (3,) towards the brightest spot, and the irradiance (3,) that it adds to the ambient light."""
        radiance, directions, area = self._coarse
        luminance = radiance @ LUMINANCE
        excess = np.maximum(1 - CAP * (self.mean_radiance @ LUMINANCE) / np.maximum(luminance, 1e-9), 0)
        near = directions @ directions[np.argmax(luminance)] > np.cos(np.deg2rad(LOBE_DEGREES))
        energy = (excess * near * area)[:, None] * radiance
        direction = (energy @ LUMINANCE) @ directions
        length = np.linalg.norm(direction)
        return (direction / length if length > 0 else np.array([0.0, -1.0, 0.0])), energy.sum(axis=0)

    def ambient(self, directions: np.ndarray) -> np.ndarray:
        """Radiance (D, 3) around world directions (D, 3), without what the key light takes."""
        radiance, cells, area = self._coarse
        luminance = radiance @ LUMINANCE
        capped = radiance * np.minimum(1, CAP * (self.mean_radiance @ LUMINANCE) / np.maximum(luminance, 1e-9))[:, None]
        weights = np.maximum(directions @ cells.T, 0) ** LOBE_SHARPNESS * area
        return weights @ capped / weights.sum(axis=1, keepdims=True)

    def background(self, rotation: np.ndarray, half_angle: float, size: int) -> np.ndarray:
        """Picture (size, size, 3) of the map, linear.

        Args:
            rotation: (3, 3) camera to world.
            half_angle: tangent of half the field of view.
        """
        height, width = self.radiance.shape[:2]
        steps = np.linspace(-half_angle, half_angle, GRID)
        rays = np.stack([*np.meshgrid(steps, steps), np.ones((GRID, GRID))], axis=-1) @ rotation.T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        column = np.arctan2(rays[..., 0], rays[..., 2]) / (2 * np.pi) * width
        column = (column - column[GRID // 2, GRID // 2] + width / 2) % width + column[GRID // 2, GRID // 2] - width / 2
        row = np.arccos(np.clip(-rays[..., 1], -1, 1)) / np.pi * height
        step = (GRID - 1) / (size - 1)
        maps = cv2.warpAffine(
            np.stack([column, row], axis=-1).astype(np.float32),
            np.array([[step, 0, 0], [0, step, 0]]),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return cv2.remap(self.radiance, maps - 0.5, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def load_environments(folder: Path) -> list[Environment]:
    """All .hdr maps of a folder, in the order of their names. Raises InputError if there is none or one is damaged."""
    environments = []
    for path in files_in(folder, (".hdr",)):
        picture = read_image(path, cv2.IMREAD_UNCHANGED)
        height = len(picture)
        if picture.dtype != np.float32 or picture.shape != (height, 2 * height, 3):
            raise InputError(f"{path}: not an equirectangular Radiance .hdr map in colour, twice as wide as high")
        radiance = np.nan_to_num(picture[..., ::-1], posinf=BRIGHTEST).clip(0, BRIGHTEST)
        if not radiance.mean() > 0:
            raise InputError(f"{path}: the map is black; light is needed to see a hand")
        environments.append(Environment(cv2.resize(radiance, MAP_SIZE, interpolation=cv2.INTER_AREA)))
    return environments


def procedural_environments(count: int = NUM_PROCEDURAL) -> list[Environment]:
    """Rooms and skies made from a gradient, noise and a few lamps or a sun."""
    height, width = 64, 128
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    polar, turn = (rows + 0.5) / height * np.pi, (columns + 0.5) / width * 2 * np.pi
    directions = np.stack([np.sin(polar) * np.sin(turn), -np.cos(polar), np.sin(polar) * np.cos(turn)], axis=-1)
    environments = []
    for number in range(count):
        rng = np.random.default_rng((104729, number))
        above, below = (rng.uniform(0.2, 1.0) * rng.uniform(0.7, 1.2, 3) for _ in range(2))
        mix = 1 / (1 + np.exp(directions[..., 1] * rng.uniform(2, 12)))
        radiance = below * 0.6 + mix[..., None] * (above - below * 0.6)
        noise = cv2.resize(smooth_noise(rng, 64, (6, 16, 32)), (width, height))
        radiance = radiance * np.exp(0.4 * noise)[..., None]
        for _ in range(rng.integers(1, 4)):
            center = rng.normal(size=3) * [1, 0.6, 1] + [0, -0.5, 0]
            cosine = directions @ (center / np.linalg.norm(center))
            warmth = np.array([1, rng.uniform(0.8, 1.0), rng.uniform(0.55, 1.05)])
            lobe = np.exp((cosine - 1) * rng.uniform(15, 400))
            radiance = radiance + rng.uniform(2, 40) * lobe[..., None] * warmth
        environments.append(Environment(radiance.astype(np.float32)))
    return environments
