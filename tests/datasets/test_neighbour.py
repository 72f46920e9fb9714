"""Another hand beside the one that a sample is about: behind it, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.augmentation import AugmentationSettings
from datasets.augmented import SampleSettings
from datasets.freihand import FreiHANDTraining
from datasets.neighbour import with_neighbour


@pytest.fixture(scope="module")
def hands(rendered_freihand, template):
    data = FreiHANDTraining(rendered_freihand, template.num_vertices[0], SampleSettings())
    return [data.read(index) for index in range(2)]


@given(seed=st.integers(0, 1000))
def test_the_hand_itself_and_its_labels_stay_and_the_other_is_seen(hands, seed):
    sample, other = hands
    green = replace(other, image=np.full_like(other.image, [0, 255, 0]))
    found = with_neighbour(sample, green, np.random.default_rng(seed))
    pasted = (found.image == [0, 255, 0]).all(axis=2) & (found.image != sample.image).any(axis=2)
    assert not (pasted & (sample.mask > 127)).any()
    np.testing.assert_array_equal(found.image[~pasted], sample.image[~pasted])
    assert pasted.sum() <= (other.mask > 127).sum()
    assert found.mask is sample.mask
    assert found.vertices_m is sample.vertices_m


def test_it_is_mostly_seen(hands):
    green = replace(hands[1], image=np.full_like(hands[1].image, [0, 255, 0]))
    rngs = [np.random.default_rng(seed) for seed in range(50)]
    seen = [(with_neighbour(hands[0], green, rng).image == [0, 255, 0]).all(axis=2).sum() for rng in rngs]
    assert np.mean(seen) > 0.3 * (hands[1].mask > 127).sum()


@pytest.mark.parametrize("which", [0, 1])
def test_without_a_mask_nothing_is_pasted(hands, which):
    pair = list(hands)
    pair[which] = replace(pair[which], mask=np.zeros_like(pair[which].mask))
    assert with_neighbour(*pair, np.random.default_rng(0)) is pair[0]


def test_as_many_samples_as_asked_for_have_one(rendered_freihand, template):
    def planes(share):
        settings = SampleSettings(augmentation=AugmentationSettings(0, 0, False, neighbour_share=share))
        data = FreiHANDTraining(rendered_freihand, template.num_vertices[0], settings)
        return [data[epoch, index]["planes"] for epoch in range(20) for index in range(2)]

    changed = np.mean([(one != other).any() for one, other in zip(planes(0.0), planes(0.5), strict=True)])
    assert 0.2 < changed < 0.8
