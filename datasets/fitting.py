"""The open hand fitted to what is known of hands: where points of its mesh are, and where its joints are seen.

Damped Gauss-Newton over pose, shape, size and place of a batch of hands, with the derivatives of skinning in closed
form. How people move and are built is the generator's own distribution.
"""

from dataclasses import dataclass, replace

import numpy as np

from datasets.synthesis.contact import FREE, LIMITS, Settler, capsule_radii
from datasets.synthesis.generator import joints_scale, sample_shape
from datasets.synthesis.hand import OpenHand, load_open_hand
from datasets.synthesis.poses import sample_pose
from datasets.synthesis.skeleton import ABDUCTION, FLEXION, NUM_BONES, PARENTS, TWIST
from handmesh.joints import NUM_JOINTS
from utils.template import OPEN_HAND, load_template

MESH_SIGMA_M = 0.012  # how far a network's mesh may be off
POINT_SIGMA = 0.03  # how far a landmark may be off, of the longer side of their box; beyond it counts ever less
PRIOR_HANDS = 1000  # drawn from the generator for the prior
PRIOR_WEIGHT = 0.2  # of the prior's log probability
VERTEX_STEP = 7  # every seventh vertex of the template takes part
ITERATIONS = 8
DAMPING, LARGEST_STEP = 1e-2, 0.4  # the latter in standard deviations of angles: radians
AXES_ORDER = (ABDUCTION, FLEXION, TWIST)  # in which the angles of a joint are applied, outermost first
LOG_LENGTH_SIGMA = 0.08  # of a person's hand


@dataclass(frozen=True)
class Gaussian:
    """A mean (N,) and an inverse covariance (N, N)."""

    mean: np.ndarray
    precision: np.ndarray


@dataclass(frozen=True)
class HandFit:
    """Hands of a batch of N.

    Attributes:
        angles: (N, D) radians of the angles in `FREE`.
        shape: (N, S) coefficients.
        log_size: (N,) of the hand over the mean one.
        rotation: (N, 3, 3) palm to camera frame; translation_m: (N, 3) of the wrist.
    """

    angles: np.ndarray
    shape: np.ndarray
    log_size: np.ndarray
    rotation: np.ndarray
    translation_m: np.ndarray


