"""Poses stay within the joints' limits, touch where they should, and go through nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from datasets.synthesis.contact import LIMITS, Settler, capsule_radii
from datasets.synthesis.hand import load_open_hand
from datasets.synthesis.kinematics import bone_transforms
from datasets.synthesis.poses import FAMILIES, FLAW_LIMIT_M, sample_pose
from datasets.synthesis.settling import segment_distance
from handmesh.skeleton import ABDUCTION, BONE_INDEX, FLEXION, PARENTS

POSES = 12


@pytest.fixture(scope="module")
def settler():
    hand = load_open_hand()
    return Settler(hand.joints, hand.tips, hand.axes, capsule_radii(hand))


def draw(settler, family, count=POSES):
    return [sample_pose(np.random.default_rng(seed), settler, {family: 1.0}) for seed in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_limits_and_penetration(settler, family):
    poses = draw(settler, family)
    deep = 0
    for pose in poses:
        assert pose.family == family
        assert (pose.angles >= LIMITS[..., 0] - 1e-9).all()
        assert (pose.angles <= LIMITS[..., 1] + 1e-9).all()
        held = [] if pose.held is None else [(pose.held.start, pose.held.end, pose.held.radius)]
        _, penetration, _ = settler.settle(pose.angles, [], held)
        deep += penetration > FLAW_LIMIT_M
    assert deep <= 1


def test_settling_opens_what_goes_through(settler):
    angles = np.zeros_like(LIMITS[..., 0])
    for finger in ("index", "middle", "ring", "little"):
        angles[BONE_INDEX[f"{finger}_1"], FLEXION] = np.deg2rad(80)
        angles[BONE_INDEX[f"{finger}_2"], FLEXION] = np.deg2rad(20)
    angles[BONE_INDEX["index_1"], ABDUCTION] = np.deg2rad(-17)
    settled, penetration, _ = settler.settle(angles, [], [])
    assert penetration < FLAW_LIMIT_M
    free, none, _ = settler.settle(np.zeros_like(angles), [], [])
    assert none == 0
    np.testing.assert_array_equal(free, 0)
    assert np.abs(settled - angles).max() < np.deg2rad(45)


@pytest.mark.parametrize(
    ("constant", "value"),
    [
        ("ITERATIONS", 1),
        ("STEP_RADIANS", 0.1),
        ("PRIOR_WEIGHT", 0.02),
        ("LARGEST_STEP", 0.01),
        ("TOLERANCES_M", np.array([-0.01, -0.01])),
        ("PARENTS", np.zeros_like(PARENTS) - 1),
        ("LIMITS", LIMITS / 2),
    ],
)
def test_another_constant_gives_another_pose(settler, monkeypatch, constant, value):
    before = [pose.angles for pose in draw(settler, "fist", 4)]
    monkeypatch.setattr(f"datasets.synthesis.contact.{constant}", value)
    after = [pose.angles for pose in draw(settler, "fist", 4)]
    assert np.abs(np.subtract(after, before)).max() > 1e-4


def test_pinching_pads_meet(settler):
    gaps = []
    for pose in draw(settler, "pinch"):
        transforms = bone_transforms(pose.angles, settler.joints, settler.axes)
        pads = [settler.pad(finger) for finger in range(5)]
        points = [transforms[one.bone, :, :3] @ one.point + transforms[one.bone, :, 3] for one in pads]
        reach = [np.linalg.norm(points[0] - points[n]) - pads[0].reach - pads[n].reach for n in range(1, 5)]
        gaps.append(min(reach))
    assert np.quantile(gaps, 0.9) < FLAW_LIMIT_M


def test_fists_close_and_pointing_points(settler):
    bones = [BONE_INDEX[f"{finger}_2"] for finger in ("index", "middle", "ring", "little")]
    fists = np.rad2deg([pose.angles[bones, FLEXION] for pose in draw(settler, "fist")])
    assert fists.mean() > 60
    pointing = np.rad2deg([pose.angles[bones, FLEXION] for pose in draw(settler, "pointing")])
    assert pointing[:, 0].mean() < 25
    assert pointing[:, 1:].mean() > 50


def test_the_same_generator_state_gives_the_same_pose(settler):
    first, second = (sample_pose(np.random.default_rng(4), settler) for _ in range(2))
    np.testing.assert_array_equal(first.angles, second.angles)


points = arrays(np.float64, (4, 3), elements=st.floats(-1, 1, width=32))


@settings(max_examples=40, deadline=None)
@given(points)
def test_segment_distance_is_the_smallest(ends):
    a, b, c, d = ends

    def squared(place):
        gap = a + place[0] * (b - a) - c - place[1] * (d - c)
        return gap @ gap

    starts = [(0, 0), (1, 1), (0, 1), (1, 0), (0.5, 0.5)]
    found = min(minimize(squared, start, bounds=[(0, 1)] * 2).fun for start in starts)
    assert segment_distance(a, b, c, d) == pytest.approx(np.sqrt(found), abs=2e-4)
