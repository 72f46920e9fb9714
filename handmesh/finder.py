"""From any picture to the hands in it, in front of its camera: detection, a camera for each hand, the network."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from handmesh.arguments import HAND_LENGTH_M, as_boxes, as_choice, as_number, mirrored_boxes
from handmesh.camera import Camera, Intrinsics, camera_of
from handmesh.confidence import log_odds, log_residual
from handmesh.detector import DETECT, SAME_HAND_SHARE, FoundHand, HandDetector
from handmesh.geometry import fit_square, to_network_input
from handmesh.hand import LEFT, RIGHT, Hand
from handmesh.hand_model import load_hand_model
from handmesh.images import Picture, as_image, is_several
from handmesh.joints import hand_length
from handmesh.network import Network
from handmesh.palm import box_containment
from handmesh.predictor import CropPredictor
from handmesh.view import HandView, view_of

# Residual, in the crop, above which a hand is looked for again: the crop may have held half of it; first in a wider
# crop, then around what was seen there.
DOUBTFUL_PX = 8.0
# Detector's probabilities of a right hand between which a network that does not tell sides sees both.
UNSURE = (0.01, 0.99)
# A network that tells sides says how probable the side is; below, it sees the other one too.
SURE = 0.95
# Log odds of a side: weights of the log odds that detector and network say, of the mean confidence of the landmarks and
# of the log of the residual in pixels (`scripts/fit_sides.py`).
SIDE_WEIGHTS = (0.16, 0.58, 0.1, -0.43)

Look = tuple[FoundHand | None, np.ndarray, bool]
"""What was found, landmarks (21, 2) to look around, and whether to look at it as a left hand."""


class HandFinder:
    """A network ready to use on pictures. Can be pickled, and used by several threads and by forked processes.

    Args:
        network: predicts hands from crops.
        threads: that the detector may use, see `OnnxModel`.
    """

    def __init__(self, network: Network, threads: int | None = None) -> None:
        self.predictor = CropPredictor(network)
        self.detector = HandDetector(threads)
        self.description = network.description
        self.traits = network.description.traits
        self.has_pose = network.description.template_digest == load_hand_model().template_digest

    @property
    def faces(self) -> dict[str, np.ndarray]:
        """Triangles (F, 3) of right and left hands, outward."""
        return {RIGHT: self.description.faces, LEFT: self.description.faces[:, ::-1]}

    def __call__(
        self,
        image: Picture | Sequence[Picture],
        K: Intrinsics | Camera | None = None,
        detect: str | None = None,
        hand: str = "auto",
        hand_length_m: float | None = None,
        mirrored: bool = False,
        boxes: Sequence[Sequence[float]] | None = None,
    ) -> list[Hand]:
        """Find the hands of a picture; a list of lists for a list of pictures or an array (N, H, W, 3).

        Args:
            image: upright, see `handmesh.images.as_image`.
            K: intrinsics in pixels, see `handmesh.intrinsics.as_intrinsics`; None takes what `find_camera` finds beside
                or in a file, otherwise a field of view of 65 degrees across the longer side, and then distances are
                only as good as that guess.
            detect: see `HandDetector`. `never` gives a network of the paper the central square as it is, which is also
                what None means for it; None is `auto` otherwise.
            hand: `right` or `left` where that is known; `auto` decides by how it looks.
            hand_length_m: from the wrist along the bones to the middle finger's tip, where that is known; it fixes the
                scale.
            mirrored: the picture is a mirror image, as many front cameras save it. It is mirrored first, K with it, and
                what is found is that of the mirrored picture: a right hand is a right one.
            boxes: left, top, right, bottom in pixels of each hand, where that is known; nothing else is looked for.

        Raises:
            InputError: an argument is not what was expected; the message names it.
        """
        if is_several(image):
            several = cast(Sequence[Picture], image)
            return [self(one, K, detect, hand, hand_length_m, mirrored, boxes) for one in several]  # type: ignore[misc]
        pixels = as_image(image)
        height, width = pixels.shape[:2]
        camera = camera_of(K, height, width, Path(image) if isinstance(image, str | os.PathLike) else None)
        hand = as_choice("hand", hand, ("auto", RIGHT, LEFT))
        detect = None if detect is None else as_choice("detect", detect, DETECT)
        if hand_length_m is not None:
            hand_length_m = as_number("hand_length_m", hand_length_m, HAND_LENGTH_M, "metres")
        known = None if boxes is None else as_boxes(boxes, height, width)
        if mirrored:
            pixels, camera = np.ascontiguousarray(pixels[:, ::-1]), camera.mirrored(width)
            known = None if known is None else mirrored_boxes(known, width)
        return self._find(pixels, camera, detect, hand, hand_length_m, known)

    def _find(
        self,
        image: np.ndarray,
        camera: Camera,
        detect: str | None,
        hand: str,
        hand_length_m: float | None,
        boxes: np.ndarray | None,
    ) -> list[Hand]:
        if not self.traits.upright and detect in (None, "never") and boxes is None:
            size = self.description.size_px
            crop, crop_K = fit_square(image, camera.K, size)
            view = HandView(np.eye(3), crop_K, size, hand == LEFT)
            crop = np.ascontiguousarray(crop[:, ::-1]) if view.mirrored else crop
            return self._predict(camera, camera.warnings(*image.shape[:2]), hand_length_m, [view], [crop], [None])
        if boxes is None:
            found = self.detector(image, detect or "auto")
        else:
            found = [self.detector.in_box(image, box) for box in boxes]
        return self.see(image, camera, found, hand, hand_length_m)

    def see(
        self,
        image: np.ndarray,
        camera: Camera,
        found: Sequence[FoundHand],
        hand: str = "auto",
        hand_length_m: float | None = None,
    ) -> list[Hand]:
        """The hands that the detector found.

        Args:
            image: (H, W, 3) RGB uint8.
            hand, hand_length_m: see `__call__`.
        """
        look = partial(self.look, image, camera, hand_length_m=hand_length_m)
        hands = look([(one, one.landmarks_px, hand == LEFT or (hand == "auto" and one.right < 0.5)) for one in found])
        if hand == "auto":
            unsure = [(one.found, one.side == RIGHT) for one in hands if self._side_is_open(one)]
            others = look([(one, one.landmarks_px, left) for one, left in unsure if one is not None])
            better = side_score if self.traits.knows_sides else _clearness
            hands = [max([one, *_of_same(one, others)], key=better) for one in hands]
        doubtful = [one for one in hands if one.residual_px > DOUBTFUL_PX]
        if self.traits.far_margin is None or not doubtful:
            return hands
        far = look([_again(one) for one in doubtful], margin=self.traits.far_margin)
        near = look([_again(one) for one in far])
        return [_likeliest(one, _of_same(one, near)) for one in hands]

    def look(
        self,
        image: np.ndarray,
        camera: Camera,
        looks: Sequence[Look],
        hand_length_m: float | None = None,
        margin: float | None = None,
    ) -> list[Hand]:
        """A hand for each place to look at, whatever is there.

        Args:
            image: (H, W, 3) RGB uint8.
            looks: see `Look`.
            margin: of the crop over the box of the landmarks, see `Traits`; None: as the network was trained.
        """
        if not looks:
            return []
        margin = self.traits.margin if margin is None else margin
        views = [view_of(around, camera.K, self.description.size_px, margin, left) for _, around, left in looks]
        crops = [view.cut(image, camera.K) for view in views]
        warnings = camera.warnings(*image.shape[:2])
        return self._predict(camera, warnings, hand_length_m, views, crops, [found for found, _, _ in looks])

    def _side_is_open(self, hand: Hand) -> bool:
        """Whether to see it as a hand of the other side as well."""
        if self.traits.knows_sides:
            return hand.side_probability < SURE
        return UNSURE[0] < hand.told_right < UNSURE[1]

    def _predict(
        self,
        camera: Camera,
        warnings: tuple[str, ...],
        hand_length_m: float | None,
        views: Sequence[HandView],
        crops: Sequence[np.ndarray],
        found: Sequence[FoundHand | None],
    ) -> list[Hand]:
        description = self.description
        images = np.stack([to_network_input(crop, description.mean, description.std) for crop in crops])
        hands = self.predictor.predict(images, np.stack([view.crop_intrinsics for view in views]))
        result = []
        for index, view in enumerate(views):
            vertices, joints = (view.to_picture_frame(points[index]) for points in (hands.vertices_m, hands.joints_m))
            scale = 1.0 if hand_length_m is None else hand_length_m / hand_length(joints)
            residual, landmark_confidence = float(hands.residual_px[index]), hands.confidence[index]
            known_size = hand_length_m is not None
            deviation = description.calibration.depth_deviation(residual, landmark_confidence, known_size)
            result.append(
                Hand(
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
                    confidence=description.calibration(residual, landmark_confidence),
                    has_pose=self.has_pose,
                    known_size=known_size,
                    depth_deviation_m=deviation * float(joints[0, 2] * scale),
                    warnings=warnings,
                )
            )
        return result


def _again(hand: Hand) -> Look:
    """A look around the landmarks of a hand, as one of its side."""
    return hand.found, hand.landmarks_px, hand.side == LEFT


def _of_same(hand: Hand, others: Sequence[Hand]) -> list[Hand]:
    """Other looks at what was found as this hand."""
    return [other for other in others if other.found is hand.found]


def _likeliest(hand: Hand, others: Sequence[Hand]) -> Hand:
    """The likeliest of a hand and of others, as far as these are the same hand."""
    same = [one for one in others if box_containment(hand.box_px, one.box_px[None])[0] >= SAME_HAND_SHARE]
    return max([hand, *same], key=side_score)


def _clearness(hand: Hand) -> float:
    """How clearly the landmarks are seen."""
    return float(hand.landmark_confidence.mean())


def side_score(hand: Hand) -> float:
    """Log odds of its side, to compare with another look's: a hand taken for one of the other side looks like one,
    is blurred, and its mesh fits the landmarks less. The latter two hold for one that is half outside of its crop."""
    return float(np.dot(SIDE_WEIGHTS, side_features(hand)))


def side_features(hand: Hand) -> np.ndarray:
    """What the odds of a side depend on: (4,)."""
    told = hand.told_right if hand.side == RIGHT else 1 - hand.told_right
    return np.array([log_odds(told), log_odds(hand.side_probability), _clearness(hand), log_residual(hand.residual_px)])
