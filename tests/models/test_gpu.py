"""What only a CUDA device can show: the same answers as the CPU's, recorded or not, and training that runs."""

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from datasets.augmentation import AugmentationSettings
from datasets.augmented import DEVICE, SampleSettings
from datasets.device import finish_batch
from datasets.freihand import FreiHANDTraining
from handmesh.geometry import project
from models import HandPredictor, build_model
from models.registration import register
from tests.conftest import SMALL_WIDTHS
from utils.template import ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
K = np.array([[480.0, 0, 112], [0, 480, 112], [0, 0, 1]])


@pytest.mark.parametrize(("name", "backbone"), [("cmr_g", "ResNet18"), ("cmr_mobile", "HandTrunk")])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_recorded_prediction_is_the_prediction(template, name, backbone, batch):
    torch.manual_seed(0)
    model = build_model(name, backbone, template, out_channels=SMALL_WIDTHS).cuda()
    plain, recorded = (HandPredictor(model, template, compiled=compiled) for compiled in ("none", "recorded"))
    cameras = torch.from_numpy(np.repeat(K[None], batch, axis=0))
    for seed in range(4):  # the second call records, later ones play
        images = torch.rand(batch, 3, 224, 224, generator=torch.Generator().manual_seed(seed))
        expected, found = (one.predict(images, cameras, name == "cmr_mobile") for one in (plain, recorded))
        for field in fields(expected):
            first, second = getattr(expected, field.name), getattr(found, field.name)
            np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-3, err_msg=field.name)


def test_registration_is_that_of_the_cpu(template):
    rng = np.random.default_rng(0)
    vertices = template.vertices @ np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.9, 1.1, (5, 1, 1))
    joints = template.joint_regressor @ vertices
    vertices, joints = vertices - joints[:, :1], joints - joints[:, :1]
    place = np.array([0.02, -0.03, 0.6])
    landmarks = project(joints + place, K) + rng.normal(0, 1, (5, 21, 2))
    cameras = np.repeat(K[None], 5, axis=0)
    arrays = (vertices, joints, landmarks, rng.uniform(0.3, 1, (5, 21)), cameras)
    on_cpu = [torch.from_numpy(array) for array in arrays]
    expected = register(*on_cpu, 224)
    found = register(*(tensor.cuda() for tensor in on_cpu), 224)
    torch.testing.assert_close(found.translation_m.cpu(), expected.translation_m, atol=1e-6, rtol=0)
    assert (found.success.cpu() == expected.success).all()


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
    command += ["--cache", str(tmp_path / "cache"), "--out_channels", "8", "8", "16", "16"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert (tmp_path / "FreiHAND/cmr/checkpoints/checkpoint_last.pt").is_file()
