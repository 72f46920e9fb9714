"""One factory for every network, with the weights that training starts from where they can be had."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from handmesh.errors import InputError
from models.cmr import CMR, OUT_CHANNELS, VARIANTS
from models.encoder import BACKBONES, EncoderStage
from models.mobile import MobileCMR
from models.weight_file import is_state_dict, read_weight_file
from utils.template import ROOT, Template, load_template

TRUNK_FILE = ROOT / "weights/hand_trunk.pt"


def build_model(
    name: str,
    backbone: str,
    template: Template | str | Path,
    att: bool | None = None,
    pretrained: bool | str | Path = False,
    out_channels: Sequence[int] = OUT_CHANNELS,
) -> CMR | MobileCMR:
    """Build a network.

    Args:
        name: a key of `MODELS`: `cmr_g`, `cmr_pg`, `cmr_sg` or `cmr_mobile`.
        backbone: `ResNet18` or `ResNet50`; `cmr_mobile` has an encoder of its own.
        template: a template, or what `utils.template.load_template` makes one from.
        att: attention on the global feature; None takes the network's own choice (not in `cmr_g`).
        pretrained: True starts every encoder from torchvision's ImageNet weights, cached or downloaded, and warns
            and goes on from scratch where neither works (`cmr_mobile`: its trunk, from `weights/hand_trunk.pt`); a path
            reads them from a torchvision `.pth` file.
        out_channels: widths of the mesh decoder, finest level first.

    Raises:
        InputError: an unknown name, or a weight file that cannot be used.
    """
    if name not in MODELS:
        raise InputError(f"{name}: no such network; expected one of {', '.join(MODELS)}")
    if not isinstance(template, Template):
        template = load_template(template)
    return MODELS[name](backbone, template, att, pretrained, out_channels)


def _build_paper_network(
    name: str,
    backbone: str,
    template: Template,
    att: bool | None,
    pretrained: bool | str | Path,
    out_channels: Sequence[int],
) -> CMR:
    if backbone not in BACKBONES:
        raise InputError(f"{backbone}: no such encoder; expected one of {', '.join(BACKBONES)}")
    model = CMR(name, backbone, template, att, out_channels)
    weights = _imagenet_weights(backbone, pretrained)
    if weights is not None:
        for module in model.children():
            if isinstance(module, EncoderStage):
                module.load_imagenet(weights)
    return model


def _build_mobile(
    _backbone: str, template: Template, _att: bool | None, pretrained: bool | str | Path, out_channels: Sequence[int]
) -> MobileCMR:
    if not isinstance(pretrained, bool):
        raise InputError(f"{pretrained}: {MobileCMR.name} starts from {TRUNK_FILE.name}, not from ImageNet weights")
    model = MobileCMR(template, out_channels)
    if pretrained:
        model.trunk.load_state_dict(read_weight_file(TRUNK_FILE))
    return model


MODELS = {name: partial(_build_paper_network, name) for name in VARIANTS} | {MobileCMR.name: _build_mobile}


NETWORKS = dict.fromkeys(VARIANTS, CMR) | {MobileCMR.name: MobileCMR}
"""Classes by name, for what holds before a network is built."""


def _imagenet_weights(backbone: str, pretrained: bool | str | Path) -> Mapping[str, Tensor] | None:
    if pretrained is False:
        return None
    if pretrained is not True:
        path = Path(pretrained)
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected torchvision weights of {backbone} (.pth)")
        weights = read_weight_file(path)
        if not is_state_dict(weights):
            raise InputError(f"{path}: expected a state dict of {backbone}, as torchvision stores it")
        return weights
    try:
        return get_model_weights(backbone.lower()).IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except Exception as error:  # no network, or a damaged file in the cache: anything may be raised
        warnings.warn(
            f"no ImageNet weights for {backbone} ({error}): training from scratch. Put torchvision's file into "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'}, or name one.",
            stacklevel=2,
        )
        return None
