"""Batches made ahead: the same ones in the same order, whoever makes them, and errors where they happen."""

import threading

import numpy as np
import pytest

from datasets.augmented import SampleSettings
from datasets.freihand import FreiHANDTraining
from datasets.loading import load_batches
from handmesh.errors import InputError

BATCHES = [[(epoch, index) for index in range(first, first + 3)] for epoch in range(3) for first in (0, 3)]
SETTINGS = SampleSettings(size=64)


@pytest.fixture
def files(rendered_freihand, template):
    return FreiHANDTraining(rendered_freihand, template.num_vertices[0], SETTINGS)


@pytest.fixture
def cached(rendered_freihand, template, tmp_path):
    return FreiHANDTraining(rendered_freihand, template.num_vertices[0], SETTINGS, tmp_path / "cache")


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_threads_and_processes_make_the_same_batches(cached, files):
    assert cached.in_threads
    assert not files.in_threads
    expected = list(load_batches(cached, BATCHES, workers=0))
    assert len(expected) == len(BATCHES)
    assert_same(load_batches(cached, BATCHES, workers=2), expected)
    assert_same(load_batches(files, BATCHES, workers=2), expected)


def test_threads_end_when_the_batches_are_no_longer_wanted(cached):
    batches = load_batches(cached, BATCHES, workers=2)
    next(batches)
    assert any(thread.name.startswith("samples") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("samples") for thread in threading.enumerate())


def test_an_error_of_a_thread_is_raised_at_its_batch(cached):
    batches = load_batches(cached, [*BATCHES[:1], [(0, len(cached))]], workers=2)
    next(batches)
    with pytest.raises(InputError, match="damaged"):
        next(batches)
