"""Several data sets as one: shares, passes, and samples that follow from seed, epoch and index."""

import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch

from datasets import TRAINING_SETS
from datasets.augmentation import AugmentationSettings
from datasets.augmented import SampleSettings
from datasets.freihand import FreiHANDTraining
from datasets.loading import load_batches
from datasets.mixture import Mixture
from datasets.sampler import EpochBatches
from handmesh.errors import InputError
from models import build_model
from options import parse_options
from runner.training_data import training_data
from runner.training_step import TrainingStep
from tests.conftest import SMALL_WIDTHS
from tests.datasets.written_layouts import hands, write_keypoints
from tests.rendered_freihand import write_freihand

SETTINGS = SampleSettings(64, AugmentationSettings(color=False), seed=5)


@pytest.fixture(scope="module")
def folder(template, tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    write_freihand(root / "FreiHAND", template, annotations=5, versions=2, evaluations=1, seed=3)
    (root / "Keypoints").mkdir()
    write_keypoints(root / "Keypoints", hands(template, 3), [{}, {"mask": True}, {"side": "left"}])
    return root


def mixture(folder, template, shares=(2, 1)):
    vertices = template.num_vertices[0]
    sources = {name: TRAINING_SETS[name](folder / name, vertices, SETTINGS) for name in ("FreiHAND", "Keypoints")}
    return Mixture(sources, shares, SETTINGS)


def test_each_set_has_its_share_and_is_gone_through_before_it_is_repeated(folder, template):
    data = mixture(folder, template)
    assert len(data) == 13
    places = [data.place(index, epoch) for epoch in range(10) for index in range(13)]
    for number, size, share in ((0, 10, 9), (1, 3, 4)):
        indices = [index for source, index in places if source == number]
        assert len(indices) == 10 * share
        passes = [indices[begin : begin + size] for begin in range(0, len(indices) - size + 1, size)]
        assert all(sorted(one) == list(range(size)) for one in passes)
        assert passes[0] != passes[1] or size == 3
    again = mixture(folder, template)
    assert [again.place(index, 7) for index in range(13)] == places[7 * 13 : 8 * 13]
    np.testing.assert_array_equal(data[3, 12]["planes"], pickle.loads(pickle.dumps(data))[3, 12]["planes"])


def test_images_of_different_size_are_refused(folder, template, tmp_path):
    smaller = shutil.copytree(folder / "FreiHAND", tmp_path / "smaller")
    for path in smaller.rglob("*.jpg"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (96, 96)))
    roots = {"A": folder / "FreiHAND", "B": smaller}
    sources = {name: FreiHANDTraining(root, template.num_vertices[0], SETTINGS) for name, root in roots.items()}
    with pytest.raises(InputError, match="A 224, B 96 px"):
        Mixture(sources, (1, 1), SETTINGS)


@pytest.mark.parametrize("name", ["cmr_g", "cmr_mobile"])
def test_a_step_on_all_of_them(name, folder, template):
    arguments = ["--dataset", "FreiHAND:1", "Keypoints:1", "--data_dir", str(folder), "--size", "64", "--cache", "none"]
    data = training_data(parse_options(arguments), template.num_vertices[0], 0.2, upright=False)
    torch.manual_seed(0)
    model = build_model(name, "ResNet18", template, out_channels=SMALL_WIDTHS).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    step = TrainingStep(model, template, optimizer, size=64, mean=0.5, std=0.5)
    results = [step([batch]) for batch in load_batches(data, EpochBatches(len(data), 4, 1, seed=1), workers=0)]
    assert len(results) == 3
    assert all(np.isfinite(list(result.losses.values())).all() for result in results)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
