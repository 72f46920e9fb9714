"""A third-person view of camera space: the camera at the origin, a floor in metres, and hands."""

from dataclasses import dataclass

import cv2
import numpy as np

from handmesh.drawing.primitives import LINE_SHIFT, draw_text, fixed_point

BACKGROUND = (250, 250, 251)
GRID_COLOR = (216, 219, 224)
TEXT_COLOR = (90, 96, 106)
CAMERA_COLOR = (40, 46, 56)
GRID_STEP_M, FAR_STEP_M, FAR_M = 0.1, 1.0, 3.0  # the second for a floor that reaches further than the third
MAX_REACH_M = 30.0  # beyond where hands can be seen; keeps nonsense from drawing a floor of kilometres
AZIMUTH_DEGREES, ELEVATION_DEGREES = 52.0, 22.0  # from behind the camera, to its right and above
FOCAL_RATIO = 2.4  # focal length over image side: a long lens, little distortion
FRAMING = 0.9  # share of the image that the contents fill
SCENE_CENTER_Y = 0.66  # the scene lies below the close-up
CLOSE_UP_SIDE = 0.56  # of the image
CAMERA_SIZE_M = 0.06


@dataclass(frozen=True)
class SceneView:
    """A virtual camera that frames the real camera and everything in front of it.

    Attributes:
        rotation: (3, 3), world to view.
        translation: (3,), metres.
        K: (3, 3) intrinsics of the view.
        size: side of the image in pixels.
        depth_m: how far the floor reaches.
        floor_m: y of the floor.
        half_width_m: the floor reaches this far to both sides.
        step_m: between the lines of its grid.
    """

    rotation: np.ndarray
    translation: np.ndarray
    K: np.ndarray
    size: int
    depth_m: float
    floor_m: float
    half_width_m: float
    step_m: float

    def to_view(self, points_m: np.ndarray) -> np.ndarray:
        """World (camera space) to view coordinates, (..., 3)."""
        return points_m @ self.rotation.T + self.translation

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of world points (..., 3)."""
        homogeneous = self.to_view(points_m) @ self.K.T
        return homogeneous[..., :2] / homogeneous[..., 2:]


def frame_scene(points_m: np.ndarray, size: int) -> SceneView:
    """The view that shows the origin and all points (N, 3) of camera space, metres."""
    points_m = _plausible(points_m)
    reach = np.abs(points_m).max(axis=0, initial=GRID_STEP_M)
    step = FAR_STEP_M if reach.max() > FAR_M else GRID_STEP_M
    half_width, floor, depth = np.ceil(reach / step) * step
    corners = np.array([[x, floor, z] for x in (-half_width, half_width) for z in (0, depth)])
    contents = np.concatenate([corners, points_m, _camera_frame()])
    return _look_at(contents, size, SCENE_CENTER_Y, depth, floor, half_width, step)


def frame_close_up(points_m: np.ndarray, size: int) -> SceneView:
    """The same direction of view, filled by the points (N, 3) alone; a square of CLOSE_UP_SIDE of the image."""
    points_m = _plausible(points_m)
    return _look_at(points_m, round(size * CLOSE_UP_SIDE), 0.5, 0.0, 0.0, 0.0, GRID_STEP_M)


def _plausible(points_m: np.ndarray) -> np.ndarray:
    return points_m[(np.abs(points_m) < MAX_REACH_M).all(axis=1)]


def _look_at(
    contents_m: np.ndarray, size: int, center_y: float, depth: float, floor: float, half_width: float, step: float
) -> SceneView:
    azimuth, elevation = np.radians([AZIMUTH_DEGREES, ELEVATION_DEGREES])
    forward = np.array([-np.sin(azimuth), np.tan(elevation), np.cos(azimuth)])
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])

    turned = contents_m @ rotation.T if len(contents_m) else np.zeros((1, 3))
    center = (turned.min(axis=0) + turned.max(axis=0)) / 2
    extent = np.abs(turned - center)
    room = np.array([1.0, 2 * min(center_y, 1 - center_y)]) * FRAMING  # shares of the image: width, height
    distance = ((extent[:, :2] / room).max(axis=1) * 2 * FOCAL_RATIO + extent[:, 2]).max() + 1e-3
    focal = FOCAL_RATIO * size
    K = np.array([[focal, 0, size / 2], [0, focal, size * center_y], [0, 0, 1.0]])
    return SceneView(rotation, np.array([0, 0, distance]) - center, K, size, depth, floor, half_width, step)


def _camera_frame() -> np.ndarray:
    """Apex and corners of the drawn camera, (5, 3)."""
    w, h = CAMERA_SIZE_M / 2, CAMERA_SIZE_M * 0.4
    return np.array([[0, 0, 0], [-w, -h, w], [w, -h, w], [w, h, w], [-w, h, w]])


def draw_stage(view: SceneView) -> np.ndarray:
    """The empty scene: floor with metre labels, and the camera. (size, size, 3) uint8."""
    canvas = np.full((view.size, view.size, 3), BACKGROUND, np.uint8)
    lines = []
    for z in np.arange(0, view.depth_m + 1e-6, view.step_m):
        lines.append([[-view.half_width_m, view.floor_m, z], [view.half_width_m, view.floor_m, z]])
    for x in np.arange(-view.half_width_m, view.half_width_m + 1e-6, view.step_m):
        lines.append([[x, view.floor_m, 0], [x, view.floor_m, view.depth_m]])
    _draw_lines(canvas, view, np.array(lines), GRID_COLOR, 1)
    every = 2 if view.depth_m > 6.5 * view.step_m else 1
    ticks = np.arange(0, view.depth_m + 1e-6, view.step_m * every)
    edge = np.stack([np.full_like(ticks, view.half_width_m), np.full_like(ticks, view.floor_m), ticks], axis=1)
    for tick, (u, v) in zip(ticks, view.project(edge), strict=True):
        draw_text(canvas, f"{tick:.1f}", (u + 6, v + 10), TEXT_COLOR, 11)
    end = view.project(np.array([view.half_width_m, view.floor_m, view.depth_m / 2]))
    draw_text(canvas, "z [m]", (end[0] + 30, end[1] + 26), TEXT_COLOR, 12)
    draw_text(canvas, "close-up", (view.size * CLOSE_UP_SIDE + 4, 20), TEXT_COLOR, 12)

    apex, *corners = _camera_frame()
    edges = [[apex, corner] for corner in corners]
    edges += [[corners[i], corners[(i + 1) % 4]] for i in range(4)]
    _draw_lines(canvas, view, np.array(edges), CAMERA_COLOR, 1)
    axis_colors = ((214, 66, 66), (58, 160, 80), (54, 110, 214))
    for axis, color in zip(np.eye(3) * CAMERA_SIZE_M * 1.2, axis_colors, strict=True):
        _draw_lines(canvas, view, np.array([[apex, axis]]), color, 2)
    return canvas


def _draw_lines(canvas: np.ndarray, view: SceneView, lines: np.ndarray, color: tuple, thickness: int) -> None:
    for start, end in fixed_point(view.project(lines)):
        cv2.line(canvas, start, end, color, thickness, cv2.LINE_AA, LINE_SHIFT)
