"""From any picture to the hands in it, in front of its camera: detection, a camera for each hand, the network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from handmesh.camera import DEFAULT_FOV_DEGREES, FROM_FOV, GIVEN, Camera, checked_intrinsics, from_fov
from handmesh.detector import SAME_HAND_SHARE, FoundHand, HandFinder
from handmesh.geometry import to_network_input
from handmesh.joints import hand_length
from handmesh.palm import box_containment
from handmesh.view import HandView, view_of
from models.predictor import HandPredictor

MOBILE_MARGIN, PAPER_MARGIN = 1.6, 1.3  # side of the crop over the hand's box: what the networks were trained on
DOUBTFUL_PX = 6.0  # residual, in the crop, above which a hand is looked for again: the crop may have held half of it;
FAR_MARGIN = 2.2  # first in one this much larger than its box, then around what was seen there
UNSURE = (0.01, 0.99)  # detector's probabilities of a right hand between which networks of the paper see both sides
SURE = 0.95  # the mobile network itself says how probable the side is; below, it sees the other one too
# Log odds of a side: weights of the log odds that detector and network say, of the mean confidence of the landmarks and
# of the log of the residual in pixels (`scripts/fit_sides.py`).
SIDE_WEIGHTS = (0.16, 0.58, 0.1, -0.43)
DETECT = ("auto", "always", "never")
LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class PhotoHand:
    """A hand of a picture. Camera space is the picture's camera's: x right, y down, z forward.

    Attributes:
        side: `right` or `left`.
        found: what the detector says of it; None where it was not asked.
        camera: of the picture.
        view: the crop's own camera.
        crop: (S, S, 3) uint8, what the network saw; a left hand mirrored.
        vertices_m: (V, 3) and joints_m: (21, 3), camera space.
        landmarks_px: (21, 2), of the picture.
        landmark_confidence: (21,).
        silhouette: (h, w) probabilities, of the crop.
        residual_px: of the registration, in pixels of the crop.
        success: whether the position in camera space can be relied upon.
        side_probability: that the hand is of this side, by its looks; NaN where the network does not say.
        confidence: 0 to 1, that the joints are within `Calibration.good_mm` after alignment.
        known_size: whether size and depth follow from a known length of the hand.
    """

    side: str
    found: FoundHand | None
    camera: Camera
    view: HandView
    crop: np.ndarray
    vertices_m: np.ndarray
    joints_m: np.ndarray
    landmarks_px: np.ndarray
    landmark_confidence: np.ndarray
    silhouette: np.ndarray
    residual_px: float
    success: bool
    side_probability: float
    confidence: float
    known_size: bool

    @property
    def translation_m(self) -> np.ndarray:
        """Position (3,) of the wrist."""
        return self.joints_m[0]

    @property
    def box_px(self) -> np.ndarray:
        """Left, top, right, bottom (4,) of the landmarks in the picture."""
        return np.concatenate([self.landmarks_px.min(axis=0), self.landmarks_px.max(axis=0)])


@dataclass(frozen=True)
class Calibration:
    """How often a hand is good, as a logistic function of what is known about it; fitted on held-out data.

    Attributes:
        weights: of 1, log residual in pixels, mean confidence of the landmarks.
        good_mm: mean error of the joints after alignment up to which a hand counts as good.
    """

    weights: tuple[float, float, float] = (0.0, 0.0, 0.0)
    good_mm: float = 10.0

    def __call__(self, residual_px: float, landmark_confidence: np.ndarray) -> float:
        """Probability that a hand is good."""
        value = np.dot(self.weights, confidence_features(residual_px, landmark_confidence))
        return float(1 / (1 + np.exp(-value)))


def confidence_features(residual_px: float, landmark_confidence: np.ndarray) -> np.ndarray:
    """What the confidence of a hand depends on: (3,)."""
    return np.array([1.0, _log_residual(residual_px), np.mean(landmark_confidence)])


def _log_residual(residual_px: float) -> float:
    return float(np.log(np.clip(residual_px, 0.1, 1e3)))


def _side_is_open(hand: PhotoHand) -> bool:
    """Whether to see it as a hand of the other side as well."""
    if np.isnan(hand.side_probability):
        return UNSURE[0] < hand.found.right < UNSURE[1]
    return hand.side_probability < SURE


def _clearness(hand: PhotoHand) -> float:
    """How clearly the landmarks are seen."""
    return float(hand.landmark_confidence.mean())


def _side_score(hand: PhotoHand) -> float:
    """Log odds of its side, to compare with another look's: a hand taken for one of the other side looks like one,
    is blurred, and its mesh fits the landmarks less. The latter two hold for one that is half outside of its crop."""
    return float(np.dot(SIDE_WEIGHTS, side_features(hand)))


def side_features(hand: PhotoHand) -> np.ndarray:
    """What the odds of a side depend on: (4,)."""
    told = hand.found.right if hand.side == RIGHT else 1 - hand.found.right
    return np.array(
        [_log_odds(told), _log_odds(hand.side_probability), _clearness(hand), _log_residual(hand.residual_px)]
    )


def _log_odds(probability: float) -> float:
    probability = np.clip(probability, 1e-3, 1 - 1e-3)
    return float(np.log(probability / (1 - probability)))


def _likeliest(hand: PhotoHand, others: Sequence[PhotoHand]) -> PhotoHand:
    """The likeliest of a hand and of others, as far as these are the same hand."""
    same = [one for one in others if box_containment(hand.box_px, one.box_px[None])[0] >= SAME_HAND_SHARE]
    return max([hand, *same], key=_side_score)


class PhotoPredictor:
    """Networks ready to use on pictures.

    Args:
        predictor: the network for crops.
        calibration: of its confidence.
    """

    def __init__(self, predictor: HandPredictor, calibration: Calibration | None = None) -> None:
        self.predictor = predictor
        self.calibration = calibration or Calibration()
        self.mobile = predictor.mobile
        self.margin = MOBILE_MARGIN if self.mobile else PAPER_MARGIN
        self._finder: HandFinder | None = None

    @property
    def finder(self) -> HandFinder:
        """The detector, read when it is first asked."""
        if self._finder is None:
            self._finder = HandFinder()
        return self._finder

    def prepare(self, detect: str) -> None:
        """Read the detector now if it will be asked: LiteRT says something when it starts."""
        if detect != "never" or self.mobile:
            self._finder = self.finder

    @property
    def faces(self) -> dict[str, np.ndarray]:
        """Triangles (F, 3) of right and left hands, outward."""
        faces = self.predictor.template.faces[0]
        return {RIGHT: faces, LEFT: faces[:, ::-1]}

    def __call__(
        self,
        image: np.ndarray,
        K: np.ndarray | Camera | None = None,
        detect: str = "auto",
        hand: str = "auto",
        hand_length_m: float | None = None,
    ) -> list[PhotoHand]:
        """Find the hands of a picture.

        Args:
            image: (H, W, 3) uint8 RGB, upright.
            K: (3, 3) intrinsics in pixels; None takes a field of view of 65 degrees across the longer side, and then
                distances are only as good as that guess.
            detect: see `HandFinder`. `never` gives a network of the paper the central square as it is.
            hand: `right` or `left` where that is known; `auto` decides by how it looks.
            hand_length_m: from the wrist along the bones to the middle finger's tip, where that is known; it fixes the
                scale.

        Raises:
            InputError: K is not a camera's.
        """
        camera = self._camera(image, K)
        if detect == "never" and not self.mobile:
            crop, crop_K = self.predictor.fit(image, camera.K)
            view = HandView(np.eye(3), crop_K, self.predictor.size, hand == LEFT)
            crop = np.ascontiguousarray(crop[:, ::-1]) if view.mirrored else crop
            return self._predict([view], [crop], [None], camera, hand_length_m)
        found = self.finder(image, detect)
        if not found:
            return []
        picture = (image, camera, hand_length_m)
        looks = [(one, one.landmarks_px, hand == LEFT or (hand == "auto" and one.right < 0.5)) for one in found]
        hands = self._look(*picture, looks, self.margin)
        if hand == "auto":
            unsure = [(one.found, one.found.landmarks_px, one.side == RIGHT) for one in hands if _side_is_open(one)]
            others = self._look(*picture, unsure, self.margin)
            better = _side_score if self.mobile else _clearness
            hands = [max([one, *(other for other in others if other.found is one.found)], key=better) for one in hands]
        doubtful = [one for one in hands if one.residual_px > DOUBTFUL_PX]
        if not self.mobile or not doubtful:  # the networks of the paper have not seen hands from so far
            return hands
        far = self._look(*picture, [(one.found, one.landmarks_px, one.side == LEFT) for one in doubtful], FAR_MARGIN)
        near = self._look(*picture, [(one.found, one.landmarks_px, one.side == LEFT) for one in far], self.margin)
        return [_likeliest(one, [other for other in near if other.found is one.found]) for one in hands]

    def _look(
        self,
        image: np.ndarray,
        camera: Camera,
        hand_length_m: float | None,
        looks: Sequence[tuple[FoundHand, np.ndarray, bool]],
        margin: float,
    ) -> list[PhotoHand]:
        """Hands around landmarks (21, 2), each with what was found there and whether to take it for a left hand."""
        if not looks:
            return []
        views = [view_of(around, camera.K, self.predictor.size, margin, left) for _, around, left in looks]
        crops = [view.cut(image, camera.K) for view in views]
        return self._predict(views, crops, [found for found, _, _ in looks], camera, hand_length_m)

    @staticmethod
    def _camera(image: np.ndarray, K: np.ndarray | Camera | None) -> Camera:
        if isinstance(K, Camera):
            return K
        if K is None:
            return Camera(from_fov(*image.shape[:2], DEFAULT_FOV_DEGREES), FROM_FOV)
        return Camera(checked_intrinsics(K, "K"), GIVEN)

    def _predict(
        self,
        views: Sequence[HandView],
        crops: Sequence[np.ndarray],
        found: Sequence[FoundHand | None],
        camera: Camera,
        hand_length_m: float | None,
    ) -> list[PhotoHand]:
        predictor = self.predictor
        inputs = np.stack([to_network_input(crop, predictor.mean, predictor.std) for crop in crops])
        K = []
        for view in views:
            K.append(view.K.copy())
            if view.mirrored:
                K[-1][0, 2] = view.size - 1 - K[-1][0, 2]
        hands = predictor.predict(torch.from_numpy(inputs), torch.from_numpy(np.stack(K)), any_distance=self.mobile)
        result = []
        for index, view in enumerate(views):
            vertices, joints = (view.to_picture_frame(points[index]) for points in (hands.vertices_m, hands.joints_m))
            scale = 1.0 if hand_length_m is None else hand_length_m / hand_length(joints)
            residual, landmark_confidence = float(hands.residual_px[index]), hands.confidence[index]
            result.append(
                PhotoHand(
                    side=LEFT if view.mirrored else RIGHT,
                    found=found[index],
                    camera=camera,
                    view=view,
                    crop=crops[index],
                    vertices_m=vertices * scale,
                    joints_m=joints * scale,
                    landmarks_px=view.to_picture(hands.landmarks_px[index], camera.K),
                    landmark_confidence=landmark_confidence,
                    silhouette=hands.silhouette[index],
                    residual_px=residual,
                    success=bool(hands.success[index]),
                    side_probability=1 - float(hands.mirrored[index]),
                    confidence=self.calibration(residual, landmark_confidence),
                    known_size=hand_length_m is not None,
                )
            )
        return result
