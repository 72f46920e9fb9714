"""One factory for every network, with ImageNet weights where they can be had."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from models.cmr import CMR, OUT_CHANNELS, VARIANTS
from models.encoder import BACKBONES, EncoderStage
from models.weight_file import is_state_dict, read_weight_file
from utils.errors import InputError
from utils.template import Template, load_template


def build_model(
    name: str,
    backbone: str,
    template: Template | str | Path,
    att: bool | None = None,
    pretrained: bool | str | Path = False,
    out_channels: Sequence[int] = OUT_CHANNELS,
) -> CMR:
    """Build a network.

    Args:
        name: `cmr_g`, `cmr_pg` or `cmr_sg`.
        backbone: `ResNet18` or `ResNet50`.
        template: a template, or what `utils.template.load_template` makes one from.
        att: attention on the global feature; None takes the network's own choice (not in `cmr_g`).
        pretrained: True starts every encoder from torchvision's ImageNet weights, cached or downloaded, and warns
            and goes on from scratch where neither works; a path reads them from a torchvision `.pth` file.
        out_channels: widths of the mesh decoder, finest level first.

    Raises:
        InputError: an unknown name, or a weight file that cannot be used.
    """
    if name not in VARIANTS:
        raise InputError(f"--model {name}: expected one of {', '.join(VARIANTS)}")
    if backbone not in BACKBONES:
        raise InputError(f"--backbone {backbone}: expected one of {', '.join(BACKBONES)}")
    if not isinstance(template, Template):
        template = load_template(template)
    model = CMR(name, backbone, template, att, out_channels)
    weights = _imagenet_weights(backbone, pretrained)
    if weights is not None:
        for module in model.children():
            if isinstance(module, EncoderStage):
                module.load_imagenet(weights)
    return model


def _imagenet_weights(backbone: str, pretrained: bool | str | Path) -> Mapping[str, Tensor] | None:
    if pretrained is False:
        return None
    if pretrained is not True:
        path = Path(pretrained)
        if not path.is_file():
            raise InputError(f"--imagenet {path}: no such file; expected torchvision weights of {backbone} (.pth)")
        weights = read_weight_file(path)
        if not is_state_dict(weights):
            raise InputError(f"--imagenet {path}: expected a state dict of {backbone}, as torchvision stores it")
        return weights
    try:
        return get_model_weights(backbone.lower()).IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except Exception as error:  # no network, or a damaged file in the cache: anything may be raised
        warnings.warn(
            f"no ImageNet weights for {backbone} ({error}): training from scratch. Put torchvision's file into "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'}, or name one with --imagenet FILE.",
            stacklevel=2,
        )
        return None
