"""A second hand behind the one that a sample is about, pasted from another sample (Ghiasi et al., Simple Copy-Paste,
CVPR 2021)."""

from dataclasses import replace

import cv2
import numpy as np

from datasets.augmentation import HandSample, mirror

DISTANCE = (0.4, 1.0)  # between the middles of both outlines, of half of what they measure together
LEFT_SHARE = 0.5  # of right hands' neighbours


def with_neighbour(sample: HandSample, other: HandSample, rng: np.random.Generator) -> HandSample:
    """The sample with the other's hand behind its own, somewhere beside it; as it is where either has no mask."""
    if min(sample.mask.max(), other.mask.max()) <= 127:
        return sample
    if rng.random() < LEFT_SHARE:
        other = mirror(other)
    boxes = np.array([cv2.boundingRect(np.uint8(one.mask > 127)) for one in (sample, other)], np.float64)
    middles, sizes = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(axis=1)
    angle, distance = rng.uniform(0, 2 * np.pi), sizes.mean() * rng.uniform(*DISTANCE)
    shift = middles[0] - middles[1] + distance * np.array([np.cos(angle), np.sin(angle)])
    affine, size = np.column_stack([np.eye(2), shift.round()]), sample.mask.shape[::-1]
    image, mask = (cv2.warpAffine(pixels, affine, size) for pixels in (other.image, other.mask))
    shown = (mask > 127) & (sample.mask <= 127)
    return replace(sample, image=np.where(shown[..., None], image, sample.image))
