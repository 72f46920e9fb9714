"""What the network sees and says during training, as one picture for TensorBoard."""

import cv2
import numpy as np
import torch
from torch import Tensor

MAX_SAMPLES = 4


def training_overview(batch: dict[str, Tensor], output: dict, mean: float, std: float) -> np.ndarray:
    """One row per sample: input, target and predicted heat maps, target and predicted silhouette.

    Args:
        batch: a training batch.
        output: logits of the network for it.
        mean, std: normalisation of the input.

    Returns:
        (rows * S, 5 * S, 3) uint8.
    """
    rows = []
    with torch.no_grad():
        for sample in range(min(MAX_SAMPLES, len(batch["image"]))):
            image = batch["image"][sample].float().cpu().permute(1, 2, 0).numpy() * std + mean
            size = image.shape[0]
            maps = (
                batch["heatmaps"][sample].amax(0),
                output["uv_pred"][sample].sigmoid().amax(0),
                batch["silhouette"][sample],
                output["mask_pred"][sample].sigmoid(),
            )
            panels = [cv2.resize(panel.float().cpu().numpy(), (size, size)) for panel in maps]
            rows.append(np.concatenate([image, *(np.repeat(panel[..., None], 3, axis=2) for panel in panels)], axis=1))
    return (np.concatenate(rows) * 255).clip(0, 255).astype(np.uint8)
