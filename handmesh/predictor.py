"""From crops and their intrinsics to hands in camera space: network, registration, and nothing else."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from handmesh.errors import InputError
from handmesh.geometry import MESH_SCALE_M
from handmesh.network import FROM_LANDMARKS, Network
from handmesh.outline import silhouette_extents
from handmesh.registration import Registrar


@dataclass(frozen=True)
class Hands:
    """What was found in a batch of B crops. Pixels are those of the network's input, metres those of its camera.

    Attributes:
        vertices_m: (B, V, 3) float64, camera space.
        joints_m: (B, 21, 3) float64, camera space, FreiHAND order.
        landmarks_px: (B, 21, 2) float32, maxima of the heat maps, or their means where the network says them.
        confidence: (B, 21) float32, maxima of the heat maps.
        silhouette: (B, h, w) float32 probabilities.
        translation_m: (B, 3) float64, position of the wrist's origin in camera space.
        residual_px: (B,) float64 and success: (B,) bool, see `models.registration.Registration`.
        mirrored: (B,) float32, probability that a hand is of the other side than the network knows; NaN where it does
            not say.
    """

    vertices_m: np.ndarray
    joints_m: np.ndarray
    landmarks_px: np.ndarray
    confidence: np.ndarray
    silhouette: np.ndarray
    translation_m: np.ndarray
    residual_px: np.ndarray
    success: np.ndarray
    mirrored: np.ndarray


class CropPredictor:
    """A network with its registration.

    Args:
        network: see `Network`.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.registrar = Registrar(network.description.traits.registration)

    def predict(self, images: np.ndarray, K: np.ndarray) -> Hands:
        """Predict a batch.

        Args:
            images: (B, 3, S, S) float32, normalised.
            K: (B, 3, 3) intrinsics of these crops, pixels.

        Raises:
            InputError: the network predicts values that are not finite.
        """
        description = self.network.description
        seen = self.network(images)
        if not all(np.isfinite(seen[name]).all() for name in ("mesh_pred_0", "uv_pred", "mask_pred")):
            raise InputError(f"{description.name}: predicts values that are not finite; its weights cannot be used")
        vertices = seen["mesh_pred_0"] * np.float64(MESH_SCALE_M)
        joints = description.joint_regressor @ vertices
        landmarks, confidence = heatmap_peaks(seen["uv_pred"], description.size_px)
        inputs: dict[str, Any] = {"joints": joints, "confidence": confidence, "K": K, "image_size": description.size_px}
        if description.traits.registration == FROM_LANDMARKS:
            landmarks = seen["landmarks"]
        else:
            extents = silhouette_extents(seen["mask_pred"], description.size_px)
            inputs |= {"vertices": vertices, "extents_px": extents}
        found = self.registrar(landmarks_px=landmarks, **inputs)
        offset = found["translation_m"][:, None]
        return Hands(
            vertices_m=vertices + offset,
            joints_m=joints + offset,
            landmarks_px=landmarks,
            confidence=confidence,
            silhouette=seen["mask_pred"],
            mirrored=seen.get("mirrored", np.full(len(images), np.nan, np.float32)),
            **found,
        )


def heatmap_peaks(heatmaps: np.ndarray, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Arg-max (B, J, 2), scaled to the image, and maximum (B, J) of heat maps (B, J, H, W)."""
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    index = flat.argmax(axis=-1)
    position = np.stack([index % width * (image_size / width), index // width * (image_size / height)], axis=-1)
    return position.astype(np.float32), np.take_along_axis(flat, index[..., None], axis=-1)[..., 0]
