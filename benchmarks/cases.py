"""What is measured: each case times the plain baseline beside this project's ways and compares their answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import default_collate

from benchmarks.baseline.loader import PlainFreiHAND
from benchmarks.baseline.network import PlainCMR
from benchmarks.baseline.plot import plain_plot
from benchmarks.baseline.predictor import PlainPredictor
from benchmarks.baseline.registration import extent_objective, fit_extents_with_slsqp, register_with_slsqp
from benchmarks.baseline.training import PlainStep
from datasets.augmented import HOST, REFERENCE, AugmentedHands, SampleSettings
from datasets.device import finish_batch
from datasets.freihand import FreiHANDTraining
from datasets.host import finish_on_host
from datasets.loading import load_batches
from handmesh.drawing.panels import plot_result
from handmesh.geometry import INPUT_SIZE_PX, project, to_network_input
from handmesh.outline import predicted_contour
from models import HandPredictor, build_model
from models.cmr import CMR
from models.inference import compile_network, for_inference
from models.losses import cmr_loss
from models.predictor import RECORDED_KERNELS
from models.registration import contour_extents, fit_extents, fit_landmarks, register
from runner.train import coarse_selections
from utils.template import OPEN_HAND, Template, load_template

BASELINE = "baseline"
K = np.array([[480.0, 0, 112], [0, 480, 112], [0, 0, 1]])


@dataclass
class Case:
    """One line group of the table.

    Attributes:
        name: what is measured.
        unit: what one item is; `items` of them are made by one call.
        ways: name to function, `BASELINE` first.
        checks: what was compared between the ways, and what came out.
    """

    name: str
    unit: str
    items: int
    ways: dict[str, Callable[[], object]]
    checks: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What the cases share: a network with random weights, whose batch statistics are those of the images."""

    device: torch.device
    model: CMR
    template: Template
    data: Path
    compiled: str
    precisions: tuple[str, ...] = ("float32",)

    def new_model(self, run: int = 0) -> CMR:
        """A network to train, always the same; later runs' weights differ from the first's by about a millionth."""
        torch.manual_seed(0)
        model = build_model("cmr_g", "ResNet18", self.template)
        if run:
            torch.manual_seed(run)
            with torch.no_grad():
                for weight in model.parameters():
                    weight *= 1 + 1e-6 * torch.randn_like(weight)
        return model.to(self.device)

    @classmethod
    def make(
        cls, device: torch.device, data: Path, compiled: str, precisions: tuple[str, ...] = ("float32",)
    ) -> "Bench":
        torch.manual_seed(0)
        template = load_template(OPEN_HAND)
        model = build_model("cmr_g", "ResNet18", template).to(device)
        with torch.no_grad():
            for _ in range(2):
                model.train()(torch.randn(4, 3, 64, 64, device=device))
        return cls(device, model.eval(), template, data, compiled, precisions)


def forward(bench: Bench, batch: int) -> Case:
    """The network alone."""
    images = torch.randn(batch, 3, INPUT_SIZE_PX, INPUT_SIZE_PX, device=bench.device)
    networks = {BASELINE: PlainCMR(bench.model, bench.template)}
    networks |= {precision: for_inference(bench.model, precision) for precision in bench.precisions}
    if bench.compiled != "none":
        networks["float32 compiled"] = for_inference(bench.model, compiled=bench.compiled)

    def run(network: torch.nn.Module) -> dict:
        with torch.inference_mode():
            return network(images)

    expected = run(networks[BASELINE])["mesh_pred"][0]
    checks = {
        f"{name}: largest difference of the mesh, units of 0.2 m": _difference(run(network)["mesh_pred"][0], expected)
        for name, network in networks.items()
        if name != BASELINE
    }
    ways = {name: partial(run, network) for name, network in networks.items()}
    return Case(f"network forward, batch {batch}", "image", batch, ways, checks)


def _difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max())


