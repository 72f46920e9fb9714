"""From options to a device, a template and a network."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from handmesh.errors import InputError
from handmesh.finder import PhotoPredictor
from models import CMR, HandPredictor, build_model
from models.checkpoint import Checkpoint, model_from_checkpoint, read_checkpoint
from models.mobile import MOBILE, MOBILE_BACKBONE
from models.predictor import RECORDED_KERNELS
from models.pretrained import calibration_of
from options import Options
from options.checks import check_values
from options.options import GENERATOR_FOLDERS, NETWORK_OPTIONS, NOT_KEPT, RECORDED
from runner.ranks import local_rank
from utils.template import Template, load_template


@dataclass(frozen=True)
class Setup:
    """What every phase with a network works on. `options` has nothing open left that belongs to a run."""

    options: Options
    device: torch.device
    template: Template
    model: CMR
    checkpoint: Checkpoint | None


def prepare(options: Options) -> Setup:
    """Make the process repeatable (threads, seed, deterministic algorithms on a CPU), then `load_setup`."""
    if options.n_threads:
        torch.set_num_threads(options.n_threads)
    torch.use_deterministic_algorithms(select_device(options).type == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of a training step, and nothing reads it
    torch.backends.cudnn.benchmark = options.phase == "train"  # all batches have one size
    return load_setup(options)


def load_setup(options: Options) -> Setup:
    """Choose the device, read checkpoint and template, and build the network from the seed or the checkpoint.

    Raises:
        InputError: the device is not there, a file cannot be used, or the options contradict the checkpoint.
    """
    device = select_device(options)
    if options.compile == RECORDED_KERNELS and (device.type != "cuda" or options.phase == "train"):
        raise InputError(f"--compile {RECORDED_KERNELS}: is for eval and demo on a CUDA device; leave it out")
    checkpoint = read_checkpoint(options.checkpoint) if options.checkpoint is not None else None
    options = with_recorded_options(options, checkpoint)
    torch.manual_seed(options.seed)
    template = load_template(options.template, options.seq_length, options.dilation)
    if checkpoint is not None:
        model = model_from_checkpoint(checkpoint, template)
    else:
        pretrained = {"auto": True, "none": False}.get(options.imagenet, options.imagenet)
        model = build_model(options.model, options.backbone, template, options.att, pretrained, options.out_channels)
    model = model.to(device=device, memory_format=torch.channels_last)
    return Setup(options, device, template, model, checkpoint)


def make_predictor(setup: Setup) -> HandPredictor:
    """The network of a setup, ready to predict."""
    options = setup.options
    image = (options.size, options.img_mean, options.img_std)
    return HandPredictor(setup.model, setup.template, *image, options.inference_precision, options.compile)


def make_photo_predictor(setup: Setup) -> PhotoPredictor:
    """The network of a setup, ready for pictures."""
    return PhotoPredictor(make_predictor(setup), calibration_of(setup.checkpoint.training))


def load_predictor(checkpoint: str | Path, template: str | Path | None = None, device: str = "auto") -> HandPredictor:
    """A predictor from a checkpoint file, released or own.

    Args:
        checkpoint: path of the file.
        template: see `load_template`; None takes the one stored with the checkpoint, else the open hand.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        InputError: a file cannot be used, or the device is not there.
    """
    named = None if template is None else str(template)
    return make_predictor(load_setup(Options(phase="demo", resume=str(checkpoint), template=named, device=device)))


def select_device(options: Options) -> torch.device:
    """The device that --device and --device_idx name. Raises InputError if it is not there."""
    if options.device == "cpu" or (options.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch sees no CUDA device; use --device cpu, or auto to take what is there")
    index = options.device_idx + local_rank()  # under torchrun, one GPU for each process of a machine
    if index >= torch.cuda.device_count():
        raise InputError(
            f"--device_idx {options.device_idx}, process {local_rank()} of this machine: there are "
            f"{torch.cuda.device_count()} CUDA devices"
        )
    return torch.device("cuda", index)


def with_recorded_options(options: Options, checkpoint: Checkpoint | None) -> Options:
    """Fill the open options: from the checkpoint where there is one, else with the defaults of a new run.

    Raises:
        InputError: the command line contradicts the checkpoint, or a value stored in it is not valid.
    """
    known = dict(RECORDED)
    if checkpoint is not None:
        stored = NETWORK_OPTIONS if options.weights_only else RECORDED.keys()
        known |= {name: checkpoint.option(name, known[name]) for name in stored}
        known.update(
            model=checkpoint.name,
            backbone=checkpoint.backbone,
            att=checkpoint.attention,
            out_channels=checkpoint.out_channels,
        )
        fixed = ["model", "backbone", "att", "out_channels"]
        if options.phase == "demo":
            known["hand"] = RECORDED["hand"]
        if options.phase == "train" and "step" in checkpoint.training and not options.weights_only:
            # they decide which samples are done already, and what is in those to come
            fixed += ["seed", "batch_size", "stream", "hand", *sorted(GENERATOR_FOLDERS)]
            options = _with_pool_of(options, checkpoint)
        for name in fixed:
            asked = getattr(options, name)
            if asked is not None and asked != known[name]:
                raise InputError(
                    f"--{name} {asked}: {checkpoint.path} holds {name} {known[name]}; leave the option out to use it"
                )
    filled = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in known.items()
        if getattr(options, name) is None
    }
    options = replace(options, **filled)
    if options.model == MOBILE:
        options = replace(options, backbone=MOBILE_BACKBONE)
    if options.phase in ("train", "synth") and options.hand == "auto":
        options = replace(options, hand="right")
    if options.phase == "demo" and options.detect is None:
        options = replace(options, detect="auto" if options.model == MOBILE else "never")
    check_values(options, f"{checkpoint.path}: " if checkpoint is not None else "")
    return options


def _with_pool_of(options: Options, checkpoint: Checkpoint) -> Options:
    """Where the images of a run are kept, from its checkpoint. Raises InputError if now they would be others."""
    if not checkpoint.option("stream", 0):
        return options
    before = checkpoint.option("cache", "auto")
    if options.cache == "auto":
        return replace(options, cache=before)
    if (before in NOT_KEPT) != (options.cache in NOT_KEPT):
        raise InputError(
            f"--cache {options.cache}: {checkpoint.path} holds cache {before}; leave the option out to use it"
        )
    return options


def start_log(path: Path) -> logging.Logger:
    """A logger that writes to the terminal and appends to `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers = [logging.FileHandler(path), logging.StreamHandler()]
    except OSError as error:
        raise InputError(f"{path}: cannot write here ({error.strerror}); choose another --out_dir") from error
    logger = logging.getLogger(f"cmr.{path}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for old in list(logger.handlers):
        old.close()
        logger.removeHandler(old)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    return logger


def silent_log() -> logging.Logger:
    """For the processes beside the one that logs."""
    logger = logging.getLogger("cmr.silent")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger
