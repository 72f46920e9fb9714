"""Batches made ahead: the same ones in the same order, whoever makes them, and errors where they happen."""

import threading

import numpy as np
import pytest

from datasets.augmented import HOST, SampleSettings
from datasets.freihand import FreiHANDTraining
from datasets.loading import load_batches
from handmesh.errors import InputError

BATCHES = [[(epoch, index) for index in range(first, first + 3)] for epoch in range(3) for first in (0, 3)]


@pytest.fixture
def cached(rendered_freihand, template, tmp_path):
    settings = SampleSettings(size=64, pixels=HOST)
    return FreiHANDTraining(rendered_freihand, template.num_vertices[0], settings, tmp_path / "cache")


def test_threads_and_processes_make_the_same_batches(cached, rendered_freihand, template):
    files = FreiHANDTraining(rendered_freihand, template.num_vertices[0], cached.settings)
    assert cached.in_threads
    assert not files.in_threads
    expected = list(load_batches(cached, BATCHES, workers=0))
    assert len(expected) == len(BATCHES)
    for found in (load_batches(cached, BATCHES, workers=2), load_batches(files, BATCHES, workers=2)):
        for one, other in zip(expected, found, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])


def test_threads_end_when_the_batches_are_no_longer_wanted(cached):
    batches = load_batches(cached, BATCHES, workers=2)
    next(batches)
    assert any(thread.name.startswith("samples") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("samples") for thread in threading.enumerate())


def test_an_error_of_a_thread_is_raised_at_its_batch(cached):
    cached.source.checksums[4] += 1
    batches = load_batches(cached, BATCHES, workers=2)
    next(batches)
    with pytest.raises(InputError, match="damaged"):
        next(batches)
