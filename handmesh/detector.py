"""Hands in a picture: palms, then the landmark network on each, which says whether it is a hand, and which one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handmesh.joints import NUM_JOINTS, lean
from handmesh.palm import Palm, PalmDetector, Roi, box_containment, unit_range
from handmesh.runtime import DATA, OnnxModel

LANDMARK_PX = 224
MIN_PRESENCE = 0.5
CLEAR, HOPELESS = 0.9, 0.05  # presence, or probability of either side, that needs no second look
ROI_SIZE = 1.6  # of that look, in sizes of the landmarks' box
SAME_HAND_SHARE = 0.6  # of the smaller box inside of the larger
QUARTERS = tuple(np.deg2rad((0, 90, 180, 270)))
CROP_ROI_SIZE = 1.15  # of a picture that is a crop already, in its longer side
DETECT = ("auto", "always", "never", "small")


@dataclass(frozen=True)
class FoundHand:
    """A hand in a picture.

    Attributes:
        landmarks_px: (21, 2).
        presence: 0 to 1, that this is a hand.
        right: 0 to 1, that it is a right one.
        palm_score: of the palm detector; None where the whole image was taken.
    """

    landmarks_px: np.ndarray
    presence: float
    right: float
    palm_score: float | None

    @property
    def roi(self) -> Roi:
        """A square around the landmarks, upright."""
        return roi_around(self.landmarks_px)

    @property
    def box_px(self) -> np.ndarray:
        """Left, top, right, bottom (4,) of the landmarks."""
        return np.concatenate([self.landmarks_px.min(axis=0), self.landmarks_px.max(axis=0)])


def roi_around(landmarks_px: np.ndarray) -> Roi:
    """A square around landmarks (21, 2), upright."""
    low, high = landmarks_px.min(axis=0), landmarks_px.max(axis=0)
    return Roi((low + high) / 2, ROI_SIZE * float((high - low).max()), lean(landmarks_px))


class HandDetector:
    """Finds the hands of a picture.

    Args:
        threads: see `OnnxModel`.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.palms = PalmDetector(threads)
        self.network = OnnxModel(DATA / "hand_landmark.onnx", threads)

    def __call__(self, image: np.ndarray, detect: str = "auto") -> list[FoundHand]:
        """Hands of an RGB image (H, W, 3) uint8, best first.

        Args:
            detect: `always` returns what the palm detector leads to; `never` takes the whole image for one hand,
                whichever way it is turned; `auto` does the former, and where that finds nothing or a single hand that
                is not clear, the latter, if that is a hand and the surer one; `small` looks for palms in parts of the
                picture as well, as `auto` does where there is nothing else.
        """
        hands: list[FoundHand] = []
        if detect != "never":
            palms = self.palms(image) + (self.palms.in_tiles(image) if detect == "small" else [])
            hands = self._hands(image, palms)
        if detect in ("always", "small") or len(hands) > 1 or (hands and hands[0].presence > CLEAR):
            return hands
        height, width = image.shape[:2]
        whole = self.in_box(image, np.array([0, 0, width, height]) - 0.5)
        if detect == "never" or whole.presence > max([MIN_PRESENCE, *(hand.presence for hand in hands)]):
            return [whole]
        return hands or self._hands(image, self.palms.in_tiles(image))

    def others(self, image: np.ndarray, known_px: Sequence[np.ndarray]) -> list[FoundHand]:
        """What the palm detector leads to besides the hands whose landmarks (21, 2) are known."""
        palms = [palm for palm in self.palms(image) if not any(palm.is_of(landmarks) for landmarks in known_px)]
        return self._hands(image, palms)

    def _hands(self, image: np.ndarray, palms: list[Palm]) -> list[FoundHand]:
        """The hands that palms belong to, each once."""
        looks = [self._surer(image, self.landmarks(image, palm.roi, palm.score)) for palm in palms]
        return _distinct([hand for hand in looks if hand.presence > MIN_PRESENCE])

    def in_box(self, image: np.ndarray, box_px: np.ndarray) -> FoundHand:
        """The hand that fills a box (4,), left, top, right, bottom, whichever way it is turned."""
        low, high = box_px[:2], box_px[2:]
        center, size = (low + high) / 2, CROP_ROI_SIZE * float((high - low).max())
        looks = [self.landmarks(image, Roi(center, size, angle)) for angle in QUARTERS]
        return self._surer(image, max(looks, key=lambda hand: hand.presence))

    def _surer(self, image: np.ndarray, hand: FoundHand) -> FoundHand:
        """The hand, looked at again where its own landmarks put it if it was not clear, whichever is the clearer."""
        clear = hand.presence > CLEAR and abs(hand.right - 0.5) > CLEAR - 0.5
        if clear or hand.presence < HOPELESS:
            return hand
        return max(hand, self.landmarks(image, hand.roi, hand.palm_score), key=lambda one: one.presence)

    def landmarks(self, image: np.ndarray, roi: Roi, palm_score: float | None = None) -> FoundHand:
        """What the landmark network says of a square."""
        found = self.outputs(image, roi)
        points = found["landmarks"].reshape(NUM_JOINTS, 3)[:, :2] - 0.5
        presence, right = (float(found[name].item()) for name in ("presence", "right"))
        return FoundHand(roi.to_picture(points, LANDMARK_PX), presence, right, palm_score)

    def outputs(self, image: np.ndarray, roi: Roi) -> dict[str, np.ndarray]:
        """All outputs of the landmark network for a square: `landmarks` (1, 63), x, y and depth in its pixels, `world`
        (1, 63), metres, `presence` and `right` (1, 1)."""
        return self.network({"image": unit_range(roi.cut(image, LANDMARK_PX))})


def _distinct(hands: list[FoundHand]) -> list[FoundHand]:
    """Without those that are the same hand as a better one."""
    kept: list[FoundHand] = []
    for hand in sorted(hands, key=lambda hand: -hand.presence):
        if not kept or box_containment(hand.box_px, np.stack([one.box_px for one in kept])).max() < SAME_HAND_SHARE:
            kept.append(hand)
    return kept
