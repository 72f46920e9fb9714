"""The FreiHAND score against the official figures and closed forms."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from handmesh.errors import InputError
from utils.metrics import (
    THRESHOLDS_M,
    area_under_curve,
    f_scores,
    fit_similarity,
    pck_curve,
    score_predictions,
)

GOLDEN = np.load(Path(__file__).parents[1] / "golden/score.npz")


@pytest.mark.parametrize("case", ["same", "other"])
def test_official_figures(case):
    parts = [GOLDEN[f"{case}_{name}"] for name in ("xyz", "verts", "pred_xyz", "pred_verts")]
    official = score_predictions(*parts).official
    expected = {name: GOLDEN[name] for name in GOLDEN.files if name.startswith(f"{case}_score_")}
    assert len(official) == len(expected) == 12
    for name, value in official.items():
        assert abs(value - expected[f"{case}_score_{name}"]) < 1e-6, name


def test_a_perfect_prediction(rng):
    xyz, vertices = rng.normal(size=(3, 21, 3)), rng.normal(size=(3, 40, 3))
    official = score_predictions(xyz, vertices, xyz, vertices).official
    for name, value in official.items():
        # Rounding of the alignment misses the first threshold of the curve, 0 m: one step of 99.
        tolerance = 0.5 / 99 + 1e-6 if name.endswith("_al_auc3d") else 1e-6
        assert value == pytest.approx(0 if "mean" in name else 1, abs=tolerance), name


def test_a_shift_is_its_length_and_vanishes_in_alignment(rng):
    xyz, vertices = 0.1 * rng.normal(size=(4, 21, 3)), 0.1 * rng.normal(size=(4, 30, 3))
    shift = np.array([0.03, 0, 0.04])
    score = score_predictions(xyz, vertices, xyz + shift, vertices + shift)
    assert score.official["xyz_mean3d"] == pytest.approx(5)
    assert score.official["mesh_mean3d"] == pytest.approx(5)
    assert score.official["xyz_al_mean3d"] == pytest.approx(0, abs=1e-6)
    assert score.errors_mm["CS-MPJPE"] == pytest.approx(50)
    assert score.errors_mm["wrist"] == pytest.approx(50)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.2, 5), reflected=st.booleans())
def test_alignment_undoes_any_similarity(seed, scale, reflected):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(21, 3))
    turned = target @ Rotation.random(rng=rng).as_matrix() * (np.array([-1, 1, 1]) if reflected else 1)
    _, aligned = fit_similarity(target, scale * turned + rng.normal(size=3))
    np.testing.assert_allclose(aligned, target, atol=1e-6)


def test_area_under_a_step():
    """Every error at 25 mm: the curve is 0 below and 1 above, the area is half up to the grid's resolution."""
    curve = pck_curve(np.full((7, 2), 0.025))
    assert curve.shape == (2, 100)
    np.testing.assert_allclose(area_under_curve(curve), 0.5, atol=0.006)
    np.testing.assert_array_equal(pck_curve(np.zeros((3, 1)))[0], np.ones_like(THRESHOLDS_M))


def test_f_scores_count_neighbours_strictly():
    line = np.stack([np.arange(10) * 0.1, np.zeros(10), np.zeros(10)], axis=1)
    shifted = line + np.array([0, 0.01, 0])
    assert f_scores(line, shifted) == [0, 1]
    # Half of the prediction far away: precision 1/2, recall 1.
    mixed = np.concatenate([line, line + np.array([0, 5, 0])])
    assert f_scores(line, mixed) == pytest.approx([2 / 3, 2 / 3])


def test_wrong_counts_and_values_are_input_errors(rng):
    xyz, vertices = rng.normal(size=(3, 21, 3)), rng.normal(size=(3, 40, 3))
    with pytest.raises(InputError, match="2 joint"):
        score_predictions(xyz, vertices, xyz[:2], vertices[:2])
    broken = xyz.copy()
    broken[1, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        score_predictions(xyz, vertices, broken, vertices)


def test_joints_are_scored_alone_where_there_is_no_mesh(rng):
    xyz = 0.1 * rng.normal(size=(4, 21, 3))
    predicted = xyz + np.array([0.03, 0, 0.04])
    predicted[:, 8, 0] += 0.021
    for vertices, predicted_vertices in ((None, None), (xyz, None), (None, xyz)):
        score = score_predictions(xyz, vertices, predicted, predicted_vertices)
        assert list(score.official) == ["xyz_mean3d", "xyz_auc3d", "xyz_al_mean3d", "xyz_al_auc3d"]
        assert score.errors_mm["wrist"] == pytest.approx(50)
        assert score.errors_mm["root-relative MPJPE"] == pytest.approx(1)
        assert 0 < score.errors_mm["PA-MPJPE"] < 5
        assert "CS-MPVPE" not in score.errors_mm
    with pytest.raises(InputError, match="no mesh predictions for 4 joint"):
        score_predictions(xyz, xyz, predicted[:2], None)
