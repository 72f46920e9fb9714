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


def pool(folder, template, samples, seed=5):
    settings = SampleSettings(64)
    return SyntheticPool(folder, {"seed": seed}, GENERATED, samples, template.num_vertices[0], settings, makers=1)


def wait_for(made, images):
    while made.ready < images:
        time.sleep(0.1)


def test_runs_share_a_pool_whose_images_are_the_generators(template, tmp_path):
    large = pool(tmp_path, template, samples=10_000)
    wait_for(large, 1)
    ready = large.ready
    assert ready < 5_000
    np.testing.assert_array_equal(large.read(ready + 3).image, large.read(3).image)  # which stands in
    for maker in multiprocessing.active_children():
        maker.kill()
        maker.join()

    small = pool(tmp_path, template, SAMPLES)
    wait_for(small, SAMPLES)
    generator = HandGenerator(GENERATED)
    for index in (0, MADE_AT_A_TIME, SAMPLES - 1):
        expected, found = generator.sample(TRAINING, index), small.read(index, epoch=3)
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_allclose(found.vertices_m + expected.joints_m[0], expected.vertices_m, atol=1e-6)
        np.testing.assert_array_equal(found.K, expected.K)

    for large.in_threads in (True, False):
        time.sleep(2 * LOOK_SECONDS)
        with pytest.raises(InputError, match="ended early"):
            next(load_batches(large, [[(0, 0)], [(0, 1)]], workers=1))
    assert small.ready == SAMPLES
    with pytest.raises(InputError, match="another seed"):
        pool(tmp_path, template, SAMPLES, seed=6)


def test_makers_that_start_from_nothing(template, tmp_path):
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        made = pool(tmp_path / "pool", template, samples=3)
        made.in_threads = False
        batch = next(load_batches(made, [[(0, 0), (0, 1)]], workers=1))
        assert batch["planes"].shape == (2, 4, 224, 224)
    finally:
        multiprocessing.set_start_method(before, force=True)
