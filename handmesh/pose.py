"""The pose behind a mesh: the open hand fitted to where a network's mesh is and where its landmarks are seen.

Damped Gauss-Newton over pose, shape, size and place of a batch of hands, within the limits of the joints, with people's
poses and shapes as the prior.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from handmesh.errors import InputError
from handmesh.hand_model import (
    HandModel,
    Posture,
    cross_matrices,
    load_hand_model,
    quaternions,
    rotation_matrices,
    rotation_vector,
)
from handmesh.joints import NUM_JOINTS, hand_length
from handmesh.skeleton import ANGLE_NAMES, FREE, LIMITS, PARENTS

MESH_SIGMA_M = 0.006  # how far a network's mesh may be off
POINT_SIGMA = 0.03  # how far a landmark may be off, of the longer side of their box; beyond it counts ever less
PRIOR_WEIGHT = 0.05  # of the prior's log probability
SIZE_SIGMA = 0.08  # of the logarithm of people's sizes
ITERATIONS = 3
DAMPING = 1e-3  # of the normal equations
LARGEST_STEP = 0.7  # of each unknown but the place: radians, and unitless for size and shape
LEAST_CURVATURE = 1e-9  # of what neither mesh nor landmarks say
# What the standard deviations of the equations are multiplied by, of each kind of angle: the errors of a mesh are not
# independent of each other, as the equations take them to be. Means of the factors by which 68 % of the true angles are
# within one and 95 % within two, on 50 generated clips (`scripts/measure_poses.py`).
DEVIATION_FACTORS = {
    "cmc_flexion": 0.42,
    "cmc_abduction": 0.88,
    "cmc_twist": 0.37,
    "mcp_flexion": 0.85,
    "mcp_abduction": 0.47,
    "ip_flexion": 0.46,
    "pip_flexion": 0.78,
    "dip_flexion": 0.50,
}
PALM = (0, 5, 9, 13, 17)  # joints that move little against each other
MIRROR = np.diag([-1.0, 1.0, 1.0])
PLACE = 7  # numbers that say where a hand is and how large: rotation, translation, size


@dataclass(frozen=True)
class FittedHands:
    """N right hands. Metres, camera frame: x right, y down, z forward.

    Attributes:
        model: that was fitted.
        posture: angles and shape.
        size: (N,), over the mean hand's.
        rotation: (N, 3, 3) from the palm's frame (`HandModel`) to the camera's.
        translation_m: (N, 3) of the wrist.
        angle_deviations: (N, D) radians, standard deviations of the angles.
    """

    model: HandModel
    posture: Posture
    size: np.ndarray
    rotation: np.ndarray
    translation_m: np.ndarray
    angle_deviations: np.ndarray

    @cached_property
    def vertices_m(self) -> np.ndarray:
        """The meshes (N, V, 3)."""
        turned = self.model.pose(self.posture) @ self.rotation.swapaxes(1, 2)
        return self.size[:, None, None] * turned + self.translation_m[:, None]


def fit_hands(
    model: HandModel,
    vertices_m: np.ndarray,
    landmarks_px: np.ndarray,
    landmark_weights: np.ndarray,
    K: np.ndarray,
) -> FittedHands:
    """Fit N right hands at once.

    Args:
        vertices_m: (N, V, 3), meshes of a network, camera frame.
        landmarks_px: (N, 21, 2), and landmark_weights (N, 21), 0 to 1.
        K: (N, 3, 3).
    """
    fit = _Fit(model, vertices_m, landmarks_px, landmark_weights, K)
    for _ in range(ITERATIONS):
        matrix = fit.step()
    return fit.result(matrix)


class _Fit:
    """The unknowns of `fit_hands` between two steps."""

    def __init__(
        self,
        model: HandModel,
        vertices_m: np.ndarray,
        landmarks_px: np.ndarray,
        landmark_weights: np.ndarray,
        K: np.ndarray,
    ) -> None:
        count = len(vertices_m)
        self.model, self.landmarks_px, self.K = model, landmarks_px, K
        target = model.mixture @ vertices_m
        self.posture = Posture(np.tile(model.pose_mean, (count, 1)), np.tile(model.shape_mean, (count, 1)))
        own = model.mean_points[None]
        self.rotation, size = nearest_similarity(own[:, PALM], target[:, PALM])
        self.log_size = np.log(size)
        placed = size[:, None, None] * own @ self.rotation.swapaxes(1, 2)
        self.translation = (target - placed).mean(axis=1)
        self.target = target - target.mean(axis=1, keepdims=True)
        self.mesh_weight = np.sqrt(NUM_JOINTS / target.shape[1]) / MESH_SIGMA_M  # all points count as much as 21
        box_px = np.ptp(landmarks_px, axis=1).max(axis=1)
        self.point_weights = np.sqrt(landmark_weights) / (POINT_SIGMA * np.maximum(box_px, 1.0))[:, None]

    def _equations(self) -> tuple[np.ndarray, np.ndarray]:
        """Matrices (N, M, M) and right sides (N, M) of the normal equations."""
        own, inner = self.model.points(self.posture)
        size, back = np.exp(self.log_size)[:, None, None], self.rotation.swapaxes(1, 2)
        # Derivatives (N, M, P, 3) in the palm's frame, of the size of the mean hand: what they are compared with is
        # turned instead.
        turning = own[:, None] @ -cross_matrices(self.rotation)
        jacobian = np.concatenate([turning, np.zeros_like(turning), own[:, None], inner], axis=1)
        placed = size * own @ back
        residual = self.target - (placed - placed.mean(axis=1, keepdims=True))
        matrix, vector = _normal(jacobian, residual @ self.rotation)
        total = jacobian.reshape(*jacobian.shape[:2], -1) @ np.tile(np.eye(3), (own.shape[1], 1))
        matrix -= total @ total.swapaxes(1, 2) / own.shape[1]  # the mean of the points is free
        matrix *= (self.mesh_weight * size) ** 2
        vector *= self.mesh_weight**2 * size[..., 0]
        jacobian = jacobian[:, :, :NUM_JOINTS]
        jacobian[:, 3:6] = (self.rotation / size)[:, :, None]
        camera = placed[:, :NUM_JOINTS] + self.translation[:, None]
        homogeneous = camera @ self.K.swapaxes(1, 2)
        depth = np.maximum(homogeneous[..., 2:], 1e-3)
        seen = homogeneous[..., :2] / depth
        by_point = (self.K[:, None, :2] - seen[..., None] * self.K[:, None, 2:]) / depth[..., None]
        off = (self.landmarks_px - seen) * self.point_weights[..., None]
        robust = self.point_weights / (1 + (off**2).sum(axis=-1))  # square root of the weight of Geman and McClure
        by_own = (robust * size[..., 0])[..., None, None] * (by_point @ self.rotation[:, None])
        pixels = (jacobian.swapaxes(1, 2) @ by_own.swapaxes(2, 3)).swapaxes(1, 2)
        more = _normal(pixels, robust[..., None] * (self.landmarks_px - seen))
        matrix, vector = matrix + more[0], vector + more[1]
        model, first = self.model, PLACE
        for mean, precision, value in (
            (model.pose_mean, model.pose_precision, self.posture.angles),
            (model.shape_mean, model.shape_precision, self.posture.shape),
        ):
            rows = slice(first, first + len(mean))
            matrix[:, rows, rows] += PRIOR_WEIGHT * precision
            vector[:, rows] += PRIOR_WEIGHT * (mean - value) @ precision
            first = rows.stop
        matrix[:, 6, 6] += SIZE_SIGMA**-2
        vector[:, 6] -= self.log_size * SIZE_SIGMA**-2
        return matrix, vector

    def step(self) -> np.ndarray:
        """Change the unknowns for the better; returns the matrix (N, M, M) of the equations before that."""
        matrix, vector = self._equations()
        unit = np.eye(vector.shape[1])
        matrix += LEAST_CURVATURE * unit
        step = np.linalg.solve(matrix * (1 + DAMPING * unit), vector[..., None])[..., 0]
        bounded = np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        angles, shape = np.split(bounded[:, PLACE:], [len(FREE)], axis=1)
        self.posture = Posture(
            np.clip(self.posture.angles + angles, *LIMITS[FREE[:, 0], FREE[:, 1]].T),
            np.clip(self.posture.shape + shape, *self.model.shape_ranges.T),
        )
        self.rotation = rotation_matrices(bounded[:, :3]) @ self.rotation
        self.translation = self.translation + step[:, 3:6]
        self.log_size = self.log_size + bounded[:, 6]
        return matrix

    def result(self, matrix: np.ndarray) -> FittedHands:
        """The hands as they are now, with the variances that the matrix (N, M, M) of the last equations says."""
        variances = np.diagonal(np.linalg.inv(matrix), axis1=1, axis2=2)[:, PLACE : PLACE + len(FREE)]
        factors = [DEVIATION_FACTORS[name.partition("_")[2]] for name in ANGLE_NAMES]
        return FittedHands(
            model=self.model,
            posture=self.posture,
            size=np.exp(self.log_size),
            rotation=self.rotation,
            translation_m=self.translation,
            angle_deviations=np.sqrt(np.maximum(variances, 0)) * factors,
        )


def _normal(jacobian: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J^T J (N, M, M) and J^T r (N, M) of derivatives (N, M, P, C) and residuals (N, P, C)."""
    transposed = jacobian.reshape(*jacobian.shape[:2], -1)
    return transposed @ transposed.swapaxes(1, 2), (transposed @ residual.reshape(len(residual), -1, 1))[..., 0]