def registration(bench: Bench, batch: int) -> Case:
    """Hands of the open template in front of a camera, with noisy landmarks and outlines."""
    generator = np.random.default_rng(batch)
    scale = generator.uniform(0.85, 1.15, (batch, 1, 1))
    turned = np.stack([np.linalg.qr(generator.normal(size=(3, 3)))[0] for _ in range(batch)])
    vertices = scale * bench.template.vertices @ turned
    joints = bench.template.joint_regressor @ vertices
    vertices, joints = vertices - joints[:, :1], joints - joints[:, :1]
    place = np.concatenate([generator.normal(0, 0.03, (batch, 2)), generator.uniform(0.5, 0.9, (batch, 1))], axis=1)
    landmarks = np.rint(project(joints + place[:, None], K) + generator.normal(0, 3, (batch, 21, 2)))
    confidence = generator.uniform(0.3, 1, (batch, 21))
    contours = [np.rint(project(hand + at, K)) for hand, at in zip(vertices, place, strict=True)]
    extents = torch.stack([contour_extents(torch.from_numpy(contour)) for contour in contours]).to(bench.device)
    arrays = (vertices, joints, landmarks, confidence, np.repeat(K[None], batch, axis=0))
    tensors = [torch.from_numpy(array).to(bench.device) for array in arrays]

    def plain() -> np.ndarray:
        rows = zip(*arrays, contours, strict=True)
        return np.stack([register_with_slsqp(*row[:5], INPUT_SIZE_PX, row[5]) for row in rows])

    def ours() -> torch.Tensor:
        return register(*tensors, INPUT_SIZE_PX, extents).translation_m

    expected, found = plain(), ours().cpu().numpy()
    start, _ = fit_landmarks(*tensors[1:])
    refined = fit_extents(tensors[0], extents, tensors[4], INPUT_SIZE_PX, start).cpu().numpy()
    outlines = extents.cpu().numpy()
    objectives = []
    for i in range(batch):
        outline = (vertices[i], outlines[i], K, INPUT_SIZE_PX)
        slsqp = fit_extents_with_slsqp(start[i].cpu().numpy(), *outline)
        objectives.append([extent_objective(slsqp, *outline), extent_objective(refined[i], *outline)])
    objectives = np.array(objectives)
    checks = {
        "mean distance to the true place, mm: baseline": 1e3 * float(np.linalg.norm(expected - place, axis=1).mean()),
        "mean distance to the true place, mm: ours": 1e3 * float(np.linalg.norm(found - place, axis=1).mean()),
        "mean objective of the 1D stage from the same start: baseline": float(objectives[:, 0].mean()),
        "mean objective of the 1D stage from the same start: ours": float(objectives[:, 1].mean()),
        "hands where ours is worse by more than a millionth": int(
            (objectives[:, 1] > objectives[:, 0] * 1.000001).sum()
        ),
    }
    return Case(f"registration, batch {batch}", "hand", batch, {BASELINE: plain, "ours": ours}, checks)


def image_to_mesh(bench: Bench, batch: int) -> Case:
    """Images on the host to meshes in camera space on the host."""
    images = np.random.default_rng(0).integers(0, 256, (batch, INPUT_SIZE_PX, INPUT_SIZE_PX, 3), dtype=np.uint8)
    plain = PlainPredictor(bench.model, bench.template)
    made = {precision: (precision, "none") for precision in bench.precisions}
    if bench.compiled != "none":
        made["float32 compiled"] = ("float32", bench.compiled)
    if bench.device.type == "cuda":
        made |= {f"{precision} recorded": (precision, RECORDED_KERNELS) for precision in bench.precisions}
    predictors = {
        name: HandPredictor(bench.model, bench.template, precision=precision, compiled=compiled)
        for name, (precision, compiled) in made.items()
    }

    def one_by_one() -> np.ndarray:
        return np.stack([plain(image, K) for image in images])

    def together(predictor: HandPredictor) -> np.ndarray:
        crops, crop_K = zip(*(predictor.fit(image, K) for image in images), strict=True)
        inputs = np.stack([to_network_input(crop, predictor.mean, predictor.std) for crop in crops])
        return predictor.predict(torch.from_numpy(inputs), torch.from_numpy(np.stack(crop_K))).vertices_m

    ways = {BASELINE: one_by_one} | {name: partial(together, predictor) for name, predictor in predictors.items()}
    vertices = {name: way() for name, way in ways.items()}
    meshes = {name: found - found[:, :1] for name, found in vertices.items()}
    checks = {
        f"{name}: largest difference of the mesh relative to its first vertex, m": float(
            np.abs(mesh - meshes[BASELINE]).max()
        )
        for name, mesh in meshes.items()
        if name != BASELINE
    }
    return Case(f"image to camera-space mesh, batch {batch}", "image", batch, ways, checks)


