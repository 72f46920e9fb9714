"""Palms in a picture: MediaPipe's single-shot detector (Zhang et al. 2020), converted to ONNX."""

from dataclasses import dataclass

import cv2
import numpy as np

from handmesh.runtime import DATA, OnnxModel
from handmesh.warp import cut_square

INPUT_PX = 192
GRIDS = ((24, 2), (12, 6))  # cells a side, anchors in each
# Wrist, knuckles of index, middle, ring and little finger, two joints of the thumb, by FreiHAND's numbers.
KEYPOINT_JOINTS = (0, 5, 9, 13, 17, 1, 2)
KEYPOINTS = len(KEYPOINT_JOINTS)
SAME_PALM = 0.5  # largest mean distance of key points and joints of one hand, in sizes of the palm's box
WRIST, MIDDLE_KNUCKLE = 0, 2
MIN_SCORE = 0.3  # low: the landmark network says of each whether it is a hand
SAME_HAND_IOU = 0.3
TILE_SHARE, TILE_LEAST_PX = 0.4, 256  # longer side of a tile, of the picture's
TILE_STEP = 0.7  # largest step to the next tile, in sides
ROI_SIZE, ROI_SHIFT = 2.6, 0.5  # of the hand, in sizes of the palm's box, shifted towards the fingers