class HandFitter:
    """The open hand as linear functions of its bones: a point is a sum over bones of what each does to a part of it.

    The parts (P, B, 4) are a skinning weight times the homogeneous rest position, added up for points that are mixtures
    of vertices such as the joints; all of them are linear in the shape.
    """

    def __init__(self, hand: OpenHand | None = None) -> None:
        self.hand = hand = hand or load_open_hand()
        template = load_template(OPEN_HAND)
        self.joint_regressor, self.faces = template.joint_regressor, template.faces[0]
        regressor = self.joint_regressor
        chosen = np.arange(0, regressor.shape[1], VERTEX_STEP)
        self.mixture = np.concatenate([regressor, np.eye(regressor.shape[1])[chosen]])
        """(P, 750): the 21 joints, then chosen vertices, from the vertices of the template."""
        self.below = np.array([[_is_below(bone, top) for bone in range(NUM_BONES)] for top in range(NUM_BONES)])
        everything = np.eye(regressor.shape[1])
        self.all_parts, self.all_shape_parts = self._parts(everything)
        self.parts, self.shape_parts = self._parts(self.mixture)
        self.pose_prior, self.shape_prior = _priors(hand)

    def _parts(self, mixture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parts (P, B, 4) of points, and their change (S, P, B, 4) with the shape."""
        hand = self.hand
        weights = np.float64(hand.weights[hand.model_vertices])
        rest = np.column_stack([hand.vertices[hand.model_vertices], np.ones(len(weights))])
        moves = np.float64(hand.shape_vertices[:, hand.model_vertices])
        moves = np.concatenate([moves, np.zeros((*moves.shape[:2], 1))], axis=2)
        parts = np.einsum("pv,vb,vi->pbi", mixture, weights, rest, optimize=True)
        return parts, np.einsum("pv,vb,svi->spbi", mixture, weights, moves, optimize=True)

    def vertices(self, fit: HandFit) -> np.ndarray:
        """All vertices (N, 750, 3) of the template, camera frame, metres."""
        bones, offsets, _ = self._bones(fit)
        parts = self.all_parts + np.tensordot(fit.shape, self.all_shape_parts, 1)
        posed = np.einsum("nbij,npbj->npi", bones, parts[..., :3], optimize=True)
        posed += np.einsum("nbi,npb->npi", offsets, parts[..., 3], optimize=True)
        posed *= np.exp(fit.log_size)[:, None, None]
        return np.einsum("nij,npj->npi", fit.rotation, posed) + fit.translation_m[:, None]

    def _bones(self, fit: HandFit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations (N, B, 3, 3) and offsets (N, B, 3) of the bones in the palm's frame, and the rest joints."""
        count = len(fit.angles)
        angles = np.zeros((count, NUM_BONES, 3))
        angles[:, FREE[:, 0], FREE[:, 1]] = fit.angles
        joints = self.hand.joints + np.tensordot(fit.shape, self.hand.shape_joints, 1)
        bones = np.empty((count, NUM_BONES, 3, 3))
        offsets = np.empty((count, NUM_BONES, 3))
        self._posed_axes = np.empty((count, NUM_BONES, 3, 3))
        for bone, parent in enumerate(PARENTS):
            above = bones[:, parent] if parent >= 0 else np.broadcast_to(np.eye(3), (count, 3, 3))
            turned = above
            for axis in AXES_ORDER:
                direction = np.float64(self.hand.axes[bone, axis])
                self._posed_axes[:, bone, axis] = turned @ direction
                turned = turned @ _rotations(direction * angles[:, bone, axis, None])
            bones[:, bone] = turned
            offsets[:, bone] = np.einsum("nij,nj->ni", above - turned, joints[:, bone])
            offsets[:, bone] += offsets[:, parent] if parent >= 0 else 0
        return bones, offsets, joints

    def _points(self, fit: HandFit) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, P, 3) in the palm's frame before the size, and their derivatives (N, P, 3, D + S)."""
        bones, offsets, joints = self._bones(fit)
        parts = self.parts + np.tensordot(fit.shape, self.shape_parts, 1)  # (N, P, B, 4)
        moved = np.einsum("nbij,npbj->npbi", bones, parts[..., :3], optimize=True)
        moved += offsets[:, None] * parts[..., 3:]
        beyond = np.einsum("tb,npbi->npti", self.below[FREE[:, 0]].astype(float), moved, optimize=True)  # (N, P, D, 3)
        share = parts[..., 3] @ self.below[FREE[:, 0]].T  # (N, P, D)
        origins = np.einsum("nbij,nbj->nbi", bones, joints) + offsets  # where each bone begins
        arms = beyond - share[..., None] * origins[:, None, FREE[:, 0]]
        turning = np.cross(self._posed_axes[:, None, FREE[:, 0], FREE[:, 1]], arms).transpose(0, 1, 3, 2)
        shift = np.einsum("nbij,spbj->nspi", bones, self.shape_parts[..., :3], optimize=True)
        tilt = np.empty((*bones.shape[:2], len(self.shape_parts), 3))  # of the offsets with the shape
        for bone, parent in enumerate(PARENTS):
            above = bones[:, parent] if parent >= 0 else np.eye(3)
            tilt[:, bone] = np.einsum("nij,sj->nsi", above - bones[:, bone], self.hand.shape_joints[:, bone])
            tilt[:, bone] += tilt[:, parent] if parent >= 0 else 0
        shift += np.einsum("npb,nbsi->nspi", parts[..., 3], tilt, optimize=True)
        return moved.sum(axis=2), np.concatenate([turning, shift.transpose(0, 2, 3, 1)], axis=3)

    def start(self, vertices_m: np.ndarray) -> HandFit:
        """Mean hands (N) where the palms of meshes (N, 750, 3) are."""
        count = len(vertices_m)
        fit = HandFit(
            np.tile(self.pose_prior.mean, (count, 1)),
            np.tile(self.shape_prior.mean, (count, 1)),
            np.zeros(count),
            np.tile(np.eye(3), (count, 1, 1)),
            np.zeros((count, 3)),
        )
        palm = [0, 5, 9, 13, 17]
        joints = self.mixture[palm] @ vertices_m
        own = self._points(fit)[0][:, palm]
        left, _, right = np.linalg.svd(
            np.einsum("npi,npj->nij", joints - joints.mean(1, keepdims=True), own - own.mean(1, keepdims=True))
        )
        signs = np.ones((count, 3))
        signs[:, 2] = np.linalg.det(left @ right)
        rotation = (left * signs[:, None]) @ right
        spread = [np.linalg.norm(one - one.mean(1, keepdims=True), axis=(1, 2)) for one in (joints, own)]
        size = spread[0] / spread[1]
        translation = joints.mean(1) - size[:, None] * np.einsum("nij,nj->ni", rotation, own.mean(1))
        return replace(fit, log_size=np.log(size), rotation=rotation, translation_m=translation)

    def fit(
        self,
        vertices_m: np.ndarray,
        points_px: np.ndarray,
        K: np.ndarray,
        mesh_sigma_m: float = MESH_SIGMA_M,
    ) -> HandFit:
        """Fit N right hands at once.

        Args:
            vertices_m: (N, 750, 3), meshes of a network in the camera's frame; what counts of them is their shape.
            points_px: (N, 21, 2), landmarks.
            K: (N, 3, 3).
            mesh_sigma_m: how far the meshes may be off.
        """
        target = self.mixture @ vertices_m
        target = target - target.mean(axis=1, keepdims=True)
        box = np.ptp(points_px, axis=1).max(axis=1)
        fit = self.start(vertices_m)
        low, high = LIMITS[FREE[:, 0], FREE[:, 1]].T
        for _ in range(ITERATIONS):
            step = self._step(fit, target / mesh_sigma_m, points_px, K, POINT_SIGMA * box, mesh_sigma_m)
            angles, shape = np.split(step[:, 7:], [len(FREE)], axis=1)
            fit = HandFit(
                np.clip(fit.angles + angles, low, high),
                np.clip(fit.shape + shape, *self.hand.shape_ranges.T),
                fit.log_size + step[:, 6],
                _rotations(step[:, :3]) @ fit.rotation,
                fit.translation_m + step[:, 3:6],
            )
        return fit

    def _step(
        self,
        fit: HandFit,
        target: np.ndarray,
        points_px: np.ndarray,
        K: np.ndarray,
        sigma_px: np.ndarray,
        mesh_sigma_m: float,
    ) -> np.ndarray:
        """Changes (N, 7 + D + S) of rotation, translation, size, angles and shape."""
        own, inner = self._points(fit)
        size = np.exp(fit.log_size)[:, None, None]
        turned = size * np.einsum("nij,npj->npi", fit.rotation, own)
        inner = size[..., None] * np.einsum("nij,npjk->npik", fit.rotation, inner, optimize=True)
        spin = -_cross_matrices(turned)
        zeros = np.zeros_like(spin)
        jacobian = np.concatenate([spin, zeros, turned[..., None], inner], axis=3)  # (N, P, 3, 7 + D + S)
        camera = turned + fit.translation_m[:, None]
        relative = (jacobian - jacobian.mean(axis=1, keepdims=True)) / mesh_sigma_m
        residual = target - (turned - turned.mean(axis=1, keepdims=True)) / mesh_sigma_m
        count = len(own)
        matrix, vector = _normal(relative.reshape(count, -1, relative.shape[3]), residual.reshape(count, -1))
        matrix *= NUM_JOINTS / own.shape[1]  # as much as so many points
        vector *= NUM_JOINTS / own.shape[1]
        joints = camera[:, :NUM_JOINTS]
        seen = np.einsum("nij,npj->npi", K, joints)
        depth = seen[..., 2:]
        off = (points_px - seen[..., :2] / depth) / sigma_px[:, None, None]
        weight = 1 / (1 + (off**2).sum(-1))  # square root of that of Geman and McClure
        by_point = (K[:, None, :2] - (seen[..., :2] / depth)[..., None] * K[:, None, 2:]) / depth[..., None]
        outer = jacobian[:, :NUM_JOINTS].copy()
        outer[..., 3:6] = np.eye(3)
        by_point = by_point / sigma_px[:, None, None, None] * weight[..., None, None]
        flat = np.einsum("npij,npjk->npik", by_point, outer, optimize=True).reshape(count, -1, outer.shape[3])
        more = _normal(flat, (off * weight[..., None]).reshape(count, -1))
        matrix, vector = matrix + more[0], vector + more[1]
        first = 7
        for prior, value in ((self.pose_prior, fit.angles), (self.shape_prior, fit.shape)):
            rows = slice(first, first + len(prior.mean))
            matrix[:, rows, rows] += PRIOR_WEIGHT * prior.precision
            vector[:, rows] += PRIOR_WEIGHT * (prior.mean - value) @ prior.precision
            first = rows.stop
        matrix[:, 6, 6] += LOG_LENGTH_SIGMA**-2
        vector[:, 6] -= fit.log_size * LOG_LENGTH_SIGMA**-2
        diagonal = np.arange(matrix.shape[1])
        matrix[:, diagonal, diagonal] *= 1 + DAMPING
        step = np.linalg.solve(matrix, vector[..., None])[..., 0]
        largest = np.abs(np.delete(step, [3, 4, 5], axis=1)[:, : 4 + len(FREE)]).max(axis=1)
        return step * np.minimum(1, LARGEST_STEP / np.maximum(largest, 1e-9))[:, None]


