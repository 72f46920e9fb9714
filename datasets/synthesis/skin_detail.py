"""Lines of the hand that tell palm from back: creases, wrinkles and nails, as a map of darker and brighter skin."""

from itertools import pairwise

import numpy as np

from datasets.synthesis.hand import OpenHand
from datasets.synthesis.rasterizer import NO_FACE, rasterize_texture
from handmesh.skeleton import BONE_INDEX, FINGERS

DETAIL_SIZE = 2048
NEUTRAL = 128  # value of the map that changes nothing
CREASE_M, WRINKLE_M = 0.0011, 0.0007  # half widths
CREASE_DEPTH, WRINKLE_DEPTH, RIM_DEPTH, NAIL_BRIGHTNESS = 0.34, 0.22, 0.30, 0.22

# The three lines of the palm, for a hand of 18.8 cm, in the palm's frame, metres.
PALM_LINES = (
    ((-0.038, 0.062), (-0.017, 0.071), (0.004, 0.077), (0.014, 0.087)),
    ((0.027, 0.068), (0.009, 0.062), (-0.013, 0.051), (-0.026, 0.042)),
    ((0.027, 0.066), (0.015, 0.056), (0.006, 0.040), (0.004, 0.022), (0.008, 0.010)),
)


def skin_detail(hand: OpenHand) -> np.ndarray:
    """Factor of the albedo over the texture (2048, 2048), uint8, 128 for one."""
    rows, columns, positions, normals, weights = _texels(hand)
    factor = np.ones(len(rows), np.float32)
    on_finger = np.zeros(len(rows), np.float32)
    for number, finger in enumerate(FINGERS):
        bones = [BONE_INDEX[f"{finger}_{part}"] for part in (1, 2, 3)]
        chain = [*hand.joints[bones], hand.tips[number]]
        own = weights[:, bones].sum(axis=1)
        on_finger = np.maximum(on_finger, own)
        inside = own > 0.5
        across = hand.axes[bones[2], 0]
        for part in range(3):
            direction = (chain[part + 1] - chain[part]) / np.linalg.norm(chain[part + 1] - chain[part])
            back = normals @ np.cross(direction, across)
            along = (positions - chain[part]) @ direction
            near = inside & (np.linalg.norm(positions - chain[part], axis=1) < 0.016)
            if part:
                for offset in (-0.0012, 0.0012):
                    factor -= CREASE_DEPTH * _line(along - offset, CREASE_M) * near * _smooth(-back)
                for offset in (-0.004, -0.002, 0.0, 0.002, 0.004):
                    factor -= WRINKLE_DEPTH * _line(along - offset, WRINKLE_M) * near * _smooth(back)
            elif finger != "thumb":
                root = 0.5 * np.linalg.norm(chain[1] - chain[0])  # where the finger leaves the palm
                factor -= CREASE_DEPTH * _line(along - root, CREASE_M) * inside * _smooth(-back)
        length = np.linalg.norm(chain[3] - chain[2])
        offset = positions - (chain[2] + 0.70 * (chain[3] - chain[2]))
        radius = ((offset @ direction / (0.30 * length)) ** 2 + (offset @ across / (0.20 * length)) ** 2) ** 0.5
        nail = inside & (normals @ np.cross(direction, across) > 0.3)
        factor += NAIL_BRIGHTNESS * nail * (radius < 0.9)
        factor -= RIM_DEPTH * nail * _line(radius - 1.0, 0.13)
    palm = (on_finger < 0.5) * _smooth(normals[:, 2])
    for line in PALM_LINES:
        factor -= CREASE_DEPTH * _line(_distance(positions[:, :2], np.array(line)), CREASE_M) * palm
    detail = np.full((DETAIL_SIZE, DETAIL_SIZE), NEUTRAL, np.uint8)
    detail[rows, columns] = (factor * NEUTRAL).clip(0, 255)
    return detail


def _texels(hand: OpenHand) -> tuple[np.ndarray, ...]:
    """Rows, columns, rest positions (N, 3), normals (N, 3) and weights (N, B) of the texels of the hand."""
    faces = hand.faces[: hand.num_hand_faces]
    index, places = rasterize_texture(hand.uv[: len(faces)], DETAIL_SIZE)
    rows, columns = np.nonzero(index != NO_FACE)
    face = index[rows, columns]
    a, b, c = places[face].transpose(1, 0, 2)
    place = np.stack([columns, rows], axis=1)

    def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    area = cross(b - a, c - a)
    second, third = cross(place - a, c - a) / area, cross(b - a, place - a) / area
    shares = np.stack([1 - second - third, second, third], axis=1).astype(np.float32)
    corners = faces[face]
    positions = np.einsum("nc,nck->nk", shares, hand.vertices[corners])
    return rows, columns, positions, hand.face_normals[face], np.einsum("nc,ncb->nb", shares, hand.weights[corners])


def _line(distance: np.ndarray, half_width: float) -> np.ndarray:
    return np.exp(-((distance / half_width) ** 2))


def _smooth(facing: np.ndarray) -> np.ndarray:
    """0 on the far side, 1 on the near side."""
    return np.clip(facing * 2, 0, 1)


def _distance(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance (N,) of points (N, 2) to a polyline (M, 2)."""
    nearest = np.full(len(points), np.inf)
    for start, end in pairwise(line):
        step = end - start
        along = np.clip((points - start) @ step / (step @ step), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(points - start - along[:, None] * step, axis=1))
    return nearest
