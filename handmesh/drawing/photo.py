"""The picture of a result with any number of hands: the photo with their meshes, then a row for each."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import cv2
import numpy as np

from handmesh.camera import Camera
from handmesh.confidence import MIN_CONFIDENCE
from handmesh.drawing.mesh import draw_mesh, silhouette
from handmesh.drawing.panels import PANEL_PX, plot_result
from handmesh.drawing.primitives import draw_skeleton, draw_text
from handmesh.drawing.scene import TEXT_COLOR
from handmesh.hand import Hand

PHOTO_HEIGHT_PX = 560
HAND_COLORS = {"right": np.array([0.93, 0.76, 0.66]), "left": np.array([0.66, 0.80, 0.95])}
BOX_COLOR = (46, 160, 220)
GAP_PX = 8
FEWEST_VISIBLE = 6  # landmarks drawn without regard to confidence where fewer than these are sure


class PlacedHand(Protocol):
    """What is drawn of a hand, in a picture or a video."""

    @property
    def side(self) -> str: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def vertices_m(self) -> np.ndarray: ...
    @property
    def translation_m(self) -> np.ndarray: ...


Placed = TypeVar("Placed", bound=PlacedHand)


def plot_photo(image: np.ndarray, hands: list[Hand], faces: dict[str, np.ndarray]) -> np.ndarray:
    """Draw a result.

    Args:
        image: (H, W, 3) uint8 RGB.
        hands: of this image.
        faces: of right and left hands, (F, 3).

    Returns:
        (h, about 5 PANEL_PX, 3) uint8 RGB.
    """
    rows = [_hand_row(hand, faces[hand.side]) for hand in hands]
    width = rows[0].shape[1] if rows else 3 * PANEL_PX
    photo = _overview(image, hands, faces, width)
    gap = np.full((GAP_PX, width, 3), 255, np.uint8)
    return np.concatenate([photo, *(part for row in rows for part in (gap, row))])


def draw_overlay(
    image: np.ndarray, hands: Sequence[PlacedHand], faces: dict[str, np.ndarray], scale: float = 1.0
) -> np.ndarray:
    """The picture (H, W, 3), which has been resized by `scale`, with the meshes over it."""
    canvas = image.copy()
    for hand in _far_to_near(hands):
        K = _resized(hand.camera.K, scale)
        draw_mesh(canvas, hand.vertices_m, faces[hand.side], K, HAND_COLORS[hand.side], opacity=0.85)
    return canvas


def number_hands(size: tuple[int, int], hands: list[Hand], faces: dict[str, np.ndarray]) -> np.ndarray:
    """Which hand each pixel of a picture (H, W) shows: its number from 1, or 0; uint8."""
    mask = np.zeros(size, np.uint8)
    for hand in _far_to_near(hands):
        seen = silhouette(hand.vertices_m, faces[hand.side], hand.camera.K, *size)
        mask[seen > 0] = hands.index(hand) + 1
    return mask


def _far_to_near(hands: Sequence[Placed]) -> list[Placed]:
    return sorted(hands, key=lambda hand: -hand.translation_m[2])


def _resized(K: np.ndarray, scale: float) -> np.ndarray:
    """Intrinsics of a resized picture."""
    return np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]]) @ K


def _overview(image: np.ndarray, hands: list[Hand], faces: dict[str, np.ndarray], width: int) -> np.ndarray:
    """The photo twice, as it is with skeletons and with meshes, centred on a white strip."""
    height, photo_width = image.shape[:2]
    scale = min(PHOTO_HEIGHT_PX / height, (width - GAP_PX) / 2 / photo_width)
    size = (max(1, round(photo_width * scale)), max(1, round(height * scale)))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    poses, meshes = shown.copy(), draw_overlay(shown, hands, faces, scale)
    for hand in _far_to_near(hands):
        draw_skeleton(poses, hand.landmarks_px * scale, _sure(hand), thickness=2)
        left, top, right, bottom = (round(float(value * scale)) for value in hand.box_px)
        cv2.rectangle(poses, (left - 4, top - 4), (right + 4, bottom + 4), BOX_COLOR, 1, cv2.LINE_AA)
        draw_text(poses, f"{hand.side} {hand.confidence:.0%}", (left - 4, max(14, top - 8)), BOX_COLOR, 15)
    strip = np.full((size[1], width, 3), 255, np.uint8)
    start = (width - 2 * size[0] - GAP_PX) // 2
    for offset, picture in ((start, poses), (start + size[0] + GAP_PX, meshes)):
        strip[:, offset : offset + size[0]] = picture
    if not hands:
        draw_text(poses, "no hand found", (12, 24), TEXT_COLOR, 18)
        strip[:, start : start + size[0]] = poses
    return strip


def _sure(hand: Hand) -> np.ndarray:
    sure = hand.landmark_confidence > MIN_CONFIDENCE
    return sure if sure.sum() >= FEWEST_VISIBLE else np.ones_like(sure)


def _hand_row(hand: Hand, faces: np.ndarray) -> np.ndarray:
    """The five panels of one hand: the crop as its camera saw it, a left hand turned back, and camera space."""
    crop, silhouette, K = hand.crop, hand.silhouette, hand.view.K
    if hand.view.mirrored:
        crop, silhouette = np.ascontiguousarray(crop[:, ::-1]), np.ascontiguousarray(silhouette[:, ::-1])
    in_view = (hand.vertices_m @ hand.view.rotation.T, hand.joints_m @ hand.view.rotation.T)
    homogeneous = np.column_stack([hand.landmarks_px, np.ones(len(hand.landmarks_px))])
    rays = homogeneous @ np.linalg.inv(hand.camera.K).T @ hand.view.rotation.T @ K.T
    landmarks = rays[:, :2] / rays[:, 2:]
    return plot_result(
        crop, K, *in_view, faces, landmarks, _sure(hand), silhouette, scene=(hand.vertices_m, hand.joints_m)
    )
