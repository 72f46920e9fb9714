"""Patterns made from noise: for cloth, objects and backgrounds where no pictures are given."""

import cv2
import numpy as np


def smooth_noise(rng: np.random.Generator, size: int, octaves: tuple[int, ...], falloff: float = 0.6) -> np.ndarray:
    """Noise (size, size) float32 of mean 0 and deviation 1, a sum of grids of random values stretched smoothly."""
    total = np.zeros((size, size), np.float32)
    for order, cells in enumerate(octaves):
        grid = rng.standard_normal((cells, cells), np.float32)
        total += falloff**order * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / total.std()


def random_color(rng: np.random.Generator, saturation: float = 0.5) -> np.ndarray:
    """An RGB colour (3,) in [0, 1], mostly muted."""
    hsv = np.array([[[rng.uniform(0, 360), saturation * rng.beta(1, 2), rng.uniform(0.05, 0.95)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def material(rng: np.random.Generator, size: int = 128) -> np.ndarray:
    """A texture (size, size, 3) uint8: plain, striped, checked or patchy, with grain."""
    first, second = random_color(rng, 0.9), random_color(rng, 0.9)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    kind = rng.random()
    if kind < 0.4:
        mix = 0.15 * smooth_noise(rng, size, (4, 16))
    elif kind < 0.6:
        mix = (np.sin(2 * np.pi * rng.integers(2, 24) * (rows if rng.random() < 0.5 else columns)) > 0).astype(
            np.float32
        )
    elif kind < 0.75:
        count = rng.integers(2, 10)
        mix = ((rows * count).astype(int) + (columns * count).astype(int)) % 2
    else:
        mix = (smooth_noise(rng, size, (5, 11, 23)) > rng.uniform(-0.5, 0.8)).astype(np.float32)
    picture = first + np.float32(mix)[..., None] * (second - first)
    picture += rng.uniform(0.0, 0.04) * smooth_noise(rng, size, (32, 64, 128), 1.0)[..., None]
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def clutter(rng: np.random.Generator, size: int = 320) -> np.ndarray:
    """A background (size, size, 3) uint8: a wall with soft shading, edges, and things out of focus before it."""
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = random_color(rng, 0.5)
    for _ in range(rng.integers(2, 14)):
        layer, color = np.zeros((size, size), np.float32), random_color(rng, 0.9)
        center, extent = rng.uniform(0, size, 2), rng.uniform(0.05, 0.5, 2) * size
        kind, angle = rng.random(), rng.uniform(0, 180)
        if kind < 0.45:
            corners = cv2.boxPoints((tuple(map(float, center)), tuple(map(float, extent)), float(angle)))
            cv2.fillConvexPoly(layer, corners.astype(np.int32), 1.0, cv2.LINE_AA)
        elif kind < 0.75:
            cv2.ellipse(layer, center.astype(int), (extent / 2).astype(int), angle, 0, 360, 1.0, -1, cv2.LINE_AA)
        else:
            end = center + size * rng.uniform(-1, 1, 2)
            cv2.line(layer, center.astype(int), end.astype(int), 1.0, int(rng.integers(2, 24)), cv2.LINE_AA)
        layer = cv2.GaussianBlur(layer, None, rng.uniform(0.5, 7)) * rng.uniform(0.5, 1)
        shaded = color * (1 + 0.15 * smooth_noise(rng, size, (3, 7)))[..., None]
        if rng.random() < 0.3:
            shaded = cv2.resize(material(rng), (size, size)).astype(np.float32) / 255
        picture += layer[..., None] * (shaded - picture)
    picture *= (1 + 0.18 * smooth_noise(rng, size, (2, 4, 9)))[..., None]
    picture += rng.uniform(0.0, 0.035) * smooth_noise(rng, size, (80, 160, 320), 1.2)[..., None]
    return (picture.clip(0, 1) * 255).astype(np.uint8)
