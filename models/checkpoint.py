"""Checkpoints: the released ones, bare or wrapped, and this project's own, which say what they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from handmesh.confidence import Calibration
from handmesh.errors import InputError
from models.build import build_model
from models.cmr import CMR, VARIANTS, Stage
from models.mobile import MobileCMR
from models.weight_file import check_finite, is_state_dict, read_weight_file
from utils.template import Template


class Layout(NamedTuple):
    """What the weights of a network are told by.

    Attributes:
        keys: of its state dict; no other network has all of them.
        widths: keys of as many rows as the mesh decoder's levels have features, finest first.
        encoders: key to the encoder that has it; the first one found counts.
    """

    keys: frozenset[str]
    widths: tuple[str, ...]
    encoders: dict[str, str]


def _paper_layout(stages: tuple[Stage, ...]) -> Layout:
    first = f"{stages[0].encoder}.layer1.0"
    return Layout(
        frozenset(f"{stage.encoder}.layer1.0.conv1.weight" for stage in stages)
        | frozenset(f"{stage.head}.conv.weight" for stage in stages),
        tuple(f"de_layers.{block}.conv1.layer.weight" for block in (4, 3, 2, 1)),
        {f"{first}.conv3.weight": "ResNet50", f"{first}.conv1.weight": "ResNet18"},
    )


LAYOUTS = {name: _paper_layout(variant.stages) for name, variant in VARIANTS.items()} | {
    MobileCMR.name: Layout(
        frozenset(("trunk.stem.weight", "lift.weight")),
        tuple(f"mesh.blocks.{block}.conv1.layer.weight" for block in (3, 2, 1, 0)),
        {"trunk.stem.weight": MobileCMR.backbone_name},
    )
}


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

    @property
    def calibration(self) -> Calibration | None:
        """The stored calibration of the confidence, if there is one. Raises InputError if it is something else."""
        stored = self.training.get("calibration")
        if stored is None:
            return None
        try:
            return Calibration.from_json(stored)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path}: its calibration cannot be used ({error!r})") from error


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint without running any code in it.

    Raises:
        InputError: the file is missing, damaged, not of one of this project's networks, or not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
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
    check_finite(path, weights)
    return Checkpoint(path, weights, *_architecture(path, weights), training)


def _architecture(path: Path, weights: Mapping[str, Tensor]) -> tuple[str, str, bool, tuple[int, ...]]:
    for name, layout in LAYOUTS.items():
        if {*layout.keys, *layout.widths} <= weights.keys():
            backbone = next(encoder for key, encoder in layout.encoders.items() if key in weights)
            widths = tuple(weights[key].shape[0] for key in layout.widths)
            return name, backbone, "attention.gamma" in weights, widths
    raise InputError(f"{path}: its weights are of none of the networks {', '.join(LAYOUTS)}")


def model_from_checkpoint(checkpoint: Checkpoint, template: Template) -> CMR | MobileCMR:
    """Build the network of a checkpoint and load its weights, all of them.

    Raises:
        InputError: the weights do not fit the template, or were trained on another one.
    """
    digest = checkpoint.training.get("template_digest")
    if digest is not None and digest != template.digest:
        raise InputError(f"{checkpoint.path}: was trained on another template than this one")
    model = build_model(
        checkpoint.name, checkpoint.backbone, template, checkpoint.attention, out_channels=checkpoint.out_channels
    )
    try:
        model.load_state_dict(checkpoint.weights, strict=True)
    except RuntimeError as error:
        raise InputError(
            f"{checkpoint.path}: its weights do not fit this template and these spirals "
            f"({'/'.join(map(str, template.num_vertices))} vertices); last difference: "
            f"{str(error).splitlines()[-1].strip()}"
        ) from error
    return model
