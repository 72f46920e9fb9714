#!/usr/bin/env python3
"""Measure this machine: photos, networks, registration, loading and training, medians in milliseconds.

    python scripts/benchmark.py                                # all, a few minutes
    python scripts/benchmark.py --only 'photo|network' --seconds 5

Where two ways to the same result are compared, they take turns, so that a change of the machine's speed meets both.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import handmesh  # noqa: E402
from datasets.augmentation import AugmentationSettings  # noqa: E402
from datasets.augmented import SampleSettings  # noqa: E402
from datasets.batch import finish_batch  # noqa: E402
from datasets.loading import load_batches  # noqa: E402
from datasets.sampler import EpochBatches  # noqa: E402
from datasets.synthesis.generator import GeneratorSettings  # noqa: E402
from datasets.synthetic import SyntheticTraining  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from handmesh.network import OnnxNetwork  # noqa: E402
from handmesh.registration import FILES, Registrar  # noqa: E402
from models import VARIANTS, build_model  # noqa: E402
from models.checkpoint import model_from_checkpoint, read_checkpoint  # noqa: E402
from models.export import export_network  # noqa: E402
from models.torch_network import TorchNetwork  # noqa: E402
from runner.training_step import TrainingStep  # noqa: E402
from utils.template import OPEN_HAND, load_template  # noqa: E402

SIZE = 224
INPUT = {"size": SIZE, "mean": 0.5, "std": 0.5}
LARGE_PX = (720, 1280)
WARM_UP_CALLS = 3
FEWEST_CALLS = 3
BATCH_SIZE = 16

Ways = dict[str, Callable[[], object]]


def milliseconds(ways: Ways, seconds: float) -> dict[str, list[float]]:
    """Times of functions that take turns, for so many seconds each, after a warm-up."""
    for function in ways.values():
        for _ in range(WARM_UP_CALLS):
            function()
    times: dict[str, list[float]] = {name: [] for name in ways}
    end = time.perf_counter() + seconds * len(ways)
    while time.perf_counter() < end or min(map(len, times.values())) < FEWEST_CALLS:
        for name, function in ways.items():
            started = time.perf_counter()
            function()
            times[name].append(1000 * (time.perf_counter() - started))
    return times


def start() -> Ways:
    """A whole process: the five pictures of `images`, beside the import of PyTorch."""

    def process(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT)

    out = tempfile.mkdtemp()
    return {
        "five pictures": process("-m", "handmesh", "images", "-o", out),
        "import torch": process("-c", "import torch"),
    }


def photo() -> Ways:
    """A photo with one hand, detection included, beside the forward pass of the same network in plain PyTorch."""
    find = handmesh.load()
    image = read_image(ROOT / "images/palm_img.jpg")
    large = np.full((*LARGE_PX, 3), 127, np.uint8)
    large[200:648, 400:848] = cv2.resize(image, (448, 448))
    checkpoint = read_checkpoint(ROOT / "weights/cmr_mobile.pt")
    plain = TorchNetwork(model_from_checkpoint(checkpoint, load_template(OPEN_HAND)), load_template(OPEN_HAND), **INPUT)
    crop = images(1)
    return {
        f"{SIZE} px": lambda: find(image),
        f"{LARGE_PX[1]} px": lambda: find(large),
        "network alone": lambda: find.predictor.network(crop),
        "network in PyTorch": lambda: plain(crop),
    }


def images(batch: int) -> np.ndarray:
    """Random crops (B, 3, S, S)."""
    return np.random.default_rng(0).random((batch, 3, SIZE, SIZE), np.float32)


def network(name: str, batch: int) -> Ways:
    """A network of the paper with random weights, as ONNX Runtime and PyTorch run it."""
    template = load_template(OPEN_HAND)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_model(name, "ResNet18", template).to(device)
    crops = images(batch)
    plain = TorchNetwork(model, template, **INPUT)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        export_network(model, template, path, **INPUT)
        exported = OnnxNetwork(path)
    return {"ONNX Runtime": lambda: exported(crops), f"PyTorch, {device}": lambda: plain(crops)}


def registration(kind: str, batch: int) -> Ways:
    """The registration of random hands that nearly fit their landmarks."""
    rng = np.random.default_rng(0)
    joints, vertices = rng.normal(0, 0.05, (batch, 21, 3)), rng.normal(0, 0.05, (batch, 778, 3))
    K = np.tile([[500.0, 0, 112], [0, 500, 112], [0, 0, 1]], (batch, 1, 1))
    seen = (joints + np.array([0.02, 0.01, 0.6])) @ K[0].T
    landmarks = seen[..., :2] / seen[..., 2:] + rng.normal(0, 2, (batch, 21, 2))
    inputs = {"joints": joints, "landmarks_px": landmarks, "confidence": np.ones((batch, 21)), "K": K}
    if kind == "outline":
        inputs |= {"vertices": vertices, "extents_px": np.stack([np.zeros((batch, 12)), np.full((batch, 12), 99)], 1)}
    registrar = Registrar(kind)
    return {"registration": lambda: registrar(**inputs, image_size=SIZE)}


def batches(workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of generated hands, augmented by the device."""
    settings = SampleSettings(augmentation=AugmentationSettings())
    data = SyntheticTraining(GeneratorSettings(), 10_000, 750, settings)
    return load_batches(data, EpochBatches(len(data), BATCH_SIZE, 1000, seed=1), workers)


def augmentation() -> Ways:
    """The augmentation of a batch, on the device of the training."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = {name: value.to(device) for name, value in next(batches(0)).items()}
    return {f"batch of {BATCH_SIZE}": lambda: finish_batch(dict(batch), **INPUT)}


def training() -> Ways:
    """A training step of `cmr_g`, augmentation included."""
    template = load_template(OPEN_HAND)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_model("cmr_g", "ResNet18", template).to(device=device, memory_format=torch.channels_last).train()
    batch = next(batches(0))
    step = TrainingStep(model, template, torch.optim.Adam(model.parameters(), 1e-4, fused=True), **INPUT)
    return {f"batch of {BATCH_SIZE}": lambda: step([batch])}


CASES: dict[str, Callable[[], Ways]] = {
    "start": start,
    "photo": photo,
    **{
        f"network {name} {batch}": lambda name=name, batch=batch: network(name, batch)
        for name in VARIANTS
        for batch in (1, 8)
    },
    **{
        f"registration {kind} {batch}": lambda kind=kind, batch=batch: registration(kind, batch)
        for kind in FILES
        for batch in (1, 64)
    },
    "augmentation": augmentation,
    "training": training,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=re.compile, default=re.compile(""), help="regular expression of the cases")
    parser.add_argument("--seconds", type=float, default=3, help="for each way of each case (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'case':26} {'way':20} {'median':>9} {'least':>9} {'95 %':>9}  ms, PyTorch {torch.__version__}")
    for name, prepare in CASES.items():
        if not arguments.only.search(name):
            continue
        for way, times in milliseconds(prepare(), arguments.seconds).items():
            figures = (np.median(times), np.min(times), np.percentile(times, 95))
            print(f"{name:26} {way:20} " + " ".join(f"{figure:9.2f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
