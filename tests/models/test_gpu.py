"""What only a CUDA device can show: the same answers as the CPU's, recorded or not, and training that runs."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from datasets.augmentation import AugmentationSettings
from datasets.augmented import DEVICE, SampleSettings
from datasets.batch import finish_batch
from datasets.freihand import FreiHANDTraining
from models import build_model
from models.torch_network import TorchNetwork
from tests.conftest import SMALL_WIDTHS
from utils.template import ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("name", ["cmr_g", "cmr_mobile"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_recorded_prediction_is_that_of_the_cpu(template, name, batch):
    torch.manual_seed(0)
    model = build_model(name, "ResNet18", template, out_channels=SMALL_WIDTHS)
    given = {"size": 224, "mean": 0.5, "std": 0.5}
    on_cpu = TorchNetwork(model, template, **given)
    plain = TorchNetwork(model.cuda(), template, **given, compiled="none")
    recorded = TorchNetwork(model, template, **given, compiled="recorded")
    for seed in range(4):  # the second call records, later ones play
        images = np.random.default_rng(seed).random((batch, 3, 224, 224), np.float32)
        for key, expected in on_cpu(images).items():
            scale = np.abs(expected).max()
            np.testing.assert_allclose(plain(images)[key], expected, atol=5e-3 * scale, err_msg=key)
        found = recorded(images)
        for key, expected in plain(images).items():
            np.testing.assert_allclose(found[key], expected, atol=1e-3 * np.abs(expected).max(), err_msg=key)


def test_samples_are_finished_as_on_the_cpu(rendered_freihand, template):
    settings = SampleSettings(pixels=DEVICE, augmentation=AugmentationSettings(mirrored_share=0.5))
    data = FreiHANDTraining(rendered_freihand, template.num_vertices[0], settings)
    batch = default_collate([data[0, index] for index in range(len(data))])
    expected = finish_batch(batch, 224, 0.5, 0.5)
    found = finish_batch({name: value.cuda() for name, value in batch.items()}, 224, 0.5, 0.5)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value, atol=2e-2, rtol=0)


@pytest.mark.parametrize("model", ["cmr_g", "cmr_mobile"])
def test_training_runs_in_bf16(rendered_freihand, tmp_path, model):
    command = [sys.executable, str(ROOT / "run.py"), "--phase", "train", "--device", "cuda", "--precision", "bf16"]
    command += ["--model", model, "--data_dir", str(rendered_freihand), "--out_dir", str(tmp_path)]
    command += ["--batch_size", "4", "--max_steps", "3", "--imagenet", "none", "--workers", "2"]
    command += ["--img_mean", "0", "--img_std", "1"]
    command += ["--cache", str(tmp_path / "cache"), "--out_channels", "8", "8", "16", "16"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "FreiHAND/cmr/checkpoints/checkpoint_last.pt").is_file()
