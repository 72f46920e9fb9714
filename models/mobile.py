"""CMR small enough for a CPU: silhouette and 2D pose from the maps of a trunk that knows hands, features gathered under
the heat maps of joints and sub-poses, and a spiral decoder.

Where the networks of the paper run a second encoder over heat maps and sub-poses, this one gathers what the maps of the
first point at, and lets joints, sub-poses and the whole image attend to each other.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handmesh.joints import NUM_JOINTS
from handmesh.network import FROM_LANDMARKS, Traits
from models.cmr import Output
from models.hand_trunk import POOLED_CHANNELS, PYRAMID_CHANNELS, HandTrunk
from models.layers import ConvBlock
from models.spiral import decode_levels, mesh_levels
from models.subpose import TIP_PAIRS, WHOLE_FINGERS, SubPoseAggregation
from utils.template import Template

MAP_CHANNELS = (64, 96, 96)  # of the 2D decoder at S/8, S/16 and S/32
STRIDE = 8  # of the finest of these maps
WIDTH, HEADS, LAYERS = 192, 4, 3  # of the attention between joints, sub-poses and image
SHARPNESS = 2.0  # of the shares of a heat map; at 1 what thousands of background pixels add up to draws to the middle
SUB_POSES = TIP_PAIRS + WHOLE_FINGERS


class PyramidDecoder(nn.Module):
    """2D decoder: from the coarsest map up, double, add the trunk's map of that size, 3x3 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            ConvBlock(inputs, outputs, 1, relu=False)
            for inputs, outputs in zip(PYRAMID_CHANNELS, MAP_CHANNELS, strict=True)
        )
        coarser = (*MAP_CHANNELS[1:], None)
        self.narrow = nn.ModuleList(
            nn.Identity() if above in (None, width) else nn.Conv2d(above, width, 1, bias=False)
            for width, above in zip(MAP_CHANNELS, coarser, strict=True)
        )
        self.smooth = nn.ModuleList(ConvBlock(width, width, 3) for width in MAP_CHANNELS)
        self.head = ConvBlock(MAP_CHANNELS[0], NUM_JOINTS + 1, 3, norm=False, relu=False)

    def forward(self, pyramid: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Maps of the trunk, finest first -> maps of `MAP_CHANNELS`, and logits (B, 22, S/8, S/8)."""
        maps: list[Tensor] = []
        for level in reversed(range(len(pyramid))):
            x = self.lateral[level](pyramid[level])
            if maps:
                x = x + F.interpolate(self.narrow[level](maps[0]), scale_factor=2, mode="bilinear")
            maps.insert(0, self.smooth[level](x))
        return maps, self.head(maps[0])


class MobileCMR(nn.Module):
    """Image to silhouette, 2D pose and root-relative mesh; what it returns is as of `CMR`, its maps at S/8.

    Args:
        template: mesh hierarchy with spirals and up-sampling matrices.
        out_channels: widths of the mesh decoder, finest level first.
    """

    name = "cmr_mobile"
    backbone_name = "HandTrunk"
    traits = Traits(margin=1.6, far_margin=2.2, upright=True, knows_sides=True, registration=FROM_LANDMARKS)
    mirrored_share = 0.2  # of the training samples: mirror images, to tell them from the hands that the network knows

    def __init__(self, template: Template, out_channels: Sequence[int]) -> None:
        super().__init__()
        self.trunk = HandTrunk()
        self.decoder = PyramidDecoder()
        self.sub_pose = SubPoseAggregation(SUB_POSES)
        gathered = sum(MAP_CHANNELS) + 2
        self.from_maps = nn.Linear(gathered, WIDTH)
        self.from_image = nn.Sequential(nn.BatchNorm1d(POOLED_CHANNELS), nn.Linear(POOLED_CHANNELS, WIDTH))
        tokens = NUM_JOINTS + len(SUB_POSES) + 1
        self.identity = nn.Parameter(torch.randn(tokens, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.mirrored = nn.Linear(WIDTH, 1)
        self.lift = nn.Linear(tokens, template.num_vertices[-1])
        self.widen = nn.Linear(WIDTH, out_channels[-1])
        blocks, heads = mesh_levels(template, out_channels)
        self.mesh = nn.ModuleDict({"blocks": blocks, "heads": heads})

    def forward(self, images: Tensor, as_logits: bool = False) -> Output:
        """Predict from RGB crops in [0, 1], hands upright.

        Args:
            images: (B, 3, S, S).
            as_logits: return the maps before the sigmoid (what the losses take).

        Returns:
            dict with `mesh_pred`, `uv_pred` (B, 21, S/8, S/8) and `mask_pred` (B, S/8, S/8) as of `CMR.forward`, and
            `landmarks` (B, 21, 2), the means of the heat maps, in pixels of the images; `mirrored` (B,), the
            probability (log odds where `as_logits`) that a hand is of the other side than those the network was
            trained for, so that nothing else said of it holds.
        """
        features = self.trunk(images)
        maps, logits = self.decoder(features.pyramid)
        heat, mask = logits[:, :NUM_JOINTS], logits[:, NUM_JOINTS]
        share = (SHARPNESS * heat.float()).flatten(2).softmax(dim=-1).unflatten(2, heat.shape[2:])  # (B, 21, S/8, S/8)
        landmarks = mean_position(share)
        shares = torch.cat([share, self.sub_pose(share)], dim=1)
        shares = shares / shares.sum(dim=(2, 3), keepdim=True)
        gathered = [mean_position(shares) * 2 - 1]
        for level in maps:
            pixels = level.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H * W, C), as channels-last maps lie in memory
            gathered.append(torch.bmm(shares.flatten(2).to(level.dtype), pixels))
            shares = 4 * F.avg_pool2d(shares, 2)
        tokens = self.from_maps(torch.cat([value.to(heat.dtype) for value in gathered], dim=-1))
        tokens = torch.cat([tokens, self.from_image(features.pooled)[:, None]], dim=1) + self.identity.to(tokens.dtype)
        attended = self.attention(tokens)
        coarse = self.widen(self.lift(attended.transpose(1, 2)).transpose(1, 2))  # (B, V_4, C)
        mirrored = self.mirrored(attended[:, -1]).squeeze(-1)
        output: Output = {
            "mesh_pred": decode_levels(coarse, self.mesh["blocks"], self.mesh["heads"]),
            "uv_pred": heat if as_logits else heat.sigmoid(),
            "mask_pred": mask if as_logits else mask.sigmoid(),
            "landmarks": landmarks * (STRIDE * heat.shape[-1]) - 0.5,
            "mirrored": mirrored if as_logits else mirrored.sigmoid(),
        }
        return output

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Parameters that are trained at a rate of their own."""
        return list(self.trunk.parameters())


def mean_position(shares: Tensor) -> Tensor:
    """Centre (B, J, 2) of maps (B, J, H, W) that sum to one, from 0 to 1 across the image."""
    height, width = shares.shape[2:]
    x = (torch.arange(width, device=shares.device) + 0.5) / width
    y = (torch.arange(height, device=shares.device) + 0.5) / height
    return torch.stack([shares.sum(2) @ x.to(shares.dtype), shares.sum(3) @ y.to(shares.dtype)], dim=-1)
