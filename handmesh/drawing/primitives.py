"""Text and skeletons in images."""

import cv2
import numpy as np

from handmesh.joints import BONES

LINE_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
FONT = cv2.FontFace("sans")
WRIST_COLOR = (120, 124, 132)
FINGER_COLORS = ((229, 91, 84), (240, 167, 66), (86, 181, 98), (66, 150, 220), (158, 104, 204))  # thumb to little


def fixed_point(points_px: np.ndarray) -> np.ndarray:
    """Points as OpenCV's fixed-point integers; far-off or undefined ones are moved to a harmless place."""
    return np.rint(np.nan_to_num(points_px, nan=-1e4).clip(-1e4, 1e4) * (1 << LINE_SHIFT)).astype(np.int32)


def draw_text(
    canvas: np.ndarray, text: str, position_px: tuple[float, float], color: tuple[int, int, int], size_px: int
) -> None:
    """Write text with its baseline starting at a position, in place."""
    cv2.putText(canvas, text, (round(position_px[0]), round(position_px[1])), color, FONT, size_px, 450)


def draw_skeleton(
    canvas: np.ndarray, joints_px: np.ndarray, visible: np.ndarray | None = None, thickness: int = 3
) -> None:
    """Draw 21 joints (21, 2) and the bones between them in place, one colour per finger; visible: (21,) bool."""
    points = fixed_point(joints_px)
    colors = [WRIST_COLOR] + [FINGER_COLORS[(joint - 1) // 4] for joint in range(1, len(points))]
    shown = np.ones(len(points), bool) if visible is None else visible
    for parent, child in BONES:
        if shown[parent] and shown[child]:
            cv2.line(canvas, points[parent], points[child], colors[child], thickness, cv2.LINE_AA, LINE_SHIFT)
    radius = round((thickness + 0.5) * (1 << LINE_SHIFT))
    for joint in np.flatnonzero(shown):
        cv2.circle(canvas, points[joint], radius, colors[joint], cv2.FILLED, cv2.LINE_AA, LINE_SHIFT)
        if thickness > 1:
            cv2.circle(canvas, points[joint], radius, (255, 255, 255), 1, cv2.LINE_AA, LINE_SHIFT)
