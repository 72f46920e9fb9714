"""Every option with its default, unit and explanation. The parser and the stored run configuration come from here."""

import types
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from models import BACKBONES, VARIANTS
from models.cmr import OUT_CHANNELS
from utils.template import OPEN_HAND, SPIRAL_LENGTH

PHASES = ("train", "eval", "demo", "score")
DEVICES = ("auto", "cpu", "cuda")
DATASETS = ("FreiHAND",)
PRECISIONS = ("float32", "bf16")

# What a new run takes where the command line says nothing. With a checkpoint, its own values come first.
NETWORK_DEFAULTS: dict[str, Any] = {
    "model": "cmr_g",
    "backbone": "ResNet18",
    "att": None,  # the variant's own choice
    "template": OPEN_HAND,
    "size": 224,
    "img_mean": 0.5,
    "img_std": 0.5,
    "out_channels": OUT_CHANNELS,
    "seq_length": (SPIRAL_LENGTH,) * 4,
    "dilation": (1,) * 4,
}


def option(
    default: Any, group: str, text: str, choices: tuple[str, ...] | None = None, nargs: str | None = None
) -> Any:
    """A dataclass field that the parser turns into `--name`."""
    return field(default=default, metadata={"group": group, "help": text, "choices": choices, "nargs": nargs})


@dataclass(frozen=True)
class Options:
    """All options of a run. `None` means: decided by the phase, the checkpoint or the data, as the help says."""

    phase: str = option("train", "run", "what to do", PHASES)
    exp_name: str = option("cmr", "run", "name of the run; its files go to OUT_DIR/DATASET/EXP_NAME")
    out_dir: str | None = option(
        None,
        "run",
        "train, eval: folder of all runs (default out); demo, score: folder of the results "
        "(default: inside the run's folder)",
    )
    device: str = option("auto", "run", "where to compute; auto takes CUDA if there is one", DEVICES)
    device_idx: int = option(0, "run", "which CUDA device")
    n_threads: int = option(0, "run", "CPU threads of the computation; 0: PyTorch's choice")
    workers: int = option(2, "run", "processes that load data; 0: load in the main process")
    seed: int = option(1, "run", "seed of weights, order and augmentation")
    resume: str | None = option(
        None,
        "run",
        "checkpoint file, or 'last' for the run's own. train: continue it; eval, demo: take its weights "
        "(default there: last)",
    )

    dataset: str = option("FreiHAND", "data", "layout of the data", DATASETS)
    data_dir: str | None = option(None, "data", "folder with training/, evaluation/ and *.json (default data/DATASET)")
    image_dir: str = option("images", "data", "demo: folder of images with their intrinsics")
    size: int | None = option(None, "data", "side of the network's input in pixels, a multiple of 32")
    img_mean: float | None = option(None, "data", "input is (rgb / 255 - IMG_MEAN) / IMG_STD")
    img_std: float | None = option(None, "data", "see --img_mean")
    pred: str | None = option(None, "data", "score: prediction to score, a .json or a .zip with one inside")
    gt: str | None = option(None, "data", "score: folder with evaluation_xyz.json and evaluation_verts.json")

    model: str | None = option(None, "model", "network", tuple(VARIANTS))
    backbone: str | None = option(None, "model", "encoder", tuple(BACKBONES))
    att: bool | None = option(None, "model", "attention on the global feature")
    template: str | None = option(
        None, "model", "folder, mesh (.ply, .obj) or MANO_RIGHT.pkl that defines the hand's surface"
    )
    out_channels: tuple[int, ...] | None = option(None, "model", "mesh decoder widths, finest level first", nargs="+")
    seq_length: tuple[int, ...] | None = option(
        None, "model", "spiral lengths in vertices, finest level first", nargs="+"
    )
    dilation: tuple[int, ...] | None = option(None, "model", "spiral dilations, finest level first", nargs="+")
    imagenet: str = option(
        "auto",
        "model",
        "encoder weights of a new run: auto (torchvision's, cached or downloaded; from scratch if neither works), "
        "none, or a torchvision .pth file",
    )

    batch_size: int = option(32, "training", "samples per step; eval: images per forward pass")
    epochs: int = option(38, "training", "passes over the training images")
    max_steps: int = option(0, "training", "stop after this many optimiser steps in all; 0: no limit")
    lr: float = option(1e-4, "training", "learning rate of Adam")
    lr_decay: float = option(0.1, "training", "factor of the learning rate every DECAY_STEP epochs")
    decay_step: int = option(30, "training", "epochs between two decays")
    weight_decay: float = option(0.0, "training", "L2 penalty of Adam")
    precision: str = option(
        "float32", "training", "arithmetic of the network in training; losses are float32", PRECISIONS
    )
    ms_mesh: bool = option(True, "training", "supervise the mesh at four levels instead of the finest only")
    save_steps: int = option(1000, "training", "steps between two checkpoints; one is saved at the end anyway")
    log_steps: int = option(20, "training", "steps between two lines of the log")

    pos_aug: float = option(3.0, "augmentation", "spread of the crop's position and size; 0: crops centred on the hand")
    rot_aug: int = option(90, "augmentation", "largest rotation in degrees")
    color_aug: bool = option(True, "augmentation", "jitter brightness, contrast, saturation and hue")
    flip_aug: bool = option(False, "augmentation", "mirror half of the samples, which then show left hands")

    @property
    def data_root(self) -> Path:
        """Folder of the dataset."""
        return Path(self.data_dir) if self.data_dir is not None else Path("data") / self.dataset

    @property
    def run_dir(self) -> Path:
        """Folder of the run: checkpoints, logs, evaluation."""
        root = self.out_dir if self.out_dir is not None and self.phase in ("train", "eval") else "out"
        return Path(root) / self.dataset / self.exp_name

    @property
    def results_dir(self) -> Path:
        """Folder that demo and score write to."""
        return Path(self.out_dir) if self.out_dir is not None else self.run_dir / self.phase

    @property
    def last_checkpoint(self) -> Path:
        """The run's newest checkpoint."""
        return self.run_dir / "checkpoints" / "checkpoint_last.pt"

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that `resume` names; for eval and demo the run's own where it names none."""
        if self.resume is None:
            return self.last_checkpoint if self.phase in ("eval", "demo") else None
        return self.last_checkpoint if self.resume == "last" else Path(self.resume)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def stated_default(name: str) -> str:
    """What the help says about an option that is not given; empty where there is nothing to say."""
    default = next(item.default for item in fields(Options) if item.name == name)
    prefix = ""
    if name in NETWORK_DEFAULTS:
        default = NETWORK_DEFAULTS[name]
        prefix = "the checkpoint's; for a new run "
        if default is None:
            default = "the network's own choice"
    if default is None:
        return ""
    return prefix + (" ".join(map(str, default)) if isinstance(default, tuple) else str(default))


def value_type(name: str) -> type:
    """The type of one value of an option: of the elements for a tuple, without None for an optional one."""
    annotation = next(item.type for item in fields(Options) if item.name == name)
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not types.NoneType)
    return get_args(annotation)[0] if get_args(annotation) else annotation
