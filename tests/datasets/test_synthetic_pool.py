"""Images made while they are trained on: the generator's, each time, also after a run that was killed."""

import multiprocessing
import subprocess
import sys
import time

import numpy as np
import pytest

from datasets.augmented import HOST, SampleSettings
from datasets.cache import open_cache
from datasets.loading import MADE_AT_A_TIME, load_batches
from datasets.synthesis.generator import TRAINING, GeneratorSettings, HandGenerator
from datasets.synthetic_pool import DONE, MISSING, SyntheticPool
from handmesh.errors import InputError
from utils.template import ROOT

SAMPLES = MADE_AT_A_TIME + 10
SETTINGS = SampleSettings(64, pixels=HOST)
GENERATED = GeneratorSettings(seed=5)


def pool(folder, template, samples=SAMPLES, makers=2, seed=5):
    recipe = {"seed": seed, "samples": samples}
    return SyntheticPool(folder, recipe, GENERATED, samples, template.num_vertices[0], SETTINGS, makers)


def makers_have_ended():
    for process in multiprocessing.active_children():
        process.join()


@pytest.fixture(scope="module")
def filled(tmp_path_factory, template):
    made = pool(tmp_path_factory.mktemp("pool") / "images", template)
    while made.ready < SAMPLES:
        time.sleep(0.1)
    makers_have_ended()
    return made


def test_its_images_are_those_of_the_generator(filled):
    generator = HandGenerator(GENERATED)
    for index in (0, MADE_AT_A_TIME, SAMPLES - 1):
        expected, found = generator.sample(TRAINING, index), filled.read(index, epoch=3)
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_allclose(found.vertices_m + expected.joints_m[0], expected.vertices_m, atol=1e-6)
        np.testing.assert_array_equal(found.K, expected.K)


def test_what_is_there_stands_in_for_what_is_not(filled, monkeypatch):
    monkeypatch.setattr(filled, "makers", [])
    try:
        filled.states[1], filled.complete_chunks = MISSING, 0
        assert filled.ready == MADE_AT_A_TIME
        np.testing.assert_array_equal(filled.read(MADE_AT_A_TIME + 3).image, filled.read(3).image)
    finally:
        filled.states[1], filled.complete_chunks = DONE, 0


def test_other_runs_other_recipes_and_other_folders_are_refused(filled, template, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.synthetic_pool.LOCK_SECONDS", 0.2)
    with pytest.raises(InputError, match="another run"):
        pool(filled.folder, template)
    filled.lock.close()
    with pytest.raises(InputError, match="another seed"):
        pool(filled.folder, template, seed=6)
    (tmp_path / "images.npy").write_bytes(b"of somebody else")
    (tmp_path / ".lock").touch()
    with pytest.raises(InputError, match="something else"):
        pool(tmp_path, template)
    (tmp_path / "pool.json").write_text('{"width": 3}')
    with pytest.raises(InputError, match="something else"):
        pool(tmp_path, template)
    assert (tmp_path / "images.npy").read_bytes() == b"of somebody else"
    with pytest.raises(InputError, match="something else"):
        open_cache(filled.folder, tmp_path, template.num_vertices[0])


def test_a_pool_that_was_left_is_completed(filled, template):
    filled.lock.close()
    first = filled.read(0).image.copy()
    filled.states[0] = MISSING
    np.load(filled.folder / "images.npy", mmap_mode="r+")[0] = 0
    again = pool(filled.folder, template)
    batches = load_batches(again, [[(0, index) for index in range(SAMPLES)]], workers=1)
    assert len(next(batches)["mesh"]) == SAMPLES
    assert (again.states == DONE).all()
    np.testing.assert_array_equal(again.read(0).image, first)


def test_processes_that_were_killed_are_missed(template, tmp_path):
    makers_have_ended()
    left_alone = pool(tmp_path, template, samples=10_000, makers=3)
    for maker in multiprocessing.active_children():
        maker.kill()
        maker.join()
    del maker
    left_alone.in_threads = False  # processes start when those are gone
    batches = load_batches(left_alone, [[(0, 0)], [(0, 1)]], workers=2)
    with pytest.raises(InputError, match="ended early"):
        next(batches)


def test_training_on_a_pool_ends_although_it_is_not_full(tmp_path):
    command = [sys.executable, str(ROOT / "run.py"), "--phase", "train", "--stream", "5000", "--device", "cpu"]
    command += ["--cache", str(tmp_path / "pool"), "--out_dir", str(tmp_path), "--batch_size", "2", "--max_steps", "2"]
    command += ["--size", "64", "--imagenet", "none", "--out_channels", "8", "8", "16", "16", "--makers", "2"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "FreiHAND/cmr/checkpoints/checkpoint_last.pt").is_file()
