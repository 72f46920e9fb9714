"""Images made while they are trained on: the generator's, each time, also after a run that was killed."""

import multiprocessing
import time

import numpy as np
import pytest

from datasets.augmented import SampleSettings
from datasets.loading import MADE_AT_A_TIME, load_batches
from datasets.synthesis.generator import TRAINING, GeneratorSettings, HandGenerator
from datasets.synthetic_pool import LOOK_SECONDS, SyntheticPool
from handmesh.errors import InputError

SAMPLES = MADE_AT_A_TIME + 10
GENERATED = GeneratorSettings(seed=5)


def pool(folder, template, samples=SAMPLES, makers=2, seed=5):
    settings = SampleSettings(64)
    return SyntheticPool(folder, {"seed": seed}, GENERATED, samples, template.num_vertices[0], settings, makers)


def wait_for(made, images):
    while made.ready < images:
        time.sleep(0.1)


def kill_makers():
    for maker in multiprocessing.active_children():
        maker.kill()
        maker.join()


@pytest.fixture(scope="module")
def filled(tmp_path_factory, template):
    made = pool(tmp_path_factory.mktemp("pool") / "images", template)
    wait_for(made, SAMPLES)
    return made


def test_its_images_are_those_of_the_generator(filled):
    generator = HandGenerator(GENERATED)
    for index in (0, MADE_AT_A_TIME, SAMPLES - 1):
        expected, found = generator.sample(TRAINING, index), filled.read(index, epoch=3)
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_allclose(found.vertices_m + expected.joints_m[0], expected.vertices_m, atol=1e-6)
        np.testing.assert_array_equal(found.K, expected.K)


def test_other_recipes_are_refused(filled, template):
    with pytest.raises(InputError, match="another seed"):
        pool(filled.store.folder, template, seed=6)


def test_what_is_there_stands_in_and_the_next_runs_complete_it(filled, template, tmp_path):
    left_alone = pool(tmp_path, template, samples=10_000, makers=1)
    wait_for(left_alone, 1)
    ready = left_alone.ready
    assert ready < 5_000
    np.testing.assert_array_equal(left_alone.read(ready + 3).image, left_alone.read(3).image)
    kill_makers()
    for left_alone.in_threads in (True, False):
        time.sleep(2 * LOOK_SECONDS)
        with pytest.raises(InputError, match="ended early"):
            next(load_batches(left_alone, [[(0, 0)], [(0, 1)]], workers=1))
    runs = [pool(tmp_path, template, samples=SAMPLES, makers=1) for _ in range(2)]
    for run in runs:
        wait_for(run, SAMPLES)
        for index in range(SAMPLES):
            np.testing.assert_array_equal(run.read(index).image, filled.read(index).image)


def test_makers_that_start_from_nothing(template, tmp_path):
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        made = pool(tmp_path / "pool", template, samples=3, makers=1)
        made.in_threads = False
        batch = next(load_batches(made, [[(0, 0), (0, 1)]], workers=1))
        assert batch["planes"].shape == (2, 4, 224, 224)
    finally:
        multiprocessing.set_start_method(before, force=True)