def _priors(hand: OpenHand) -> tuple[Gaussian, Gaussian]:
    """Of pose and shape, from hands that the generator draws."""
    rng = np.random.default_rng(0)
    poses, shapes = [], []
    for _ in range(PRIOR_HANDS):
        coefficients, length_m = sample_shape(rng, hand)
        _, joints, tips = hand.shaped(coefficients, length_m)
        settler = Settler(joints, tips, hand.axes, capsule_radii(hand) * joints_scale(hand, joints))
        poses.append(sample_pose(rng, settler).angles[FREE[:, 0], FREE[:, 1]])
        shapes.append(coefficients)
    return _gaussian(np.array(poses), np.deg2rad(3.0)), _gaussian(np.array(shapes), 0.05)


def _gaussian(values: np.ndarray, least_sigma: float) -> Gaussian:
    covariance = np.cov(values.T) + least_sigma**2 * np.eye(values.shape[1])
    return Gaussian(values.mean(axis=0), np.linalg.inv(covariance))


def _normal(jacobian: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    transposed = jacobian.transpose(0, 2, 1)
    return transposed @ jacobian, (transposed @ residual[..., None])[..., 0]


def _is_below(bone: int, top: int) -> bool:
    while bone >= 0:
        if bone == top:
            return True
        bone = PARENTS[bone]
    return False


def _rotations(vectors: np.ndarray) -> np.ndarray:
    """Matrices (N, 3, 3) of rotation vectors (N, 3)."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    cross = _cross_matrices(vectors)
    near = angle < 1e-8
    safe = np.where(near, 1, angle)
    first = np.where(near, 1.0, np.sin(safe) / safe)
    second = np.where(near, 0.5, (1 - np.cos(safe)) / safe**2)
    return np.eye(3) + first * cross + second * cross @ cross


def _cross_matrices(vectors: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) that multiply as the cross product with vectors (..., 3) from the left."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vectors.shape, 3)