def nearest_similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (N, 3, 3) and scales (N,) that bring points (N, P, 3), or (1, P, 3), nearest to others (N, P, 3), apart
    from a shift."""
    source, target = (points - points.mean(axis=1, keepdims=True) for points in (source, target))
    left, _, right = np.linalg.svd(target.swapaxes(1, 2) @ source)
    signs = np.ones((len(target), 1, 3))
    signs[:, 0, 2] = np.sign(np.linalg.det(left @ right))
    return (left * signs) @ right, np.linalg.norm(target, axis=(1, 2)) / np.linalg.norm(source, axis=(1, 2))


@dataclass(frozen=True, eq=False)
class HandPose:
    """How a hand is held, as the open hand's joints.

    The palm's frame has its origin at the wrist, y towards the middle knuckle, z out of the palm, and x towards the
    thumb's side for a right hand and away from it for a left one. Rotations at rest (an open hand, fingers apart) are
    the identity. Bones are those of `handmesh.skeleton.BONES`. `dataclasses.replace` gives the hand in another pose.

    Attributes:
        side: `right` or `left`.
        angles: (D,) radians of `handmesh.skeleton.ANGLE_NAMES`, and angle_deviations (D,), their standard deviations.
        shape: (S,) coefficients of the open hand's shapes.
        size: over the mean hand's, which also depends on the shape.
        wrist_rotation: (3, 3), palm to camera frame.
        wrist_position_m: (3,), camera space.
    """

    side: str
    angles: np.ndarray
    angle_deviations: np.ndarray
    shape: np.ndarray
    size: float
    wrist_rotation: np.ndarray
    wrist_position_m: np.ndarray

    @property
    def joint_angles_deg(self) -> dict[str, float]:
        """Angles by anatomical name; flexion bends towards the palm, abduction spreads a finger away from the middle
        one (the middle finger towards the thumb) and lifts the thumb off the palm, twist turns the thumb's pad towards
        the fingers; 0 at rest."""
        return dict(zip(ANGLE_NAMES, np.rad2deg(self.angles).tolist(), strict=True))

    @property
    def joint_deviations_deg(self) -> dict[str, float]:
        """Standard deviations of these."""
        return dict(zip(ANGLE_NAMES, np.rad2deg(self.angle_deviations).tolist(), strict=True))

    @property
    def wrist_pose(self) -> np.ndarray:
        """From the palm's frame to the camera's (4, 4), metres."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.wrist_rotation, self.wrist_position_m
        return pose

    @cached_property
    def rotations(self) -> np.ndarray:
        """Of each bone against its parent (B, 3, 3), in the axes of the palm's frame at rest."""
        bones = load_hand_model().bones(self._posture).rotations[0]
        local = np.concatenate([bones[:1], bones[PARENTS[1:]].swapaxes(1, 2) @ bones[1:]])
        return self._mirror @ local @ self._mirror

    @cached_property
    def rotation_vectors(self) -> np.ndarray:
        """The rotations as axis times angle (B, 3), radians."""
        return np.array([rotation_vector(rotation) for rotation in self.rotations])

    @cached_property
    def quaternions(self) -> np.ndarray:
        """The rotations as unit quaternions (B, 4): w, x, y, z, w not negative."""
        return quaternions(self.rotation_vectors)

    @cached_property
    def vertices_m(self) -> np.ndarray:
        """The mesh (V, 3) of this hand, camera space."""
        return self._placed(load_hand_model().pose(self._posture)[0])

    @cached_property
    def joints_m(self) -> np.ndarray:
        """The joints (21, 3) of the mesh, FreiHAND's order."""
        return self._placed(load_hand_model().regressed_joints(self._posture)[0])

    @property
    def length_m(self) -> float:
        """From the wrist along the bones to the tip of the middle finger."""
        return hand_length(self.joints_m)

    def _placed(self, own: np.ndarray) -> np.ndarray:
        """Points (P, 3) of a right hand's palm frame in camera space."""
        return self.size * own @ self._mirror @ self.wrist_rotation.T + self.wrist_position_m

    @property
    def _posture(self) -> Posture:
        return Posture(self.angles[None], self.shape[None])

    @property
    def _mirror(self) -> np.ndarray:
        return MIRROR if self.side == "left" else np.eye(3)


