"""The picture of a result: silhouette, 2D pose, mesh on the image, mesh and pose in camera space."""

import cv2
import numpy as np

from handmesh.drawing.mesh import draw_mesh
from handmesh.drawing.primitives import draw_skeleton, draw_text
from handmesh.drawing.scene import TEXT_COLOR, draw_stage, frame_close_up, frame_scene
from handmesh.geometry import crop_intrinsics, crop_points
from handmesh.outline import predicted_contour

PANEL_PX = 384
TITLE_PX = 30
GAP_PX = 4
TITLES = ("silhouette", "2D pose", "mesh on the image", "mesh in camera space", "pose in camera space")
SKIN_COLOR = np.array([0.93, 0.76, 0.66])
SILHOUETTE_COLOR = (46, 160, 220)


def plot_result(
    image: np.ndarray,
    K: np.ndarray,
    vertices_m: np.ndarray,
    joints_m: np.ndarray,
    faces: np.ndarray,
    landmarks_px: np.ndarray,
    detected: np.ndarray,
    silhouette: np.ndarray,
    scene: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Draw the five panels side by side.

    Args:
        image: (S, S, 3) RGB uint8, what the network saw.
        K: (3, 3) intrinsics of this image.
        vertices_m, joints_m: (V, 3) and (21, 3), camera space.
        faces: (F, 3).
        landmarks_px: (21, 2), in pixels of this image.
        detected: (21,) bool, which of them to draw.
        silhouette: (h, w) probabilities.
        scene: vertices and joints for the panels of camera space, where that is not the camera of the image.

    Returns:
        (TITLE_PX + PANEL_PX, about 5 PANEL_PX, 3) RGB uint8.
    """
    photo = cv2.resize(image, (PANEL_PX, PANEL_PX), interpolation=cv2.INTER_CUBIC)
    half = image.shape[0] / 2
    panel = (np.array([half, half]), half, PANEL_PX)  # the whole image, at the size of a panel

    pose = photo.copy()
    draw_skeleton(pose, crop_points(landmarks_px, *panel), detected)
    overlay = photo.copy()
    draw_mesh(overlay, vertices_m, faces, crop_intrinsics(K, *panel), SKIN_COLOR, opacity=0.85)

    if scene is not None:
        vertices_m, joints_m = scene
    points = np.concatenate([vertices_m, joints_m])
    view, close_up = frame_scene(points, PANEL_PX), frame_close_up(points, PANEL_PX)
    scene_mesh = draw_stage(view)
    scene_pose = scene_mesh.copy()
    for canvas_view in (close_up, view):
        region = np.s_[: canvas_view.size, : canvas_view.size]
        thickness = 3 if canvas_view is close_up else 1
        draw_mesh(scene_mesh[region], canvas_view.to_view(vertices_m), faces, canvas_view.K, SKIN_COLOR)
        draw_skeleton(scene_pose, canvas_view.project(joints_m), thickness=thickness)
    return _side_by_side([_silhouette_panel(photo, silhouette), pose, overlay, scene_mesh, scene_pose])


def _silhouette_panel(photo: np.ndarray, silhouette: np.ndarray) -> np.ndarray:
    """The photo, darker outside the predicted hand, with the contour that the registration uses."""
    probability = cv2.resize(silhouette.astype(np.float32), (PANEL_PX, PANEL_PX))[..., None]
    panel = (photo * (0.25 + 0.75 * probability)).astype(np.uint8)
    contour = predicted_contour(silhouette, PANEL_PX)
    if contour is not None:
        cv2.drawContours(panel, [contour], -1, SILHOUETTE_COLOR, 2, cv2.LINE_AA)
    return panel


def _side_by_side(panels: list[np.ndarray]) -> np.ndarray:
    width = len(panels) * (PANEL_PX + GAP_PX) - GAP_PX
    sheet = np.full((TITLE_PX + PANEL_PX, width, 3), 255, np.uint8)
    for i, (title, panel) in enumerate(zip(TITLES, panels, strict=True)):
        left = i * (PANEL_PX + GAP_PX)
        sheet[TITLE_PX:, left : left + PANEL_PX] = panel
        draw_text(sheet, title, (left + 8, TITLE_PX - 9), TEXT_COLOR, 17)
    return sheet
