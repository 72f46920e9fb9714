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


def aligned_error_mm(target: np.ndarray, source: np.ndarray) -> float:
    """Mean distance of points (N, 3) in metres from those of the target after alignment: PA-MPJPE of joints."""
    return float(1000 * point_errors(target, fit_similarity(target, source)[1]).mean())


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
    """All figures of a prediction.

    Attributes:
        official: the twelve figures under the official keys, four of joints alone; distances in centimetres.
        errors_mm: mean joint error in camera space (CS-MPJPE), mean vertex error (CS-MPVPE, None if the vertex counts
            differ, absent for joints alone), mean distance of the wrists, mean joint error with the wrists in one
            place (root-relative) and after alignment (PA-MPJPE).
        joint_errors_m, root_relative_errors_m, aligned_joint_errors_m: (samples, 21).
    """

    official: dict[str, float]
    errors_mm: dict[str, float | None]
    joint_errors_m: np.ndarray
    root_relative_errors_m: np.ndarray
    aligned_joint_errors_m: np.ndarray


def score_predictions(
    xyz: np.ndarray, vertices: np.ndarray | None, predicted_xyz: np.ndarray, predicted_vertices: np.ndarray | None
) -> FreiHANDScore:
    """Score predictions in camera space, metres.

    Args:
        xyz, predicted_xyz: (samples, 21, 3).
        vertices, predicted_vertices: (samples, V, 3) and (samples, V', 3). Without either, joints are scored alone.

    Raises:
        InputError: the numbers of samples differ, or a value is not finite.
    """
    parts = [part for part in (xyz, vertices, predicted_xyz, predicted_vertices) if part is not None]
    if len(set(map(len, parts))) != 1 or not len(xyz):
        raise InputError(
            f"{len(predicted_xyz)} joint and {_count(predicted_vertices)} mesh predictions for {len(xyz)} joint and "
            f"{_count(vertices)} mesh annotations; expected one of each per sample"
        )
    if not all(np.isfinite(part).all() for part in parts):
        raise InputError("the prediction or the ground truth holds values that are not finite")

    aligned_xyz, transforms = np.empty_like(xyz), []
    for i in range(len(xyz)):
        transform, aligned_xyz[i] = fit_similarity(xyz[i], predicted_xyz[i])
        transforms.append(transform)
    errors = point_errors(xyz, predicted_xyz)
    root_relative = point_errors(xyz - xyz[:, :1], predicted_xyz - predicted_xyz[:, :1])
    aligned = point_errors(xyz, aligned_xyz)
    official = _mean_and_area("xyz", errors) | _mean_and_area("xyz_al", aligned)
    means: dict[str, float | None] = {"CS-MPJPE": _mean_mm(errors)}
    if vertices is not None and predicted_vertices is not None:
        mesh_figures, means["CS-MPVPE"] = _score_meshes(vertices, predicted_vertices, transforms)
        official |= mesh_figures
    means |= {
        "wrist": _mean_mm(errors[:, 0]),
        "root-relative MPJPE": _mean_mm(root_relative),
        "PA-MPJPE": _mean_mm(aligned),
    }
    return FreiHANDScore(official, means, errors, root_relative, aligned)


def _score_meshes(
    vertices: np.ndarray, predicted: np.ndarray, transforms: list[Similarity]
) -> tuple[dict[str, float], float | None]:
    """The official figures of meshes, and their mean error in millimetres if they can be compared."""
    same_topology = vertices.shape == predicted.shape
    aligned = np.empty_like(predicted)
    raw_f, aligned_f = [], []
    for i, transform in enumerate(transforms):
        if same_topology:
            aligned[i] = fit_similarity(vertices[i], predicted[i])[1]
        else:
            aligned[i] = align_other_points(predicted[i], transform)
        raw_f.append(f_scores(vertices[i], predicted[i]))
        aligned_f.append(f_scores(vertices[i], aligned[i]))
    official, mean = {}, None
    if same_topology:
        errors = point_errors(vertices, predicted)
        mean = _mean_mm(errors)
        official |= _mean_and_area("mesh", errors) | _mean_and_area("mesh_al", point_errors(vertices, aligned))
    else:
        for name in ("mesh", "mesh_al"):
            official |= {f"{name}_mean3d": 100 * NOT_COMPARABLE, f"{name}_auc3d": NOT_COMPARABLE}
    for position, distance in enumerate(F_SCORE_DISTANCES_M):
        official[f"f_score_{distance * 1000:.0f}"] = float(np.mean(raw_f, axis=0)[position])
        official[f"f_al_score_{distance * 1000:.0f}"] = float(np.mean(aligned_f, axis=0)[position])
    return official, mean


def _count(samples: np.ndarray | None) -> int | str:
    return "no" if samples is None else len(samples)


def _mean_mm(errors_m: np.ndarray) -> float:
    return float(errors_m.mean() * 1000)


def _mean_and_area(name: str, errors: np.ndarray) -> dict[str, float]:
    """Mean over samples then keypoints, in centimetres, and the area under the PCK curve."""
    return {
        f"{name}_mean3d": float(errors.mean(axis=0).mean() * 100),
        f"{name}_auc3d": float(area_under_curve(pck_curve(errors)).mean()),
    }
