"""What is found of a hand in a picture."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handmesh.camera import Camera
from handmesh.detector import FoundHand
from handmesh.errors import InputError
from handmesh.geometry import project
from handmesh.pose import HandPose, pose_of
from handmesh.view import HandView

LEFT, RIGHT = "left", "right"


@dataclass(frozen=True, eq=False)
class Hand:
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
        has_pose: whether the vertices are the open hand's, so that there is a pose.
        known_size: whether size and depth follow from a known length of the hand.
        depth_deviation_m: standard deviation of the wrist's depth if K is right, the unknown size included; NaN where
            the network does not say.
        warnings: what speaks against the intrinsics; empty if nothing.
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
    has_pose: bool
    depth_deviation_m: float
    warnings: tuple[str, ...] = ()

    @property
    def translation_m(self) -> np.ndarray:
        """Position (3,) of the wrist."""
        return self.joints_m[0]

    @cached_property
    def pose(self) -> HandPose:
        """Joint angles, rotations and a mesh that a hand can take, fitted to this one when first asked for.

        Raises:
            InputError: the network's vertices are another template's.
        """
        if not self.has_pose:
            raise InputError("a pose needs a network trained on template/open_hand, and this one was not")
        return pose_of(self.side, self.vertices_m, self.landmarks_px, self.landmark_confidence, self.camera.K)

    @property
    def depth_m(self) -> float:
        """Depth of the wrist, along the optical axis."""
        return float(self.joints_m[0, 2])

    @property
    def told_right(self) -> float:
        """Probability of a right hand that the detector told; even odds where it was not asked."""
        return 0.5 if self.found is None else self.found.right

    @property
    def joints_px(self) -> np.ndarray:
        """The joints projected into the picture (21, 2): where the mesh says they are."""
        return project(self.joints_m, self.camera.K)

    @property
    def box_px(self) -> np.ndarray:
        """Left, top, right, bottom (4,) of the landmarks in the picture."""
        return np.concatenate([self.landmarks_px.min(axis=0), self.landmarks_px.max(axis=0)])
