"""Extents of the largest part of a silhouette, for the registration's 1D stage: on the device where the network runs.

On a CPU, OpenCV's contours. On a GPU the same as tensor operations, because waiting for the host costs more than the
work: runs of pixels hand on the largest name among them, along rows and columns in turn, and each name passes on what
it was replaced by.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from handmesh.outline import SILHOUETTE_THRESHOLD, predicted_contour
from models.registration import NUM_AXES, contour_extents, projection_axes

PASSES = 8  # parts that grow together at least double each time


def silhouette_extents(silhouettes: Tensor, image_size: int) -> Tensor:
    """Extents (B, 2, 12) float64 of the largest part of each silhouette; NaN where there is none.

    Args:
        silhouettes: (B, h, w) probabilities.
        image_size: side in pixels of the image whose pixels the extents are in.
    """
    if silhouettes.device.type != "cpu":
        return extents_of_tensors(silhouettes, image_size)
    extents = torch.full((len(silhouettes), 2, NUM_AXES), torch.nan, dtype=torch.float64)
    for row, probability in zip(extents, silhouettes.float().numpy(), strict=True):
        contour = predicted_contour(probability, image_size)
        if contour is not None:
            row.copy_(contour_extents(torch.from_numpy(contour[:, 0])))
    return extents


def extents_of_tensors(silhouettes: Tensor, image_size: int) -> Tensor:
    """`silhouette_extents` without the host. Holes count as filled, and parts hang together across corners."""
    size = (image_size, image_size)
    resized = F.interpolate(silhouettes.float()[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    inside = resized > SILHOUETTE_THRESHOLD
    background = _components(~inside, across_corners=False)
    around = torch.cat([background[:, 0], background[:, -1], background[:, :, 0], background[:, :, -1]], dim=1)
    open_air = torch.zeros(len(inside), image_size**2 + 1, dtype=torch.bool, device=inside.device)
    open_air.scatter_(1, around, True)
    filled = inside | ~open_air.gather(1, background.flatten(1)).view_as(inside)
    names = _components(filled, across_corners=True)
    areas = torch.zeros(len(names), image_size**2 + 1, device=filled.device)
    areas.scatter_add_(1, names.flatten(1), filled.flatten(1).float())
    largest = (names == areas.argmax(dim=1)[:, None, None]) & filled

    # What a row of pixels adds to an extent is at one of its two ends.
    column = torch.arange(image_size, device=filled.device, dtype=torch.float64)
    left = torch.where(largest, column, image_size).amin(dim=2)
    right = torch.where(largest, column, -1.0).amax(dim=2)
    ends = torch.stack([torch.stack([left, right], dim=1), column.expand(len(left), 2, -1)], dim=-1)  # (B, 2, rows, 2)
    along = ends @ projection_axes(filled.device).T
    empty = (right < 0)[:, None, :, None]
    low = along.masked_fill(empty, torch.inf).amin(dim=(1, 2))
    high = along.masked_fill(empty, -torch.inf).amax(dim=(1, 2))
    extents = torch.stack([low, high], dim=1)
    return torch.where(torch.isfinite(extents), extents, torch.nan)


def _components(inside: Tensor, across_corners: bool) -> Tensor:
    """One name, above 0, for all pixels (B, H, W) of a region that are connected; 0 outside of the region.

    A name is the number of a pixel of that name, so that pixels can be asked what their name was replaced by.
    """
    names = torch.arange(1, inside[0].numel() + 1, device=inside.device).view(inside.shape[1:]) * inside
    for _ in range(PASSES):
        before = names.flatten(1)
        for axis in (2, 1):
            for turned in (False, True):
                names = _spread_along(names, inside, axis, turned)
        if across_corners:
            names = F.max_pool2d(names.float(), 3, stride=1, padding=1).long() * inside
        flat = names.flatten(1)
        flat = flat.scatter_reduce(1, (before - 1).clamp(min=0), flat, "amax")
        names = flat.gather(1, (flat - 1).clamp(min=0)).view_as(inside) * inside
    return names


def _spread_along(labels: Tensor, inside: Tensor, axis: int, turned: bool) -> Tensor:
    """Largest label so far in each run of pixels: runs are numbered, and a later one outweighs all labels before."""
    if turned:
        labels, inside = labels.flip(axis), inside.flip(axis)
    weight = (~inside).cumsum(axis) * (labels.shape[1] * labels.shape[2] + 1)
    labels = ((labels + weight).cummax(axis).values - weight) * inside
    return labels.flip(axis) if turned else labels
