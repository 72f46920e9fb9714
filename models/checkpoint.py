"""Checkpoints: the released ones, bare or wrapped, and this project's own, which say what they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handmesh.errors import InputError
from models.build import build_model
from models.cmr import CMR, VARIANTS
from models.mobile import MOBILE, MOBILE_BACKBONE, MobileCMR
from models.weight_file import is_state_dict, read_weight_file
from utils.template import Template

DECODER_LEVELS = (4, 3, 2, 1)  # numbers of the mesh decoder's blocks, finest level first


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file.

    Attributes:
        path: where it was read from.
        weights: the network's state dict.
        name, backbone, attention, out_channels: the network, read off the keys and shapes of the weights.
        training: everything else in the file (epoch, optimiser, options, ...); empty for a bare state dict.
    """

    path: Path
    weights: Mapping[str, Tensor]
    name: str
    backbone: str
    attention: bool
    out_channels: tuple[int, ...]
    training: Mapping[str, Any] = field(default_factory=dict)

    def option(self, name: str, default: Any) -> Any:
        """A stored option of the run that wrote this file, else the default."""
        stored = self.training.get("options")
        value = stored.get(name) if isinstance(stored, Mapping) else None
        return default if value is None else value


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint without running any code in it.

    Raises:
        InputError: the file is missing, damaged, or not of one of this project's networks.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train one, or name a file with --resume")
    content = read_weight_file(path)
    training: Mapping[str, Any] = {}
    weights = content
    if isinstance(content, Mapping) and "model_state_dict" in content:
        weights = content["model_state_dict"]
        training = {key: value for key, value in content.items() if key != "model_state_dict"}
    if not is_state_dict(weights) or not all(
        value.ndim or key.endswith("num_batches_tracked") for key, value in weights.items()
    ):
        raise InputError(f"{path}: expected a state dict, or a dict with model_state_dict")
    return Checkpoint(path, weights, *_architecture(path, weights), training)


def _architecture(path: Path, weights: Mapping[str, Tensor]) -> tuple[str, str, bool, tuple[int, ...]]:
    mobile = [f"mesh.blocks.{level}.conv1.layer.weight" for level in (3, 2, 1, 0)]
    if {"trunk.stem.weight", "lift.weight", *mobile} <= weights.keys():
        return MOBILE, MOBILE_BACKBONE, False, tuple(weights[key].shape[0] for key in mobile)
    for name, variant in VARIANTS.items():
        stages = variant.stages
        expected = {f"{stage.encoder}.layer1.0.conv1.weight" for stage in stages}
        expected |= {f"{stage.head}.conv.weight" for stage in stages}
        expected |= {f"de_layers.{level}.conv1.layer.weight" for level in DECODER_LEVELS}
        if expected <= weights.keys():
            widths = tuple(weights[f"de_layers.{level}.conv1.layer.weight"].shape[0] for level in DECODER_LEVELS)
            backbone = "ResNet50" if f"{stages[0].encoder}.layer1.0.conv3.weight" in weights else "ResNet18"
            return name, backbone, "attention.gamma" in weights, widths
    raise InputError(f"{path}: its weights are of none of the networks {', '.join((*VARIANTS, MOBILE))}")


def model_from_checkpoint(checkpoint: Checkpoint, template: Template) -> CMR | MobileCMR:
    """Build the network of a checkpoint and load its weights, all of them.

    Raises:
        InputError: the weights do not fit the template, or were trained on another one.
    """
    digest = checkpoint.training.get("template_digest")
    if digest is not None and digest != template.digest:
        raise InputError(
            f"{checkpoint.path}: was trained on another template than this one; name its template with --template"
        )
    model = build_model(
        checkpoint.name, checkpoint.backbone, template, checkpoint.attention, out_channels=checkpoint.out_channels
    )
    weights = checkpoint.weights
    if isinstance(model, MobileCMR):  # trained without mirror images, it does not know of them: even odds
        own = model.state_dict()
        weights = {name: torch.zeros_like(own[name]) for name in ("mirrored.weight", "mirrored.bias")} | dict(weights)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise InputError(
            f"{checkpoint.path}: its weights do not fit this template and these spirals "
            f"({'/'.join(map(str, template.num_vertices))} vertices); name the template it was trained on with "
            f"--template. Last difference: {str(error).splitlines()[-1].strip()}"
        ) from error
    return model