def plot(bench: Bench) -> Case:
    """The picture of a result."""
    image = np.full((INPUT_SIZE_PX, INPUT_SIZE_PX, 3), 128, np.uint8)
    vertices = bench.template.vertices + np.array([0, 0, 0.6])
    joints = bench.template.joint_regressor @ vertices
    silhouette = np.zeros((112, 112), np.float32)
    silhouette[30:80, 30:80] = 1
    large = np.ones((INPUT_SIZE_PX, INPUT_SIZE_PX))
    faces = bench.template.faces[0]
    landmarks = project(joints, K)
    ways = {
        BASELINE: lambda: plain_plot(image, large, project(vertices, K), vertices, landmarks, joints, faces),
        "ours": lambda: plot_result(image, K, vertices, joints, faces, landmarks, np.ones(21, bool), silhouette),
    }
    assert predicted_contour(silhouette, INPUT_SIZE_PX) is not None
    return Case("plot of a result", "picture", 1, ways)


class Stream:
    """An endless loader of batches as a training step takes them."""

    def __init__(self, dataset: AugmentedHands, batch: int, workers: int, device: torch.device) -> None:
        self.dataset, self.batch, self.workers, self.device = dataset, batch, workers, device
        settings = dataset.settings
        self.input = {"size": settings.size, "mean": settings.mean, "std": settings.std}
        self.batches = iter(())

    def _keys(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(1_000_000):
            for first in range(0, len(self.dataset) - self.batch + 1, self.batch):
                yield [(epoch, index) for index in range(first, first + self.batch)]

    def start(self) -> None:
        collate = partial(finish_on_host, **self.input) if self.device.type == "cpu" else default_collate
        keys = list(_take(self._keys(), 4000))
        self.batches = load_batches(self.dataset, keys, self.workers, self.device.type == "cuda", collate)

    def next(self) -> dict[str, torch.Tensor]:
        batch = {name: value.to(self.device, non_blocking=True) for name, value in next(self.batches).items()}
        return finish_batch(batch, **self.input)

    def skip(self, batches: int) -> None:
        for _ in range(batches):
            self.next()


def _take(iterator: Iterator, count: int) -> Iterator:
    for _, value in zip(range(count), iterator, strict=False):
        yield value


def datasets(bench: Bench, size: int = INPUT_SIZE_PX) -> dict[str, FreiHANDTraining]:
    """The same samples, plain and fast."""
    vertices = bench.template.num_vertices[0]
    return {
        BASELINE: PlainFreiHAND(bench.data, vertices, SampleSettings(size, pixels=REFERENCE)),
        "ours": FreiHANDTraining(bench.data, vertices, SampleSettings(size, pixels=HOST), bench.data / "cache"),
    }


class Step:
    """A training step as `runner.train` does it."""

    def __init__(self, bench: Bench, precision: str, run: int) -> None:
        self.model = bench.new_model(run).to(memory_format=torch.channels_last).train()
        self.network = compile_network(self.model, bench.compiled)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4, fused=True)
        self.faces = torch.from_numpy(bench.template.faces[0]).to(bench.device)
        self.coarse = [torch.from_numpy(index).to(bench.device) for index in coarse_selections(bench.template)]
        self.precision, self.device = precision, bench.device

    def step(self, batch: dict[str, torch.Tensor]) -> float:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            output = self.network(batch["image"], as_logits=True)
        meshes = [batch["mesh"], *(batch["mesh"][:, index] for index in self.coarse)]
        loss = cmr_loss(output, meshes, batch["heatmaps"], batch["silhouette"], self.faces)["loss"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def training_step(bench: Bench, way: str, run: int = 0) -> Callable[[dict[str, torch.Tensor]], float]:
    """Plain or ours, from the same weights in the same run."""
    return PlainStep(bench.new_model(run), bench.template).step if way == BASELINE else Step(bench, way, run).step


def training_batch(bench: Bench, batch: int) -> dict[str, torch.Tensor]:
    """A finished batch of the benchmark's data."""
    stream = Stream(datasets(bench)["ours"], batch, 0, bench.device)
    stream.start()
    return stream.next()


def training(bench: Bench, batch: int) -> Case:
    """Forward, losses, backward, optimiser; the data is there already."""
    samples = training_batch(bench, batch)
    steps = {way: training_step(bench, way) for way in (BASELINE, *bench.precisions)}
    losses = {name: step(samples) for name, step in steps.items()}
    checks = {f"{name}: loss of the first step": loss for name, loss in losses.items()}
    ways = {name: partial(step, samples) for name, step in steps.items()}
    return Case(f"training step, batch {batch}", "sample", batch, ways, checks)
