"""What augmentation does to pixels, on the device of the network: a whole batch at a time, and the training targets."""

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.heatmaps import landmark_heatmaps

LABELS = ("mesh", "landmarks_px", "mirrored", "joints", "has_mask")  # that no augmentation of pixels changes


def warp_batch(planes: Tensor, affine: Tensor, window_px: Tensor, size: int) -> Tensor:
    """Images and masks of `datasets.augmentation.augment` with one interpolation instead of two.

    Args:
        planes: (B, C, H, H) uint8.
        affine: (B, 2, 3), pixel of the source to pixel of the result.
        window_px: (B, 4), see `Augmentation.window_px`.
        size: of the result.

    Returns:
        (B, C, size, size) float32, grey levels.
    """
    bottom = affine.new_tensor([0.0, 0.0, 1.0]).expand(len(affine), 1, 3)
    to_source = torch.linalg.inv_ex(torch.cat([affine, bottom], dim=1)).inverse[:, :2].float()
    steps = torch.arange(size, device=planes.device, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # (S, S, 3)
    source = pixels.view(1, -1, 3) @ to_source.mT  # (B, S * S, 2)
    grid = (source * (2 / (planes.shape[-1] - 1)) - 1).view(-1, size, size, 2)
    warped = F.grid_sample(planes.float(), grid, padding_mode="zeros", align_corners=True)
    left, top, right, bottom = window_px[:, :, None, None].unbind(1)
    inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    return warped * inside[:, None]


def jitter_batch(images: Tensor, numbers: Tensor) -> Tensor:
    """`datasets.color.jitter_color` of a batch.

    Args:
        images: (B, 3, S, S), grey levels.
        numbers: (B, 6), see `ColorJitter.numbers`.
    """
    brightness, before, after, saturation, sextants, in_hsv = numbers[:, :, None, None, None].unbind(1)
    images = (images + brightness) * before
    clipped = images.clamp(0, 255)
    value, lowest = clipped.amax(1, keepdim=True), clipped.amin(1, keepdim=True)
    red, green, blue = clipped.split(1, dim=1)
    spread = value - lowest
    per_spread = 1 / spread.clamp(min=1e-6)
    hue = torch.where(value == green, 2 + (blue - red) * per_spread, (green - blue) * per_spread)
    hue = torch.where(value == blue, 4 + (red - green) * per_spread, hue)
    corner = hue + sextants + hue.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)
    corner = corner - torch.floor(corner / 6) * 6
    spread = torch.minimum(spread * saturation, value)
    turned = value - spread * torch.minimum(corner, 4 - corner).clamp(0, 1)
    return (torch.where(in_hsv > 0, turned, images) * after).clamp(0, 255)


def augment_batch(planes: Tensor, affine: Tensor, window_px: Tensor, color: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Images (B, 3, S, S), channels last, and masks (B, S, S), in grey levels; see `warp_batch` and `jitter_batch`."""
    at_a_time = 2 if planes.device.type == "cpu" else len(planes)  # what is computed on the way fits a CPU's cache
    images, masks = [], []
    for *places, jitter in zip(*(part.split(at_a_time) for part in (planes, affine, window_px, color)), strict=True):
        warped = warp_batch(*places, size)
        images.append(jitter_batch(warped[:, :3], jitter).contiguous(memory_format=torch.channels_last))
        masks.append(warped[:, 3])
    return torch.cat(images), torch.cat(masks)


def finish_batch(batch: dict[str, Tensor], size: int, mean: float, std: float) -> dict[str, Tensor]:
    """From what data workers hand over to what a training step takes, on the device of the batch.

    Args:
        batch: `landmarks_px` (B, 21, 2), `mesh` (B, V, 3) and `mirrored` (B,), where labels may be missing also
            `joints` (B, 21, 3) and `has_mask` (B,), with one of
            `planes` (B, 4, H, H) uint8, `affine`, `window_px` and `color`: still to be augmented;
            `image` (B, 3, S, S) and `silhouette` (B, S/2, S/2): augmented by the reference.
        size, mean, std: of the network's input.

    Returns:
        `image` (B, 3, S, S), channels last; the labels, `heatmaps` (B, 21, S/2, S/2) and `silhouette`
        (B, S/2, S/2) in [0, 1].
    """
    finished = {name: batch[name] for name in LABELS if name in batch}
    finished["heatmaps"] = landmark_heatmaps(batch["landmarks_px"], size)
    if "planes" in batch:
        images, masks = augment_batch(*(batch[name] for name in ("planes", "affine", "window_px", "color")), size)
        finished["image"] = images.mul_(1 / (255 * std)).sub_(mean / std)
        finished["silhouette"] = F.avg_pool2d(masks, 2) / 255
    else:
        finished["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
        finished["silhouette"] = batch["silhouette"]
    return finished
