"""Every option with its default, unit and explanation. The parser and the stored run configuration come from here."""

import hashlib
import os
import types
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from datasets.augmented import DEVICE, HOST, REFERENCE
from datasets.synthesis.camera import HAND_PX
from handmesh.camera import DEFAULT_FOV_DEGREES
from handmesh.files import cache_folder
from handmesh.finder import DETECT
from handmesh.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD
from models import BACKBONES
from models.build import MODELS
from models.cmr import OUT_CHANNELS
from models.inference import COMPILERS, PRECISIONS
from models.mobile import MOBILE_BACKBONE
from models.predictor import RECORDED_KERNELS
from models.pretrained import SHIPPED_WEIGHTS
from utils.template import OPEN_HAND, ROOT, SPIRAL_LENGTH

PHASES = ("train", "eval", "demo", "score", "synth")
DEVICES = ("auto", "cpu", "cuda")
DATASETS = ("FreiHAND",)
HANDS = ("auto", "right", "left")
PROCEDURAL = "procedural"
NOT_KEPT = ("auto", "none")  # values of --cache for which generated images are not kept
DEFAULT_EXPERIMENT = "cmr"
GENERATOR_FOLDERS = {"skins", "hdri", "backgrounds"}


def option(
    default: Any,
    group: str,
    text: str,
    choices: tuple[str, ...] | None = None,
    nargs: str | int | None = None,
    **marks: Any,
) -> Any:
    """A dataclass field that the parser turns into `--name`."""
    return field(default=default, metadata={"group": group, "help": text, "choices": choices, "nargs": nargs, **marks})


def recorded(default: Any, *description: Any, **details: Any) -> Any:
    """An `option` that belongs to a run: a checkpoint's own value comes before the default, the command line before
    both. It is None until `runner.setup` has filled it in."""
    return option(None, *description, **details, recorded=default)


