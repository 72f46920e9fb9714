"""The official FreiHAND score, and what goes beyond it.

Figures are those of the official evaluation script to the last digit, including how it treats predictions with
another number of vertices.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import KDTree

from handmesh.errors import InputError

THRESHOLDS_M = np.linspace(0, 0.05, 100)  # of the PCK curve
F_SCORE_DISTANCES_M = (0.005, 0.015)
EPSILON = 1e-8
NOT_COMPARABLE = -1.0  # what the official script reports for meshes of different vertex counts


@dataclass(frozen=True)
class Similarity:
    """The transform of Procrustes alignment: rotation or reflection, scales and means.

    `align` maps (prediction - mean) / norm through the rotation and scale onto the ground truth.
    """

    rotation: np.ndarray
    scale: float
    target_norm: float
    target_mean: np.ndarray
    source_mean: np.ndarray


def fit_similarity(target: np.ndarray, source: np.ndarray) -> tuple[Similarity, np.ndarray]:
    """Procrustes alignment of `source` (N, 3) to `target` (N, 3): the transform and the aligned source.

    Reflections are not excluded, as in the official script.
    """
    target_mean, source_mean = target.mean(axis=0), source.mean(axis=0)
    target_norm = np.linalg.norm(target - target_mean) + EPSILON
    centered = (source - source_mean) / (np.linalg.norm(source - source_mean) + EPSILON)
    rotation, scale = orthogonal_procrustes((target - target_mean) / target_norm, centered)
    aligned = centered @ rotation.T * scale * target_norm + target_mean
    return Similarity(rotation, scale, target_norm, target_mean, source_mean), aligned


def align_other_points(points: np.ndarray, transform: Similarity) -> np.ndarray:
    """The official script's way to carry an alignment of the joints over to a mesh of another topology.

    The mesh is rotated about its own mean, and not divided by the norm of the joints.
    """
    mean = points.mean(axis=0)
    rotated = (points - mean) @ transform.rotation.T * transform.scale * transform.target_norm
    return rotated + transform.target_mean - transform.source_mean + mean


def point_errors(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Euclidean distances (..., N) of points (..., N, 3)."""
    return np.linalg.norm(target - prediction, axis=-1)


def pck_curve(errors: np.ndarray) -> np.ndarray:
    """Share of samples within each threshold, per keypoint: errors (samples, K) metres -> (K, 100)."""
    return (errors.T[:, :, None] <= THRESHOLDS_M).mean(axis=1)


def area_under_curve(curve: np.ndarray) -> np.ndarray:
    """Area under curves (..., 100) over the thresholds, normalised to [0, 1]."""
    return np.trapezoid(curve, THRESHOLDS_M) / (THRESHOLDS_M[-1] - THRESHOLDS_M[0])


def f_scores(target: np.ndarray, prediction: np.ndarray) -> list[float]:
    """Harmonic mean of precision and recall of two point sets, one value per distance in F_SCORE_DISTANCES_M."""
    missed = KDTree(prediction).query(target)[0]
    invented = KDTree(target).query(prediction)[0]
    scores = []
    for distance in F_SCORE_DISTANCES_M:
        recall, precision = (missed < distance).mean(), (invented < distance).mean()
        total = recall + precision
        scores.append(float(2 * recall * precision / total) if total > 0 else 0.0)
    return scores


@dataclass(frozen=True)
class FreiHANDScore:
    """All figures of a prediction, metres.

    Attributes:
        official: the twelve figures under the official keys; distances in centimetres.
        camera_space_mm: mean joint error in camera space (CS-MPJPE), mean vertex error (CS-MPVPE, None if the vertex
            counts differ) and mean distance of the wrists.
        joint_errors_m, aligned_joint_errors_m: (samples, 21).
    """

    official: dict[str, float]
    camera_space_mm: dict[str, float | None]
    joint_errors_m: np.ndarray
    aligned_joint_errors_m: np.ndarray


def score_predictions(
    xyz: np.ndarray, vertices: np.ndarray, predicted_xyz: np.ndarray, predicted_vertices: np.ndarray
) -> FreiHANDScore:
    """Score predictions in camera space, metres.

    Args:
        xyz, predicted_xyz: (samples, 21, 3).
        vertices, predicted_vertices: (samples, V, 3) and (samples, V', 3).

    Raises:
        InputError: the numbers of samples differ, or a value is not finite.
    """
    counts = {len(xyz), len(vertices), len(predicted_xyz), len(predicted_vertices)}
    if len(counts) != 1 or not len(xyz):
        raise InputError(
            f"{len(predicted_xyz)} joint and {len(predicted_vertices)} mesh predictions for {len(xyz)} joint and "
            f"{len(vertices)} mesh annotations; expected one of each per sample"
        )
    if not (np.isfinite(predicted_xyz).all() and np.isfinite(predicted_vertices).all()):
        raise InputError("the prediction holds values that are not finite")

    same_topology = vertices.shape == predicted_vertices.shape
    aligned_xyz = np.empty_like(xyz)
    aligned_vertices = np.empty_like(predicted_vertices)
    raw_f, aligned_f = [], []
    for i in range(len(xyz)):
        transform, aligned_xyz[i] = fit_similarity(xyz[i], predicted_xyz[i])
        if same_topology:
            aligned_vertices[i] = fit_similarity(vertices[i], predicted_vertices[i])[1]
        else:
            aligned_vertices[i] = align_other_points(predicted_vertices[i], transform)
        raw_f.append(f_scores(vertices[i], predicted_vertices[i]))
        aligned_f.append(f_scores(vertices[i], aligned_vertices[i]))

    joint_errors, aligned_errors = point_errors(xyz, predicted_xyz), point_errors(xyz, aligned_xyz)
    official = _mean_and_area("xyz", joint_errors) | _mean_and_area("xyz_al", aligned_errors)
    mesh_error_mm = None
    if same_topology:
        mesh_errors = point_errors(vertices, predicted_vertices)
        mesh_error_mm = float(mesh_errors.mean() * 1000)
        official |= _mean_and_area("mesh", mesh_errors)
        official |= _mean_and_area("mesh_al", point_errors(vertices, aligned_vertices))
    else:
        for name in ("mesh", "mesh_al"):
            official |= {f"{name}_mean3d": 100 * NOT_COMPARABLE, f"{name}_auc3d": NOT_COMPARABLE}
    for position, distance in enumerate(F_SCORE_DISTANCES_M):
        official[f"f_score_{distance * 1000:.0f}"] = float(np.mean(raw_f, axis=0)[position])
        official[f"f_al_score_{distance * 1000:.0f}"] = float(np.mean(aligned_f, axis=0)[position])
    camera_space = {
        "CS-MPJPE": float(joint_errors.mean() * 1000),
        "CS-MPVPE": mesh_error_mm,
        "wrist": float(joint_errors[:, 0].mean() * 1000),
    }
    return FreiHANDScore(official, camera_space, joint_errors, aligned_errors)


def _mean_and_area(name: str, errors: np.ndarray) -> dict[str, float]:
    """Mean over samples then keypoints, in centimetres, and the area under the PCK curve."""
    return {
        f"{name}_mean3d": float(errors.mean(axis=0).mean() * 100),
        f"{name}_auc3d": float(area_under_curve(pck_curve(errors)).mean()),
    }
