"""Which face each pixel sees: a z-buffer over triangles, compiled by numba."""

import numba
import numpy as np

NO_FACE = -1
NEAR_M = 0.02  # faces that reach nearer to the camera than this are not drawn


def rasterize(
    points: np.ndarray, depth: np.ndarray, faces: np.ndarray, face_index: np.ndarray, inverse_depth: np.ndarray
) -> None:
    """Draw triangles into a z-buffer, both sides. Pixel (row, column) is sampled at the point (column, row).

    Args:
        points: (V, 2) float32 positions in the image.
        depth: (V,) float32, metres, positive before the camera.
        faces: (F, 3) int32.
        face_index: (H, W) int32, the visible face of each pixel; written where a face is nearer than what is there.
        inverse_depth: (H, W) float32, 1 / depth of the nearest face so far, 0 where nothing is.
    """
    _rasterize(points, depth, faces, face_index, inverse_depth, NEAR_M)


@numba.njit(cache=True, fastmath=True)
def _rasterize(
    points: np.ndarray,
    depth: np.ndarray,
    faces: np.ndarray,
    face_index: np.ndarray,
    inverse_depth: np.ndarray,
    near_m: float,  # as an argument: numba would freeze the constant
) -> None:
    height, width = face_index.shape
    for face in range(len(faces)):
        a, b, c = faces[face]
        if depth[a] < near_m or depth[b] < near_m or depth[c] < near_m:
            continue
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        left = max(int(np.ceil(min(ax, bx, cx))), 0)
        right = min(int(np.floor(max(ax, bx, cx))), width - 1)
        top = max(int(np.ceil(min(ay, by, cy))), 0)
        bottom = min(int(np.floor(max(ay, by, cy))), height - 1)
        if left > right or top > bottom:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < np.float32(1e-9):
            continue
        scale = np.float32(1) / area
        za, zb, zc = np.float32(1) / depth[a], np.float32(1) / depth[b], np.float32(1) / depth[c]
        # Barycentric coordinates of b and c are linear in the pixel.
        step_b, step_c = (cy - ay) * scale, (ay - by) * scale
        for row in range(top, bottom + 1):
            weight_b = ((left - ax) * (cy - ay) - (row - ay) * (cx - ax)) * scale
            weight_c = ((bx - ax) * (row - ay) - (by - ay) * (left - ax)) * scale
            for column in range(left, right + 1):
                if weight_b >= 0 and weight_c >= 0 and weight_b + weight_c <= 1:
                    value = za + weight_b * (zb - za) + weight_c * (zc - za)
                    if value > inverse_depth[row, column]:
                        inverse_depth[row, column] = value
                        face_index[row, column] = face
                weight_b += step_b
                weight_c += step_c


def rasterize_texture(uv: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which face each texel of a square texture belongs to.

    Args:
        uv: (F, 3, 2) texture coordinates of the corners in [0, 1], v downwards.
        size: side of the texture.

    Returns:
        face_index: (size, size) int32; corners: (F, 3, 2) float32, where the faces lie in it, in texels.
    """
    corners = (uv * size - 0.5).astype(np.float32)
    points = corners.reshape(-1, 2)
    face_index, inverse_depth = empty_buffers(size, size)
    faces = np.arange(len(points), dtype=np.int32).reshape(-1, 3)
    rasterize(points, np.ones(len(points), np.float32), faces, face_index, inverse_depth)
    return face_index, corners


def empty_buffers(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """`face_index` and `inverse_depth` of an image in which nothing is drawn yet."""
    return np.full((height, width), NO_FACE, np.int32), np.zeros((height, width), np.float32)
