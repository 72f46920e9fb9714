"""What augmentation does to pixels, on the device of the network: a whole batch at a time, and the training targets."""

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.heatmaps import PATCH_RADIUS_PX, SIGMA_PX


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


def landmark_heatmaps(landmarks_px: Tensor, image_size: int) -> Tensor:
    """`datasets.heatmaps.landmark_heatmaps` at half size, of a batch (B, J, 2): (B, J, S / 2, S / 2) float32."""
    pixels = landmarks_px.round().nan_to_num(-1)[..., None]  # (B, J, 2, 1)
    outside = PATCH_RADIUS_PX + 1  # as far as it needs to be known: the exponential of large numbers is slow
    offsets = (torch.arange(image_size, device=pixels.device) - pixels).clamp(-outside, outside)
    profile = torch.exp(-offsets.square() / (2 * SIGMA_PX**2)) * (offsets.abs() < outside)
    profile = profile * (pixels >= 0).all(dim=2, keepdim=True)
    profile = ((profile[..., 0::2] + profile[..., 1::2]) / 2).float()
    return profile[:, :, 1, :, None] * profile[:, :, 0, None, :]


def finish_batch(batch: dict[str, Tensor], size: int, mean: float, std: float) -> dict[str, Tensor]:
    """From what data workers hand over to what a training step takes, on the device of the batch.

    Args:
        batch: `landmarks_px` (B, 21, 2), `mesh` (B, V, 3) and `mirrored` (B,) with `pixels` (B, S, S, 3) and `mask`
            (B, S/2, S/2) uint8, or, where the warp is still to be done, with `planes` (B, 4, H, H) uint8, `affine`,
            `window_px` and `color`. A batch of finished samples is returned as it is.
        size, mean, std: of the network's input.

    Returns:
        `image` (B, 3, S, S) channels last, `mesh`, `landmarks_px`, `mirrored`, `heatmaps` (B, 21, S/2, S/2) and
        `silhouette` (B, S/2, S/2), as the samples of `datasets.augmented.AugmentedHands` but for rounding and
        interpolation.
    """
    if "planes" in batch:
        planes = warp_batch(batch["planes"], batch["affine"], batch["window_px"], size)
        image = jitter_batch(planes[:, :3], batch["color"]).contiguous(memory_format=torch.channels_last)
        mask = F.avg_pool2d(planes[:, 3], 2)
    elif "pixels" in batch:
        image, mask = batch["pixels"].permute(0, 3, 1, 2).float(), batch["mask"]
    else:
        return batch
    return {
        "image": image.mul_(1 / (255 * std)).sub_(mean / std),
        **{name: batch[name] for name in ("mesh", "landmarks_px", "mirrored")},
        "heatmaps": landmark_heatmaps(batch["landmarks_px"], size),
        "silhouette": mask / 255,
    }
