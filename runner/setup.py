"""From options to a device, a template and a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from handmesh.errors import InputError
from models import BACKBONES, CMR, build_model
from models.checkpoint import Checkpoint, model_from_checkpoint, read_checkpoint
from options import Options
from options.options import TRAIN
from options.resolution import with_stored
from runner.ranks import local_rank
from runner.training_record import TrainingRecord, read_record
from utils.template import Template, load_template


@dataclass(frozen=True)
class Setup:
    """What a phase with a network works on.

    Attributes:
        options: with what the checkpoint says.
        checkpoint: that the network is taken from; None: it is a new one.
        record: of the training of the checkpoint, if that goes on.
    """

    options: Options
    device: torch.device
    template: Template
    checkpoint: Checkpoint | None
    record: TrainingRecord | None

    def build_network(self) -> CMR:
        """The network on the device, from the checkpoint, or from the seed and pretrained encoders.

        Raises:
            InputError: weights do not fit, or cannot be used.
        """
        options = self.options
        torch.manual_seed(options.seed)
        if self.checkpoint is not None:
            try:
                model = model_from_checkpoint(self.checkpoint, self.template)
            except InputError as error:
                raise InputError(f"{error}. Name the template it was trained on with --template") from error
        else:
            weights = {"auto": True, "none": False}.get(options.imagenet, options.imagenet)
            try:
                model = build_model(
                    options.model, options.backbone, self.template, options.att, weights, options.out_channels
                )
            except InputError as error:
                raise InputError(
                    f"--imagenet {options.imagenet}: {error}. Name another file, or none to start without"
                ) from error
        return model.to(device=self.device, memory_format=torch.channels_last)


def read_setup(options: Options) -> Setup:
    """Choose the device, read checkpoint and template.

    Raises:
        InputError: the device is not there, a file cannot be used, or the options contradict the checkpoint.
    """
    if options.n_threads:
        torch.set_num_threads(options.n_threads)
    device = select_device(options)
    checkpoint = record = None
    if options.checkpoint is not None:
        checkpoint = read_checkpoint(options.checkpoint)
        if options.phase == TRAIN and "step" in checkpoint.training and not options.weights_only:
            record = read_record(checkpoint)
        stored = stored_options(checkpoint, options.weights_only)
        options = with_stored(options, stored, _network_options(checkpoint), str(checkpoint.path), record is not None)
    try:
        template = load_template(options.template, options.seq_length, options.dilation)
    except InputError as error:
        raise InputError(f"{error}. --template names it") from error
    return Setup(options, device, template, checkpoint, record)


def stored_options(checkpoint: Checkpoint, weights_only: bool = False) -> Mapping[str, Any]:
    """The options of the run that wrote a checkpoint; empty where it does not say.

    Raises:
        InputError: it says something else, and more than the weights is wanted.
    """
    stored = checkpoint.training.get("options", {})
    if isinstance(stored, Mapping):
        return stored
    if weights_only:
        return {}
    raise InputError(
        f"{checkpoint.path}: its options are a {type(stored).__name__}, expected a dict; to train from its weights, "
        "add --weights_only"
    )


def _network_options(checkpoint: Checkpoint) -> dict[str, Any]:
    """Options of its network, as the weights show them."""
    return {
        "model": checkpoint.name,
        "backbone": checkpoint.backbone if checkpoint.backbone in BACKBONES else Options.backbone,
        "att": checkpoint.attention,
        "out_channels": checkpoint.out_channels,
    }


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