def pose_of(
    side: str, vertices_m: np.ndarray, landmarks_px: np.ndarray, landmark_confidence: np.ndarray, K: np.ndarray
) -> HandPose:
    """The pose of one hand, as long as the mesh and in its place.

    Args:
        side: `right` or `left`.
        vertices_m: (V, 3) of the open hand's template, camera space.
        landmarks_px: (21, 2), of the picture, and landmark_confidence (21,).
        K: (3, 3) of the picture.

    Raises:
        InputError: they are not finite.
    """
    if not (np.isfinite(vertices_m).all() and np.isfinite(landmarks_px).all()):
        raise InputError("the hand's mesh or landmarks are not finite: it has no pose")
    mirror = MIRROR if side == "left" else np.eye(3)
    if side == "left":
        landmarks_px = landmarks_px * [-1, 1] + [2 * K[0, 2], 0]
    weights = np.clip(landmark_confidence, 0, 1)[None]
    model = load_hand_model()
    fit = fit_hands(model, (vertices_m @ mirror)[None], landmarks_px[None], weights, K[None])
    pose = HandPose(
        side=side,
        angles=fit.posture.angles[0],
        angle_deviations=fit.angle_deviations[0],
        shape=fit.posture.shape[0],
        size=float(fit.size[0]),
        wrist_rotation=mirror @ fit.rotation[0] @ mirror,
        wrist_position_m=mirror @ fit.translation_m[0],
    )
    joints_m = model.joint_regressor @ vertices_m
    longer = hand_length(joints_m) / pose.length_m  # the prior draws to people's usual size
    place = joints_m.mean(axis=0) + longer * (pose.wrist_position_m - pose.joints_m.mean(axis=0))
    return replace(pose, size=pose.size * longer, wrist_position_m=place)