@dataclass(frozen=True)
class Options:
    """All options of a run. `None` means: not decided yet, or by the phase, as the help says."""

    phase: str = option("train", "run", "what to do", PHASES)
    exp_name: str = option(DEFAULT_EXPERIMENT, "run", "name of the run; its files go to OUT_DIR/DATASET/EXP_NAME")
    out_dir: str | None = option(
        None,
        "run",
        "train, eval: folder of all runs (default out); demo, score: folder of the results "
        "(default: inside the run's folder)",
    )
    device: str = option("auto", "run", "where to compute; auto takes CUDA if there is one", DEVICES)
    device_idx: int = option(0, "run", "which CUDA device")
    n_threads: int = option(0, "run", "CPU threads of the computation; 0: PyTorch's choice")
    workers: int = option(
        2, "run", "threads (cached data, on a CPU) or processes that make samples; 0: the main process does"
    )
    seed: int | None = recorded(1, "run", "seed of weights, order and augmentation")
    resume: str | None = option(
        None,
        "run",
        "checkpoint file, or 'last' for the run's own. train: continue it; eval, demo: take its weights "
        "(default there: last)",
    )

    weights_only: bool = option(False, "run", "train: take the weights of --resume only, and start a new run from them")

    dataset: str = option("FreiHAND", "data", "layout of the data", DATASETS)
    data_dir: str | None = option(
        None, "data", "folder with training/, evaluation/ and *.json (default data/DATASET; synth: data/Synthetic)"
    )
    cache: str = option(
        "auto",
        "data",
        "train: folder of the decoded training data, made at the first start; auto: DATA_DIR/cache, or in the user's "
        "cache where that cannot be written; none: decode each time. With --stream: folder of its images, which are "
        "then the same in every epoch and are made while training goes on; auto, none: new ones in every epoch",
    )
    image_dir: str | None = option(None, "data", "demo: folder of images with their intrinsics (default images)")
    detect: str | None = option(
        None,
        "data",
        "demo: find hands always; never, the image is a crop of one hand; auto, the latter where none is clear "
        "(default: auto for cmr_mobile, never for the networks of the paper)",
        DETECT,
    )
    fov: float = option(
        DEFAULT_FOV_DEGREES,
        "data",
        "demo: field of view across an image's longer side in degrees, where neither NAME_K.npy, NAME_K.json nor EXIF "
        "data says more",
    )
    hand_length_cm: float = option(
        0.0,
        "data",
        "demo: length of the hands, wrist to the middle finger's tip, which sets the scale; 0: not known",
    )
    size: int | None = recorded(INPUT_SIZE_PX, "data", "side of the network's input in pixels, a multiple of 32")
    img_mean: float | None = recorded(INPUT_MEAN, "data", "input is (rgb / 255 - IMG_MEAN) / IMG_STD")
    img_std: float | None = recorded(INPUT_STD, "data", "see --img_mean")
    pred: str | None = option(None, "data", "score: prediction to score, a .json or a .zip with one inside")
    gt: str | None = option(None, "data", "score: folder with evaluation_xyz.json and evaluation_verts.json")

    train_samples: int = option(2000, "synthetic", "synth: training images to write")
    eval_samples: int = option(200, "synthetic", "synth: evaluation images to write")
    stream: int | None = recorded(
        0, "synthetic", "train: images an epoch that are generated on the way instead of read from DATA_DIR; 0: read"
    )
    makers: int = option(2, "synthetic", "train --stream --cache: processes that generate images in the background")
    skins: str | None = recorded(
        PROCEDURAL, "synthetic", "synth, train --stream: folder of body skin textures in the MakeHuman layout"
    )
    hdri: str | None = recorded(
        PROCEDURAL, "synthetic", "likewise: folder of .hdr environment maps, for light and background"
    )
    backgrounds: str | None = recorded(PROCEDURAL, "synthetic", "likewise: folder of background pictures")
    hand: str | None = recorded(
        "auto",
        "synthetic",
        "likewise: which hand to show, left ones mirrored, auto: right; demo: which hands are in the images, auto: as "
        "they look",
        HANDS,
    )
    hand_px: tuple[float, ...] | None = recorded(
        HAND_PX, "synthetic", "likewise: smallest and largest longer side of the hand's box, pixels of 224", nargs=2
    )

    model: str | None = recorded("cmr_g", "model", "network", MODELS)
    backbone: str | None = recorded(
        "ResNet18", "model", "encoder; cmr_mobile has its own", (*BACKBONES, MOBILE_BACKBONE)
    )
    att: bool | None = recorded(None, "model", "attention on the global feature")
    template: str | None = recorded(
        OPEN_HAND, "model", "folder, mesh (.ply, .obj) or MANO_RIGHT.pkl that defines the hand's surface"
    )
    out_channels: tuple[int, ...] | None = recorded(
        OUT_CHANNELS, "model", "mesh decoder widths, finest level first", nargs="+"
    )
    seq_length: tuple[int, ...] | None = recorded(
        (SPIRAL_LENGTH,) * 4, "model", "spiral lengths in vertices, finest level first", nargs="+"
    )
    dilation: tuple[int, ...] | None = recorded((1,) * 4, "model", "spiral dilations, finest level first", nargs="+")
    imagenet: str = option(
        "auto",
        "model",
        "encoder weights of a new run: auto (torchvision's, cached or downloaded; from scratch if neither works), "
        "none, or a torchvision .pth file",
    )

    batch_size: int | None = recorded(
        32, "training", "samples per step, of all processes together; eval: images per forward pass"
    )
    epochs: int | None = recorded(38, "training", "passes over the training images")
    max_steps: int = option(0, "training", "stop after this many optimiser steps in all; 0: no limit")
    lr: float | None = recorded(1e-4, "training", "learning rate of Adam")
    schedule: str | None = recorded(
        "step",
        "training",
        "learning rate: step, LR_DECAY every DECAY_STEP epochs; cosine, down to zero at the last step",
        ("step", "cosine"),
    )
    lr_decay: float | None = recorded(0.1, "training", "factor of the learning rate every DECAY_STEP epochs")
    decay_step: int | None = recorded(30, "training", "epochs between two decays")
    trunk_samples: int | None = recorded(
        0,
        "training",
        "cmr_mobile: train on what the trunk's early stages make of so many augmented samples, computed once to "
        "DATA_DIR/features; these stages stay as they are. 0: on images",
    )
    trunk_lr: float | None = recorded(
        0.1, "training", "cmr_mobile: learning rate of the trunk as a share of LR, after TRUNK_STEPS"
    )
    trunk_steps: int | None = recorded(0, "training", "cmr_mobile: steps in which the trunk stays as it is")
    weight_decay: float | None = recorded(0.0, "training", "L2 penalty of Adam")
    precision: str | None = recorded(
        "float32", "training", "arithmetic of the network in training; losses are float32", tuple(PRECISIONS)
    )
    inference_precision: str = option("float32", "training", "eval, demo: arithmetic of the network", tuple(PRECISIONS))
    compile: str = option(
        "auto",
        "training",
        "torch.compile for the network: default, or cudagraphs on a GPU; needs a compiler and a minute at the start. "
        "eval, demo: recorded, a GPU's kernels are recorded as they are; auto: that on a GPU, else none",
        ("auto", *COMPILERS, RECORDED_KERNELS),
    )
    ms_mesh: bool | None = recorded(True, "training", "supervise the mesh at four levels instead of the finest only")
    accumulate: int = option(
        1, "training", "split each step's samples into so many batches, one after the other, to need less memory"
    )
    save_steps: int = option(1000, "training", "steps between two checkpoints; one is saved at the end anyway")
    log_steps: int = option(20, "training", "steps between two lines of the log")

    augment: str = option(
        "auto",
        "augmentation",
        "who augments: host, the data workers; device, the network's device, a batch at a time; reference, the workers "
        "with OpenCV as the original does; auto: device on a GPU, else host",
        ("auto", HOST, DEVICE, REFERENCE),
    )
    pos_aug: float | None = recorded(
        3.0, "augmentation", "spread of the crop's position and size; 0: crops centred on the hand"
    )
    rot_aug: int | None = recorded(90, "augmentation", "largest rotation in degrees")
    color_aug: bool | None = recorded(True, "augmentation", "jitter brightness, contrast, saturation and hue")
    upright_aug: bool | None = recorded(
        False, "augmentation", "turn hands upright and crop 1.6 times their box, as cmr_mobile expects them"
    )
    flip_aug: bool | None = recorded(
        False,
        "augmentation",
        "mirror half of the samples, which then show left hands; cmr_mobile learns from them only to tell them, and "
        "mirrors a fifth without it",
    )

    @property
    def data_root(self) -> Path:
        """Folder of the dataset."""
        if self.data_dir is not None:
            return Path(self.data_dir)
        return ROOT / "data" / ("Synthetic" if self.phase == "synth" else self.dataset)

    @property
    def cache_dir(self) -> Path | None:
        """Folder of the decoded training data; None: not wanted."""
        if self.cache != "auto":
            return None if self.cache == "none" else Path(self.cache)
        if os.access(self.data_root, os.W_OK):
            return self.data_root / "cache"
        return cache_folder() / hashlib.sha256(str(self.data_root.resolve()).encode()).hexdigest()[:16]

    @property
    def pool_dir(self) -> Path | None:
        """Folder of generated training images that are kept; None: they are not, or none are generated."""
        return Path(self.cache) if self.stream and self.cache not in NOT_KEPT else None

    @property
    def image_root(self) -> Path:
        """Folder of the demo's images."""
        return Path(self.image_dir) if self.image_dir is not None else ROOT / "images"

    @property
    def run_dir(self) -> Path:
        """Folder of the run: checkpoints, logs, evaluation."""
        root = self.out_dir if self.out_dir is not None and self.phase in ("train", "eval") else ROOT / "out"
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
    def uses_shipped_weights(self) -> bool:
        """The demo takes the weights of this repository where nobody names any or has trained any."""
        unnamed = self.phase == "demo" and self.resume is None and self.exp_name == DEFAULT_EXPERIMENT
        return unnamed and not self.last_checkpoint.is_file()

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that `resume` names; for eval and demo the run's own where it names none."""
        if self.uses_shipped_weights:
            return SHIPPED_WEIGHTS
        if self.resume is None:
            return self.last_checkpoint if self.phase in ("eval", "demo") else None
        return self.last_checkpoint if self.resume == "last" else Path(self.resume)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


RECORDED: dict[str, Any] = {
    item.name: item.metadata["recorded"] for item in fields(Options) if "recorded" in item.metadata
}
"""Options that belong to a run, with what a new run takes where the command line says nothing."""


NETWORK_OPTIONS = {item.name for item in fields(Options) if item.name in RECORDED and item.metadata["group"] == "model"}
NETWORK_OPTIONS |= {"size", "img_mean", "img_std"}
"""Those of them that belong to the network, whatever it is trained on next."""


def stated_default(name: str) -> str:
    """What the help says about an option that is not given; empty where there is nothing to say."""
    if name in RECORDED:
        default, prefix = RECORDED[name], "the checkpoint's; for a new run "
        if default is None:
            default = "the network's own choice"
    else:
        default, prefix = next(item.default for item in fields(Options) if item.name == name), ""
        if default is None:
            return ""
    return prefix + (" ".join(map(str, default)) if isinstance(default, tuple) else str(default))


def value_type(name: str) -> type:
    """The type of one value of an option: of the elements for a tuple, without None for an optional one."""
    annotation = next(item.type for item in fields(Options) if item.name == name)
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not types.NoneType)
    return get_args(annotation)[0] if get_args(annotation) else annotation
