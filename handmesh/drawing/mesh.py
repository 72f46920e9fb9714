"""Shaded meshes drawn into images, with OpenCV's rasteriser."""

import cv2
import numpy as np

from handmesh.drawing.primitives import LINE_SHIFT, fixed_point
from handmesh.geometry import project

SUPERSAMPLING = 2
LARGEST_SUPERSAMPLED_PX = 1500  # larger hands are fine enough as they are
NEAR_M, FAR_M = 0.01, 100.0
KEY_LIGHT = np.array([0.35, 0.55, 0.76])  # direction of travel in the camera frame: from the upper left
AMBIENT, DIFFUSE = 0.38, 0.62
RASTERIZER = (
    cv2.TriangleRasterizeSettings()
    .setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    .setCullingMode(cv2.RASTERIZE_CULLING_NONE)
)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), outward whichever way the faces are oriented (mirrored hands)."""
    a, b, c = (vertices[faces[:, corner]] - vertices.mean(axis=0) for corner in range(3))
    face_normals = np.cross(b - a, c - a)
    if (a * face_normals).sum() < 0:
        face_normals = -face_normals
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def draw_mesh(
    canvas: np.ndarray, vertices: np.ndarray, faces: np.ndarray, K: np.ndarray, color: np.ndarray, opacity: float = 1.0
) -> None:
    """Draw a smoothly shaded mesh over an image, in place.

    Args:
        canvas: (H, W, 3) uint8.
        vertices: (V, 3) in the frame of the camera K, metres.
        faces: (F, 3).
        K: (3, 3) intrinsics of the canvas, pixels.
        color: RGB in [0, 1].
        opacity: of the mesh.
    """
    if not np.isfinite(vertices).all() or vertices[:, 2].min() <= NEAR_M:
        return
    homogeneous = vertices @ K.T
    pixels = homogeneous[:, :2] / homogeneous[:, 2:]
    # Only the box around the hand is drawn.
    sides = canvas.shape[1::-1]
    left, top = np.clip(np.floor(pixels.min(axis=0)), 0, sides).astype(int)
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)) + 1, 0, sides).astype(int)
    region = canvas[top:bottom, left:right]
    if not region.size:
        return
    fine = SUPERSAMPLING if max(region.shape) <= LARGEST_SUPERSAMPLED_PX else 1
    height, width = (fine * side for side in region.shape[:2])
    pixels = fine * (pixels - [left, top] + 0.5)
    depth = vertices[:, 2]
    # The rasteriser's camera looks along -z with y up; a field of view of 90 degrees makes half the height one unit.
    half = height / 2
    placed = np.stack([(pixels[:, 0] - width / 2) / half, (half - pixels[:, 1]) / half, -np.ones(len(depth))], axis=1)
    placed *= depth[:, None]
    light = AMBIENT + DIFFUSE * np.clip(-vertex_normals(vertices, faces) @ KEY_LIGHT, 0, 1)

    colors = np.zeros((height, width, 3), np.float32)
    depths = np.full((height, width), FAR_M, np.float32)
    cv2.triangleRasterize(
        placed.astype(np.float32)[:, None],
        faces.astype(np.int32)[:, None],
        (light[:, None] * color).astype(np.float32)[:, None],
        colors,
        depths,
        np.eye(4, dtype=np.float32),
        np.pi / 2,
        NEAR_M,
        FAR_M,
        RASTERIZER,
    )
    covered = (depths < FAR_M).astype(np.float32)
    shaded, alpha = (
        cv2.resize(plane, region.shape[1::-1], interpolation=cv2.INTER_AREA) for plane in (colors, covered)
    )
    alpha = alpha[..., None]
    region[:] = (region * (1 - opacity * alpha) + opacity * 255 * shaded).clip(0, 255)


def silhouette(vertices_m: np.ndarray, faces: np.ndarray, K: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mask (H, W) uint8 of a mesh, 255 where it is seen; vertices (V, 3) in the camera's frame, faces (F, 3)."""
    mask = np.zeros((height, width), np.uint8)
    for triangle in fixed_point(project(vertices_m, K))[faces]:
        cv2.fillConvexPoly(mask, triangle, 255, shift=LINE_SHIFT)
    return mask
