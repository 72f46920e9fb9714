"""Clips of moving hands: smooth, the same for the same seed, and true in every frame."""

from itertools import islice

import numpy as np
import pytest

import run as program
from datasets.synthesis.clips import RATE_HZ, sample_clip
from datasets.synthesis.generator import GeneratorSettings, HandGenerator
from handmesh.geometry import project
from handmesh.intrinsics import read_intrinsics
from handmesh.skeleton import ANGLE_NAMES
from handmesh.video import VideoFile

HUMAN_M_PER_S2 = 60.0  # what no finger exceeds


@pytest.fixture(scope="module")
def generator():
    return HandGenerator(GeneratorSettings(seed=3))


@pytest.fixture(scope="module")
def frames(generator):
    return list(sample_clip(generator, 0))


def test_the_hand_moves_as_hands_do(frames):
    joints = np.array([frame.joints_m for frame in frames])
    assert np.linalg.norm(np.ptp(joints, axis=0), axis=1).max() > 0.02
    assert np.linalg.norm(np.diff(joints, 2, axis=0), axis=2).max() * RATE_HZ**2 < HUMAN_M_PER_S2
    bones = np.linalg.norm(joints[:, 10] - joints[:, 9], axis=1)
    assert np.ptp(bones) < 0.003


def test_the_truth_is_where_the_hand_is_seen(frames):
    for frame in frames[:: len(frames) // 4]:
        pixels = project(frame.joints_m, frame.K)
        assert (np.abs(pixels.mean(axis=0) - 112) < 80).all()
    still = [np.abs(one.image.astype(int) - two.image).mean() for one, two in zip(frames[1:], frames, strict=False)]
    assert max(still) < 12  # the background stays


def test_the_same_seed_gives_the_same_clip(generator, frames):
    for again, frame in zip(islice(sample_clip(generator, 0), 3), frames, strict=False):
        np.testing.assert_array_equal(again.image, frame.image)
        np.testing.assert_array_equal(again.joints_m, frame.joints_m)


def test_clips_are_written_with_their_truth(tmp_path):
    arguments = ["--phase", "synth", "--clips", "1", "--data_dir", str(tmp_path), "--workers", "0"]
    assert program.main(arguments) == 0
    video = VideoFile(tmp_path / "clips/00000.mp4")
    with np.load(tmp_path / "clips/00000_truth.npz") as truth:
        assert len(truth["joints_m"]) == video.count
        assert truth["angles"].shape == (video.count, len(ANGLE_NAMES))
        np.testing.assert_allclose([frame.time_s for frame in video], truth["time_s"], atol=1e-3)
    assert read_intrinsics(tmp_path / "clips/00000_K.json", 224, 224)[0, 0] > 100
    written = (tmp_path / "clips/00000.mp4").stat().st_mtime_ns
    assert program.main(arguments) == 0
    assert (tmp_path / "clips/00000.mp4").stat().st_mtime_ns == written
    assert program.main([*arguments, "--seed", "9"]) == 2
    mistyped = ["--skins", str(tmp_path / "absent"), "--data_dir", str(tmp_path / "new")]
    assert program.main([*arguments, *mistyped]) == 2
    assert not (tmp_path / "new").exists()
