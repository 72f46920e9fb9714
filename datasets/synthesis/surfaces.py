"""What is in front of the camera besides skin: sleeves, held things, things in the way."""

from dataclasses import dataclass, field

import numpy as np

from datasets.synthesis.poses import HeldObject
from datasets.synthesis.shading import SRGB_TO_LINEAR


@dataclass(frozen=True)
class Surface:
    """A textured triangle mesh in the camera frame.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32.
        uv: (F, 3, 2) float32, texture coordinates of the corners in [0, 1], v downwards.
        texture: (H, W, 3) uint8 sRGB albedo.
        gloss: strength of the highlights.
        sharpness: exponent of the highlights.
        scatter: how far red light wraps around the terminator; 0 for anything but skin.
        tint: (3,) float32 factor of the albedo.
        detail: (h, w) uint8, another factor over the same coordinates, 128 for one; strength scales its effect.
        strength: how much of the detail shows.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    gloss: float
    sharpness: float
    scatter: float = 0.0
    tint: np.ndarray = field(default_factory=lambda: np.ones(3, np.float32))
    detail: np.ndarray = field(default_factory=lambda: np.full((1, 1), 128, np.uint8))
    strength: float = 0.0

    def material(self) -> tuple:
        """What `shade` takes."""
        numbers = [np.float32(value) for value in (self.gloss, self.sharpness, self.scatter)]
        return (self.texture, SRGB_TO_LINEAR, self.tint, *numbers, self.detail, np.float32(self.strength))


def capsule_mesh(held: HeldObject, around: int = 20, rings: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and texture coordinates of a capsule: two half balls with a pipe between them."""
    axis = held.end - held.start
    length = np.linalg.norm(axis)
    direction = axis / length if length > 0 else np.array([0.0, 0.0, 1.0])
    aside = np.cross(direction, np.eye(3)[np.argmin(np.abs(direction))])
    aside /= np.linalg.norm(aside)
    frame = np.stack([aside, np.cross(direction, aside), direction])
    polar = np.concatenate([np.linspace(-np.pi / 2, 0, rings), np.linspace(0, np.pi / 2, rings)])
    turn = np.linspace(0, 2 * np.pi, around + 1)
    radial, along = np.cos(polar) * held.radius, np.sin(polar) * held.radius
    along[rings:] += length
    grid = np.stack(
        [
            radial[:, None] * np.cos(turn),
            radial[:, None] * np.sin(turn),
            np.broadcast_to(along[:, None], (len(polar), len(turn))),
        ],
        axis=-1,
    )
    coordinates = np.stack(np.meshgrid(turn / (2 * np.pi), np.linspace(0, 1, len(polar))), axis=-1)
    return grid_mesh(grid @ frame + held.start, coordinates)


def grid_mesh(points: np.ndarray, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles over a grid of points (R, C, 3) with texture coordinates (R, C, 2)."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    vertices = points.reshape(-1, 3).astype(np.float32)
    return vertices, faces.astype(np.int32), coordinates.reshape(-1, 2)[faces].astype(np.float32)


def box_mesh(center: np.ndarray, half: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and texture coordinates of a box with its own corners on each side, so that edges stay sharp."""
    steps = np.linspace(-1, 1, 4)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    sides = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            points = np.empty((4, 4, 3))
            points[..., (axis + 1) % 3], points[..., (axis + 2) % 3], points[..., axis] = (
                grid[..., 0],
                grid[..., 1],
                sign,
            )
            if sign < 0:
                points = points[::-1]  # the other way round, so that this side looks outwards too
            sides.append(grid_mesh(points * half @ rotation.T + center, (grid + 1) / 2))
    offsets = np.cumsum([0] + [len(vertices) for vertices, _, _ in sides[:-1]])
    return (
        np.concatenate([vertices for vertices, _, _ in sides]),
        np.concatenate([faces + offset for (_, faces, _), offset in zip(sides, offsets, strict=True)]).astype(np.int32),
        np.concatenate([uv for _, _, uv in sides]),
    )


def sample_obstacle(
    rng: np.random.Generator, hand: np.ndarray, K: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A box, bar or ball between the camera and a part of the hand.

    Args:
        hand: (V, 3) vertices of the hand, camera frame, metres.
        K: (3, 3).
    """
    target = hand[rng.integers(len(hand))]
    depth = hand[:, 2].min() - rng.uniform(0.02, 0.08)
    extent = np.ptp(hand[:, :2], axis=0).max()
    outwards = target[:2] - hand[:, :2].mean(axis=0)
    position = np.append((target[:2] + 0.35 * outwards) / target[2] * depth, depth)
    size = extent * rng.uniform(0.12, 0.34)
    direction = rng.normal(size=3) * [1, 1, 0.4]
    direction /= np.linalg.norm(direction)
    kind = rng.random()
    if kind < 0.4:
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        return box_mesh(position, size * rng.uniform(0.3, 1.0, 3), rotation)
    reach = direction * (0 if kind < 0.6 else extent * rng.uniform(0.3, 1.0))
    radius = size * (0.8 if kind < 0.6 else rng.uniform(0.15, 0.5))
    return capsule_mesh(HeldObject(position - reach, position + reach, radius))
