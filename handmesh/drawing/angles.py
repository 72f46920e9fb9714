"""The picture of a video's joint angles: how far each finger bends, over time."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from handmesh.drawing.primitives import FINGER_COLORS, LINE_SHIFT, draw_text, fixed_point
from handmesh.drawing.scene import GRID_COLOR, TEXT_COLOR
from handmesh.skeleton import ANGLE_NAMES, FINGERS

PANEL_PX = np.array([1240, 170])  # width, height
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX, GAP_PX = 64, 32, 74, 40, 30
RANGE_DEG = (-35.0, 110.0)  # of all panels, so that fingers can be compared
GRID_DEG = (0, 30, 60, 90)
MOST_TICKS = 12
BRIDGED_SHARE = 0.35  # of the colour in what was not seen
AWAY = 2  # between two frames: the hand was lost; otherwise whether it was bridged
THICKNESS_PX = (3, 2, 1)  # from the palm to the tip
TRACK_COLORS = tuple(FINGER_COLORS[index] for index in (3, 0, 2, 1, 4))
JOINTS = {
    finger: [name for name in ANGLE_NAMES if name.startswith(finger) and name.endswith("flexion")][-3:]
    for finger in FINGERS
}
"""How far the joints of each finger bend, from the palm to the tip."""


def plot_angles(tracks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draw a panel for each finger: flexion in degrees over seconds, a colour for each hand, lighter where it was not
    seen.

    Args:
        tracks: rows of `handmesh.video_results.row_type` by the name of the hand, in the order of their times.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    times = [rows["time_s"] for rows in tracks.values()]
    span_s = (min(map(np.min, times)), max(map(np.max, times))) if times else (0.0, 1.0)
    height = TOP_PX + len(FINGERS) * (PANEL_PX[1] + GAP_PX) - GAP_PX + BOTTOM_PX
    canvas = np.full((height, LEFT_PX + PANEL_PX[0] + RIGHT_PX, 3), 255, np.uint8)
    corners = {name: np.array([LEFT_PX, TOP_PX + at * (PANEL_PX[1] + GAP_PX)]) for at, name in enumerate(FINGERS)}
    for finger, corner in corners.items():
        _draw_grid(canvas, corner, finger, span_s, last=finger == FINGERS[-1])
    place = LEFT_PX
    for number, (name, rows) in enumerate(tracks.items()):
        color = TRACK_COLORS[number % len(TRACK_COLORS)]
        cv2.line(canvas, (place, 24), (place + 24, 24), color, 3, cv2.LINE_AA)
        draw_text(canvas, name.replace("_", " "), (place + 32, 30), TEXT_COLOR, 17)
        place += 140
        for finger, corner in corners.items():
            _draw_hand(canvas, corner, rows, JOINTS[finger], span_s, color)
    return canvas


def _draw_hand(
    canvas: np.ndarray,
    corner: np.ndarray,
    rows: np.ndarray,
    names: Sequence[str],
    span_s: tuple[float, float],
    color: tuple[int, int, int],
) -> None:
    """The angles of one hand in the panel of a finger."""
    angles_deg = np.rad2deg(rows["angles"][:, [ANGLE_NAMES.index(name) for name in names]].astype(float))
    pale = tuple(round(255 - BRIDGED_SHARE * (255 - part)) for part in color)
    bridged = rows["bridged"][1:] | rows["bridged"][:-1]
    kinds = np.where(np.diff(rows["frame"]) > 1, AWAY, bridged)
    runs = np.split(np.arange(len(kinds)), np.flatnonzero(np.diff(kinds)) + 1)
    for angle_deg, thickness in zip(angles_deg.T, THICKNESS_PX, strict=True):
        points = fixed_point(corner + _in_panel(rows["time_s"], angle_deg, span_s))
        for run in runs:
            if run.size and kinds[run[0]] != AWAY:
                line = [points[run[0] : run[-1] + 2]]
                shade = pale if kinds[run[0]] else color
                cv2.polylines(canvas, line, False, shade, thickness, cv2.LINE_AA, LINE_SHIFT)


def _draw_grid(canvas: np.ndarray, corner: np.ndarray, finger: str, span_s: tuple[float, float], last: bool) -> None:
    """Lines, numbers and name of an empty panel."""
    length = span_s[1] - span_s[0]
    step = next(
        (one for one in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if length / one < MOST_TICKS), 1800
    )
    for time in np.arange(np.ceil(span_s[0] / step), span_s[1] / step + 1e-6) * step:
        x = round(corner[0] + _in_panel(time, 0, span_s)[0])
        cv2.line(canvas, (x, corner[1]), (x, corner[1] + PANEL_PX[1]), GRID_COLOR, 1)
        if last:
            draw_text(canvas, f"{time:g} s", (x - 10, corner[1] + PANEL_PX[1] + 24), TEXT_COLOR, 15)
    for degrees in GRID_DEG:
        y = round(corner[1] + _in_panel(span_s[0], degrees, span_s)[1])
        cv2.line(canvas, (corner[0], y), (corner[0] + PANEL_PX[0], y), GRID_COLOR if degrees else TEXT_COLOR, 1)
        draw_text(canvas, f"{degrees}°", (corner[0] - 40, y + 5), TEXT_COLOR, 15)
    draw_text(canvas, finger, (corner[0], corner[1] - 8), TEXT_COLOR, 17)
    for number, (name, thickness) in enumerate(zip(JOINTS[finger], THICKNESS_PX, strict=True)):
        x, y = corner[0] + 90 + 80 * number, corner[1] - 13
        cv2.line(canvas, (x, y), (x + 24, y), TEXT_COLOR, thickness, cv2.LINE_AA)
        draw_text(canvas, name.split("_")[1], (x + 30, y + 4), TEXT_COLOR, 14)


def _in_panel(time_s: np.ndarray | float, angle_deg: np.ndarray | float, span_s: tuple[float, float]) -> np.ndarray:
    """Pixels (..., 2) from the panel's corner."""
    x = (np.asarray(time_s, float) - span_s[0]) / max(span_s[1] - span_s[0], 1e-3)
    y = (RANGE_DEG[1] - np.asarray(angle_deg, float)) / (RANGE_DEG[1] - RANGE_DEG[0])
    return np.stack(np.broadcast_arrays(x, y), axis=-1) * PANEL_PX