@dataclass(frozen=True)
class Roi:
    """A turned square of a picture.

    Attributes:
        center_px: (2,).
        size_px: side.
        angle: radians by which its up direction is turned clockwise from the picture's.
    """

    center_px: np.ndarray
    size_px: float
    angle: float

    def affine(self, size: int) -> np.ndarray:
        """Pixel of the picture to pixel of the square at size x size, (2, 3)."""
        scale = size / self.size_px
        cosine, sine = scale * np.cos(self.angle), scale * np.sin(self.angle)
        linear = np.array([[cosine, sine], [-sine, cosine]])
        middle = (size - 1) / 2
        return np.column_stack([linear, middle - linear @ self.center_px])

    def cut(self, image: np.ndarray, size: int) -> np.ndarray:
        """The square (size, size, 3), black outside of the picture."""
        return cut_square(image, np.vstack([self.affine(size), [0, 0, 1]]), size)

    def to_picture(self, points: np.ndarray, size: int) -> np.ndarray:
        """Pixels (..., 2) of the square at size x size as pixels of the picture."""
        affine = self.affine(size)
        return (points - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T


@dataclass(frozen=True)
class Palm:
    """A palm that was found.

    Attributes:
        score: 0 to 1.
        box_px: left, top, right, bottom (4,).
        keypoints_px: (7, 2).
    """

    score: float
    box_px: np.ndarray
    keypoints_px: np.ndarray

    @property
    def roi(self) -> Roi:
        """Where the whole hand is, upright."""
        x, y = self.keypoints_px[MIDDLE_KNUCKLE] - self.keypoints_px[WRIST]
        angle = float(np.arctan2(x, -y))
        low, high = self.box_px[:2], self.box_px[2:]
        size = float((high - low).max())
        up = np.array([np.sin(angle), -np.cos(angle)])
        return Roi((low + high) / 2 + ROI_SHIFT * (high - low)[1] * up, ROI_SIZE * size, angle)

    def is_of(self, landmarks_px: np.ndarray) -> bool:
        """Whether it is the palm of a hand with landmarks (21, 2)."""
        off = np.linalg.norm(landmarks_px[list(KEYPOINT_JOINTS)] - self.keypoints_px, axis=1).mean()
        return bool(off < SAME_PALM * (self.box_px[2:] - self.box_px[:2]).max())


class PalmDetector:
    """Finds palms of about a twentieth of the picture's longer side and more, by tiles also smaller ones."""

    def __init__(self, threads: int | None = None) -> None:
        self.network = OnnxModel(DATA / "palm_detection.onnx", threads)
        self.anchors = _anchors()

    def in_tiles(self, image: np.ndarray) -> list[Palm]:
        """Palms in overlapping parts of an RGB image (H, W, 3) uint8, best first; nothing in a small image, which is a
        single one."""
        palms = []
        for rows, columns in _tiles(*image.shape[:2]):
            shift = np.array([columns.start, rows.start])
            for palm in self(image[rows, columns]):
                palms.append(Palm(palm.score, palm.box_px + np.tile(shift, 2), palm.keypoints_px + shift))
        values = (np.array([getattr(palm, name) for palm in palms]) for name in ("score", "box_px", "keypoints_px"))
        return [Palm(*palm) for palm in _merged(*values)] if palms else []

    def __call__(self, image: np.ndarray) -> list[Palm]:
        """Palms in an RGB image (H, W, 3) uint8, best first."""
        height, width = image.shape[:2]
        scale = INPUT_PX / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
        left, top = (INPUT_PX - size[0]) // 2, (INPUT_PX - size[1]) // 2
        resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        canvas[top : top + size[1], left : left + size[0]] = resized
        found = self.network({"image": unit_range(canvas)})
        values, logits = found["boxes"], found["scores"].ravel()
        scores = 1 / (1 + np.exp(-logits.clip(-60, 60)))
        chosen = np.flatnonzero(scores > MIN_SCORE)
        values, scores = values.reshape(-1, 4 + 2 * KEYPOINTS)[chosen], scores[chosen]
        points = values.reshape(-1, 2 + KEYPOINTS, 2) / INPUT_PX
        points[:, [0, *range(2, 2 + KEYPOINTS)]] += self.anchors[chosen, None]
        to_px = np.array([width / size[0], height / size[1]])
        points = (points * INPUT_PX - [left, top]) * to_px - 0.5
        sizes = values[:, 2:4] * to_px
        boxes = np.concatenate([points[:, 0] - sizes / 2, points[:, 0] + sizes / 2], axis=1)
        return [Palm(*palm) for palm in _merged(scores, boxes, points[:, 2:])]


def unit_range(image: np.ndarray) -> np.ndarray:
    """An image (S, S, 3) uint8 as a batch (1, S, S, 3) float32 in [0, 1]."""
    return np.divide(image[None], 255, dtype=np.float32)


def _tiles(height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the parts that cover a picture: squares, less where the picture is narrower."""
    longer = max(height, width)
    if longer <= TILE_LEAST_PX:
        return []
    side = max(TILE_LEAST_PX, round(TILE_SHARE * longer))

    def parts(length: int) -> list[slice]:
        own = min(side, length)
        starts = np.linspace(0, length - own, 1 + int(np.ceil((length - own) / (TILE_STEP * side)))).round()
        return [slice(int(start), int(start) + own) for start in starts]

    return [(rows, columns) for rows in parts(height) for columns in parts(width)]


def _anchors() -> np.ndarray:
    """Centres (2016, 2) of the anchors, from 0 to 1 across the input."""
    rows = []
    for cells, count in GRIDS:
        steps = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(steps, steps, indexing="ij")
        rows.append(np.stack([x, y], axis=-1).reshape(-1, 2).repeat(count, axis=0))
    return np.concatenate(rows)


def _merged(scores: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Non-maximum suppression; boxes of one hand are averaged by their scores."""
    result = []
    rest = np.argsort(-scores)
    while len(rest):
        same = box_overlap(boxes[rest[0]], boxes[rest]) > SAME_HAND_IOU
        same[0] = True
        group, rest = rest[same], rest[~same]
        weights = scores[group] / scores[group].sum()
        box, points = np.tensordot(weights, boxes[group], 1), np.tensordot(weights, keypoints[group], 1)
        result.append((float(scores[group[0]]), box, points))
    return result


def box_overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with others (N, 4): left, top, right, bottom."""
    common, area, areas = _areas(box, others)
    return common / np.maximum(area + areas - common, 1e-9)


def box_containment(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which share of the smaller of two boxes lies in the larger: a box (4,) with others (N, 4)."""
    common, area, areas = _areas(box, others)
    return common / np.maximum(np.minimum(area, areas), 1e-9)


def _areas(box: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    sides = np.clip(high - low, 0, None)
    return sides.prod(axis=1), (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
