"""Every option with its default, unit and explanation. The parser, the checks and checkpoints all read them here."""

import hashlib
import math
import os
import types
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parents[1]
PHASES = ("train", "eval", "demo", "export", "score", "synth", "fit_mano")
TRAIN, EVAL, DEMO, EXPORT, SCORE, SYNTH, FIT_MANO = PHASES
NETWORK_PHASES = (TRAIN, EVAL, DEMO, EXPORT)
GENERATING = (TRAIN, SYNTH)
PROCEDURAL = "procedural"
DATASETS = ("FreiHAND", "Synthetic", "RHD", "HO3D", "Keypoints")
NOT_KEPT = ("auto", "none")  # values of --cache for which generated images are not kept
DEFAULT_EXPERIMENT = "cmr"
GENERATOR_FOLDERS = {"skins", "hdri", "backgrounds"}

# What an option belongs to.
CALL = "call"  # to this call alone
RUN = "run"  # to a run: its checkpoint brings it to the training that goes on from there
FIXED = "fixed"  # likewise, and it cannot change any more: it decided what was done already
NETWORK = "network"  # to the network: a checkpoint brings it to every phase


def option(
    default: Any,
    text: str,
    group: str,
    *,
    choices: tuple[str, ...] | None = None,
    nargs: int | str | None = None,
    limits: tuple[float, float] | None = None,
    multiple_of: int = 1,
    phases: tuple[str, ...] = PHASES,
    belongs_to: str = CALL,
) -> Any:
    """A dataclass field that the parser turns into `--name`.

    Args:
        limits: lowest and highest value. The highest ones keep a slip of the finger from running for hours or for ever.
        phases: that use it.
    """
    metadata = {
        "group": group, "help": text, "choices": choices, "nargs": nargs, "limits": limits, "multiple_of": multiple_of,
        "phases": phases, "belongs_to": belongs_to,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


_run = partial(option, group="run")
_data = partial(option, group="data")
_demo = partial(option, group="data", phases=(DEMO,))
_predicted = partial(option, group="data", phases=(SCORE, FIT_MANO))
_generated = partial(option, group="synthetic", phases=GENERATING, belongs_to=FIXED)
_network = partial(option, group="model", phases=NETWORK_PHASES, belongs_to=NETWORK)
_training = partial(option, group="training", phases=(TRAIN,), belongs_to=RUN)
_augmentation = partial(option, group="augmentation", phases=(TRAIN,), belongs_to=RUN)


@dataclass(frozen=True)
class Options:
    """All options of a call, as `parse_options` reads them. `None`: not named.

    Attributes:
        given: names of those that the command line says, which come before what a checkpoint says.
    """

    phase: str = _run(TRAIN, "what to do", choices=PHASES)
    exp_name: str = _run(DEFAULT_EXPERIMENT, "name of the run; its files go to OUT_DIR/DATASET/EXP_NAME")
    out_dir: str | None = _run(
        None, "train, eval: folder of all runs (default out); else: folder of the results (default: inside the run's)"
    )
    device: str = _run(
        "auto",
        "where to compute; auto takes CUDA if there is one, but runs networks from .onnx files on the CPU",
        choices=("auto", "cpu", "cuda"),
    )
    device_idx: int = _run(0, "which CUDA device", limits=(0, 4096))
    n_threads: int = _run(0, "CPU threads of the computation; 0: as many as are useful", limits=(0, 4096))
    workers: int = _run(
        2, "threads (cached data, on a CPU) or processes that make samples; 0: the main process does", limits=(0, 1024)
    )
    seed: int = _run(1, "seed of weights, order and augmentation", limits=(0, 2**31 - 1), belongs_to=FIXED)
    resume: str | None = _run(
        None,
        "checkpoint file, or 'last' for the run's own. train: continue it; eval, demo, export: take its "
        "weights (default there: last); eval and demo also take a .onnx file",
        phases=NETWORK_PHASES,
    )
    weights_only: bool = _run(
        False, "train: take the weights of --resume only, and start a new run from them", phases=(TRAIN,)
    )

    dataset: tuple[str, ...] = _data(
        ("FreiHAND",),
        f"layout of the data: {', '.join(DATASETS)}; several to train on, with shares of the samples: NAME:SHARE ...",
        nargs="+",
    )
    data_dir: str | None = _data(
        None,
        "folder of the data, see docs/data.md (default data/DATASET; synth: data/Synthetic); with several data sets "
        "each is in DATA_DIR/NAME",
        phases=(TRAIN, EVAL, SYNTH),
    )
    cache: str = _data(
        "auto",
        "train: folder of the decoded data of FreiHAND, made at the first start; auto: DATA_DIR/cache, or in the "
        "user's cache where that cannot be written; none: decode each time. With --stream: folder of its "
        "images, which are then the same in every epoch and are made while training goes on; auto, none: new "
        "ones in every epoch",
        phases=(TRAIN,),
        belongs_to=RUN,
    )
    image_dir: tuple[str, ...] = _demo(
        (), "demo: images, with their intrinsics beside them: folders, files, patterns (default images)", nargs="+"
    )
    video: tuple[str, ...] = _demo((), "demo: videos, or numbers of cameras, instead of images", nargs="+")
    smooth: bool = _demo(True, "demo: smooth the poses of a video")
    save: tuple[str, ...] = _demo(
        ("plot", "overlay", "mesh", "glb", "json"),
        "demo: what to write of each image",
        choices=("plot", "overlay", "mask", "json", "vertices", "mesh", "obj", "glb"),
        nargs="+",
    )
    mirrored: bool = _demo(
        False, "demo: the images are mirror images, as many front cameras save them, and are mirrored first"
    )
    boxes: str | None = _demo(None, "demo: JSON file with the boxes of hands in pixels, by the image's file name")
    K: str | None = _demo(None, "demo: file with the intrinsics of all images that have none of their own")
    detect: str | None = _demo(
        None,
        "demo: find hands always; never, the image is a crop of one hand; auto, the latter where none is clear; "
        "small, also in parts of the image "
        "(default: auto for cmr_mobile, never for the networks of the paper)",
        choices=("auto", "always", "never", "small"),
    )
    fov: float = _demo(
        65.0,
        "demo: field of view across an image's longer side in degrees, where no file and no EXIF data says more",
        limits=(1, 170),
    )
    hand_length_cm: float | None = _demo(
        None,
        "demo: length of the hands, wrist to the middle finger's tip, which sets the scale (default: not known)",
        limits=(5, 30),
    )
    size: int = _network(
        224, "side of the network's input in pixels, a multiple of 32", limits=(32, 1024), multiple_of=32, group="data"
    )
    img_mean: float = _network(0.5, "input is (rgb / 255 - IMG_MEAN) / IMG_STD", limits=(-1e3, 1e3), group="data")
    img_std: float = _network(0.5, "see --img_mean", limits=(1e-3, 1e3), group="data")
    pred: str | None = _predicted(None, "prediction, a .json or a .zip with one inside; fit_mano: or SPLIT_mano.json")
    gt: str | None = _data(
        None, "score: folder with evaluation_xyz.json and, for meshes, evaluation_verts.json", phases=(SCORE,)
    )
    pred_layout: str = _predicted(
        "freihand",
        "order of its joints and axes: freihand, y down and z forward; ho3d, HO-3D's order, y up and z backward",
        choices=("freihand", "ho3d"),
    )
    gt_layout: str = _data("freihand", "likewise of --gt", choices=("freihand", "ho3d"), phases=(SCORE,))

    train_samples: int = _generated(
        2000, "synth: training images to write", limits=(0, 10_000_000), phases=(SYNTH,), belongs_to=CALL
    )
    clips: int = _generated(
        0,
        "synth: so many videos of a moving hand instead, each with its truth, to DATA_DIR/clips",
        limits=(0, 100_000),
        phases=(SYNTH,),
        belongs_to=CALL,
    )
    eval_samples: int = _generated(
        200, "synth: evaluation images to write", limits=(0, 10_000_000), phases=(SYNTH,), belongs_to=CALL
    )
    stream: int = _generated(
        0,
        "train: images an epoch that are generated on the way instead of read from DATA_DIR; 0: read",
        limits=(0, 10_000_000),
        phases=(TRAIN,),
    )
    makers: int = _generated(
        2,
        "train --stream --cache: processes that generate images in the background",
        limits=(1, 1024),
        phases=(TRAIN,),
        belongs_to=CALL,
    )
    skins: str = _generated(PROCEDURAL, "synth, train --stream: folder of body skin textures in the MakeHuman layout")
    hdri: str = _generated(PROCEDURAL, "likewise: folder of .hdr environment maps, for light and background")
    backgrounds: str = _generated(PROCEDURAL, "likewise: folder of background pictures")
    hand: str = _generated(
        "auto",
        "likewise: which hand to show, left ones mirrored, auto: right; demo: which hands are in the images, "
        "auto: as they look",
        choices=("auto", "right", "left"),
        phases=(*GENERATING, DEMO),
    )
    hand_px: tuple[float, ...] = _generated(
        (72.0, 126.0),
        "likewise: smallest and largest longer side of the hand's box, pixels of 224",
        nargs=2,
        limits=(24, 200),
        belongs_to=RUN,
    )

    model: str = _network("cmr_g", "network", choices=("cmr_g", "cmr_pg", "cmr_sg", "cmr_mobile"))
    backbone: str = _network("ResNet18", "encoder; cmr_mobile has its own", choices=("ResNet18", "ResNet50"))
    att: bool | None = _network(None, "attention on the global feature (default: the network's own choice)")
    template: str = _network(
        "template/open_hand",
        "folder, mesh (.ply, .obj) or MANO_RIGHT.pkl that defines the hand's surface",
        phases=(*NETWORK_PHASES, FIT_MANO),
    )
    out_channels: tuple[int, ...] = _network(
        (64, 128, 256, 512),
        "mesh decoder widths, finest level first, multiples of 4",
        nargs=4,
        limits=(4, 65536),
        multiple_of=4,
    )
    seq_length: tuple[int, ...] = _network(
        (27, 27, 27, 27), "spiral lengths in vertices, finest level first", nargs=4, limits=(3, 10_000)
    )
    dilation: tuple[int, ...] = _network(
        (1, 1, 1, 1), "spiral dilations, finest level first", nargs=4, limits=(1, 1000)
    )
    imagenet: str = _training(
        "auto",
        "encoder weights of a new run: auto (torchvision's, cached or downloaded; from scratch if neither "
        "works), none, or a torchvision .pth file",
        belongs_to=FIXED,
        group="model",
    )

    batch_size: int = _training(
        32,
        "samples per step, of all processes together; eval: images per forward pass",
        limits=(1, 100_000),
        phases=(TRAIN, EVAL),
        belongs_to=FIXED,
    )
    epochs: int = _training(38, "passes over the training images", limits=(1, math.inf))
    max_steps: int | None = _training(
        None,
        "stop after this many optimiser steps in all (default: the checkpoint's, else no limit)",
        limits=(1, math.inf),
    )
    lr: float = _training(1e-4, "learning rate of Adam", limits=(0, 1e30))
    schedule: str = _training(
        "step",
        "learning rate: step, LR_DECAY every DECAY_STEP epochs; cosine, down to zero at the last step",
        choices=("step", "cosine"),
    )
    lr_decay: float = _training(0.1, "factor of the learning rate every DECAY_STEP epochs", limits=(0, 1e30))
    decay_step: int = _training(30, "epochs between two decays", limits=(1, math.inf))
    trunk_lr: float = _training(
        0.1, "cmr_mobile: learning rate of the trunk as a share of LR, after TRUNK_STEPS", limits=(0, 1e3)
    )
    trunk_steps: int = _training(0, "cmr_mobile: steps in which the trunk stays as it is", limits=(0, math.inf))
    weight_decay: float = _training(0.0, "L2 penalty of Adam", limits=(0, 1e30))
    precision: str = _training(
        "float32", "arithmetic of the network in training; losses are float32", choices=("float32", "bf16")
    )
    inference_precision: str = _training(
        "float32",
        "eval, demo: arithmetic of the network on a GPU",
        choices=("float32", "bf16"),
        phases=(EVAL, DEMO),
        belongs_to=CALL,
    )
    compile: str = _training(
        "auto",
        "train: default, or cudagraphs on a GPU, for torch.compile, which needs a compiler and a minute at "
        "the start; auto: none. eval, demo on a GPU: recorded, its kernels are recorded as they are; auto: "
        "that",
        choices=("auto", "none", "default", "cudagraphs", "recorded"),
        phases=(TRAIN, EVAL, DEMO),
        belongs_to=CALL,
    )
    ms_mesh: bool = _training(True, "supervise the mesh at four levels instead of the finest only")
    accumulate: int = _training(
        1,
        "split each step's samples into so many batches, one after the other, to need less memory",
        limits=(1, 4096),
    )
    save_steps: int = _training(
        1000, "steps between two checkpoints; one is saved at the end anyway", limits=(1, math.inf), belongs_to=CALL
    )
    log_steps: int = _training(20, "steps between two lines of the log", limits=(1, math.inf), belongs_to=CALL)

    augment: str = _augmentation(
        "auto",
        "who augments: device, the network's device, a batch at a time; reference, the data workers with "
        "OpenCV as the original does; auto: device",
        choices=("auto", "device", "reference"),
    )
    pos_aug: float = _augmentation(
        3.0,
        "spread of the crop's position and size; 0: crops centred on the hand; cmr_mobile has its own",
        limits=(0, 100),
    )
    rot_aug: int = _augmentation(90, "largest rotation in degrees", limits=(0, 180))
    color_aug: bool = _augmentation(True, "jitter brightness, contrast, saturation and hue")
    flip_aug: bool = _augmentation(
        False,
        "mirror half of the samples, which then show left hands; cmr_mobile learns from them only to tell "
        "them, and mirrors a fifth without it",
    )
    neighbour_aug: float = _augmentation(
        0.0, "share of the samples, as far as they have a mask, with another's hand beside theirs", limits=(0, 1)
    )

    given: frozenset[str] = frozenset()

    @property
    def shares(self) -> dict[str, float]:
        """Share of each data set by its name; only their proportion counts."""
        named = (part.partition(":") for part in self.dataset)
        return {name: float(share) if colon else 1.0 for name, colon, share in named}

    @property
    def data_root(self) -> Path:
        """Folder of the dataset, of several the first one's."""
        return self.data_folder(next(iter(self.shares)))

    def data_folder(self, name: str) -> Path:
        """Folder of one of the datasets."""
        if self.data_dir is not None:
            return Path(self.data_dir, name if len(self.shares) > 1 else "")
        return ROOT / "data" / ("Synthetic" if self.phase == SYNTH else name)

    def cache_dir(self, name: str) -> Path | None:
        """Folder of the decoded training data of one of the datasets; None: not wanted."""
        from handmesh.files import cache_folder  # here: --help need not wait for its package

        if self.cache != "auto":
            return None if self.cache == "none" else Path(self.cache, name if len(self.shares) > 1 else "")
        root = self.data_folder(name)
        if os.access(root, os.W_OK):
            return root / "cache"
        return cache_folder() / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]

    @property
    def pool_dir(self) -> Path | None:
        """Folder of generated training images that are kept; None: they are not, or none are generated."""
        return Path(self.cache) if self.stream and self.cache not in NOT_KEPT else None

    @property
    def images(self) -> list[Path]:
        """Folders, files and patterns of the demo's images."""
        return [Path(source) for source in self.image_dir] or [ROOT / "images"]

    @property
    def run_dir(self) -> Path:
        """Folder of the run: checkpoints, logs, evaluation."""
        root = self.out_dir if self.out_dir is not None and self.phase in (TRAIN, EVAL) else ROOT / "out"
        return Path(root) / "+".join(self.shares) / self.exp_name

    @property
    def results_dir(self) -> Path:
        """Folder that demo, export, score and fit_mano write to."""
        return Path(self.out_dir) if self.out_dir is not None else self.run_dir / self.phase

    @property
    def last_checkpoint(self) -> Path:
        """The run's newest checkpoint."""
        return self.run_dir / "checkpoints" / "checkpoint_last.pt"

    @property
    def checkpoint(self) -> Path | None:
        """The network's file: the one that `resume` names, or the run's own. None: training starts a new one, the demo
        takes the one that comes with this repository, because nobody names any or has trained any, or none is used."""
        if self.resume is not None:
            return self.last_checkpoint if self.resume == "last" else Path(self.resume)
        shipped = self.phase == DEMO and self.exp_name == DEFAULT_EXPERIMENT and not self.last_checkpoint.is_file()
        return self.last_checkpoint if self.phase in (EVAL, DEMO, EXPORT) and not shipped else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        values = asdict(self)
        return {name: list(values[name]) if isinstance(values[name], tuple) else values[name] for name in OPTIONS}


OPTIONS = {item.name: item for item in fields(Options) if item.metadata}


def value_type(name: str) -> type:
    """The type of one value of an option: of the elements for a tuple, without None for one that may be missing."""
    annotation = OPTIONS[name].type
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not types.NoneType)
    return get_args(annotation)[0] if get_args(annotation) else annotation
