"""CMR: encoder stages, 2D decoders, sub-pose aggregation and spiral mesh decoder, wired three ways.

The attribute names below are the keys of the released checkpoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handmesh.joints import NUM_JOINTS
from handmesh.network import FROM_OUTLINE, Traits
from models.attention import FeatureAttention
from models.encoder import BACKBONES, GLOBAL_CHANNELS, STEM_CHANNELS, EncoderStage
from models.heatmap_decoder import HeatmapDecoder, heatmap_head
from models.spiral import decode_levels, mesh_levels
from models.subpose import TIP_PAIRS, WHOLE_FINGERS, SubPoseAggregation
from utils.template import Template

OUT_CHANNELS = (64, 128, 256, 512)  # mesh decoder widths, finest level first

Output = dict[str, Tensor | list[Tensor]]


@dataclass(frozen=True)
class Stage:
    """One encoder with its 2D branch.

    Attributes:
        encoder: attribute name of the encoder.
        branch: prefix of the 2D branch.
        outputs: the maps it predicts and their number of channels.
        stem_from: which earlier stage's stem a later stage is reduced from; None reads the image.
        prior: which earlier output it is given beside that stem.
        branch_suffix: what follows `_delayer` and `_head`.
    """

    encoder: str
    branch: str
    outputs: tuple[tuple[str, int], ...]
    stem_from: int | None = None
    prior: str | None = None
    branch_suffix: str = ""

    @property
    def decoder(self) -> str:
        return f"{self.branch}_delayer{self.branch_suffix}"

    @property
    def head(self) -> str:
        return f"{self.branch}_head{self.branch_suffix}"

    @property
    def channels(self) -> int:
        return sum(count for _, count in self.outputs)


@dataclass(frozen=True)
class Variant:
    """A network of the paper: its stages, the last of which also gets the sub-poses and predicts the mesh."""

    stages: tuple[Stage, ...]
    sub_poses: tuple[tuple[int, ...], ...]
    attention: bool


FINAL_MAPS = (("uv_pred", NUM_JOINTS), ("mask_pred", 1))
UV_PRIOR = (("uv_prior", NUM_JOINTS),)
UV_PRIOR2 = (("uv_prior2", NUM_JOINTS),)
MASK_PRIOR = (("mask_prior", 1),)

VARIANTS = {
    "cmr_g": Variant(
        stages=(
            Stage("backbone", "uv", UV_PRIOR),
            Stage("backbone_mesh", "uv", FINAL_MAPS, stem_from=0, prior="uv_prior", branch_suffix="2"),
        ),
        sub_poses=TIP_PAIRS + WHOLE_FINGERS,
        attention=False,
    ),
    "cmr_pg": Variant(
        stages=(
            Stage("backbone1", "uv_prior", UV_PRIOR),
            Stage("backbone2", "uv", UV_PRIOR2, stem_from=0, prior="uv_prior"),
            Stage("backbone3", "uvm", FINAL_MAPS, stem_from=0, prior="uv_prior2"),
        ),
        sub_poses=TIP_PAIRS,
        attention=True,
    ),
    "cmr_sg": Variant(
        stages=(
            Stage("backbone1", "mask", MASK_PRIOR),
            Stage("backbone2", "uv", UV_PRIOR, stem_from=0, prior="mask_prior"),
            Stage("backbone3", "uvm", FINAL_MAPS, stem_from=1, prior="uv_prior"),
        ),
        sub_poses=TIP_PAIRS,
        attention=True,
    ),
}


class CMR(nn.Module):
    """Image to silhouette, 2D pose and root-relative mesh.

    Args:
        name: a key of `VARIANTS`.
        backbone: a key of `BACKBONES`.
        template: mesh hierarchy with spirals and up-sampling matrices.
        attention: attention on the global feature; None takes the variant's own choice.
        out_channels: widths of the mesh decoder, finest level first.
    """

    traits = Traits(margin=1.3, far_margin=None, upright=False, knows_sides=False, registration=FROM_OUTLINE)
    mirrored_share = 0.0  # of the training samples: mirror images

    def __init__(
        self,
        name: str,
        backbone: str,
        template: Template,
        attention: bool | None = None,
        out_channels: Sequence[int] = OUT_CHANNELS,
    ) -> None:
        super().__init__()
        self.name, self.backbone_name = name, backbone
        self.variant = VARIANTS[name]
        pyramid = BACKBONES[backbone].channels
        self.sub_pose = SubPoseAggregation(self.variant.sub_poses)

        maps = {name: count for stage in self.variant.stages for name, count in stage.outputs}
        last = self.variant.stages[-1]
        for stage in self.variant.stages:
            reduce_channels = None
            if stage.prior is not None:
                extra = len(self.variant.sub_poses) if stage is last else 0
                reduce_channels = STEM_CHANNELS + maps[stage.prior] + extra
            self.add_module(stage.encoder, EncoderStage(backbone, reduce_channels))
            self.add_module(stage.decoder, HeatmapDecoder(pyramid))
            self.add_module(stage.head, heatmap_head(pyramid[-1], stage.channels))

        use_attention = self.variant.attention if attention is None else attention
        self.attention = FeatureAttention(GLOBAL_CHANNELS) if use_attention else nn.Identity()
        blocks, self.heads = mesh_levels(template, out_channels)
        self.coarsest = (template.num_vertices[-1], out_channels[-1])
        project = nn.Linear(GLOBAL_CHANNELS, self.coarsest[0] * self.coarsest[1])
        self.de_layers = nn.ModuleList([project, *blocks])

    def forward(self, images: Tensor, as_logits: bool = False) -> Output:
        """Predict from normalised RGB crops.

        Args:
            images: (B, 3, S, S), S a multiple of 32, values (rgb / 255 - mean) / std.
            as_logits: return the maps before the sigmoid (what the losses take).

        Returns:
            dict with `mesh_pred`, a list of (B, V_l, 3) meshes, finest first, relative to the wrist, in units of
            0.2 m; `uv_pred` and the variant's `uv_prior`, `uv_prior2` (B, 21, S/2, S/2); `mask_pred` and the
            variant's `mask_prior` (B, S/2, S/2). Maps are probabilities unless `as_logits`.
        """
        stems: list[Tensor] = []
        logits: dict[str, Tensor] = {}
        for stage in self.variant.stages:
            inputs = images
            if stage.prior is not None and stage.stem_from is not None:
                prior = logits[stage.prior].sigmoid()
                joined = [stems[stage.stem_from], prior]
                if stage is self.variant.stages[-1]:
                    joined.append(self.sub_pose(prior))
                inputs = torch.cat(joined, dim=1)
            features = self.get_submodule(stage.encoder)(inputs)
            stems.append(features.stem)
            maps = self.get_submodule(stage.head)(self.get_submodule(stage.decoder)(features.pyramid))
            split = maps.split([count for _, count in stage.outputs], dim=1)
            logits.update(zip((name for name, _ in stage.outputs), split, strict=True))

        output: Output = {"mesh_pred": self.decode_mesh(features.pooled)}
        for name, maps in logits.items():
            maps = maps if as_logits else maps.sigmoid()
            output[name] = maps.squeeze(1) if name.startswith("mask") else maps
        return output

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Parameters that are trained at a rate of their own."""
        return []

    def decode_mesh(self, pooled: Tensor) -> list[Tensor]:
        """Global feature (B, 1000) to the meshes of all levels, finest first: list of (B, V_l, 3)."""
        project, *blocks = self.de_layers
        x = project(self.attention(pooled)).view(-1, *self.coarsest)  # (B, V_4, 512)
        return decode_levels(x, blocks, self.heads)
