"""From an image and its intrinsics to a hand in camera space: network, registration, and nothing else."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from handmesh.errors import InputError
from handmesh.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD, MESH_SCALE_M, fit_square, to_network_input
from models.cmr import CMR
from models.inference import for_inference
from models.mobile import MobileCMR
from models.outline import silhouette_extents
from models.recording import Recorded
from models.registration import register
from models.reprojection import refine
from utils.template import Template

USUAL_DISTANCE_M = 0.77  # geometric middle of the depths that the registration looks through
RECORDED_KERNELS = "recorded"
HOST_HANDS = 256  # up to so many are registered by the CPU: for a GPU they are a thousand small kernels one by one


@dataclass(frozen=True)
class Hands:
    """What was found in a batch of B crops. Pixels are those of the network's input, metres those of its camera.

    Attributes:
        vertices_m: (B, V, 3) float64, camera space.
        joints_m: (B, 21, 3) float64, camera space, FreiHAND order.
        landmarks_px: (B, 21, 2) float32, arg-max of the heat maps; of the mobile network their means.
        confidence: (B, 21) float32, maxima of the heat maps.
        silhouette: (B, S/2, S/2) float32 probabilities.
        translation_m: (B, 3) float64, position of the wrist's origin in camera space.
        residual_px: (B,) float64 and success: (B,) bool, see `Registration`.
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


class HandPredictor:
    """A network ready to use.

    Args:
        model: in any mode, on any device. What predicts is a copy, rearranged for inference.
        template: the one it was built with.
        size, mean, std: its input.
        precision: arithmetic of the network, see `InferenceCMR`; registration is float64 in any case.
        compiled: see `compile_network`; or `recorded`, see `models.recording`; or `auto`, which is that on a GPU and
            `none` on a CPU.

    Raises:
        InputError: nothing can be recorded on a CPU.
    """

    def __init__(
        self,
        model: CMR | MobileCMR,
        template: Template,
        size: int = INPUT_SIZE_PX,
        mean: float = INPUT_MEAN,
        std: float = INPUT_STD,
        precision: str = "float32",
        compiled: str = "auto",
    ) -> None:
        self.device = next(model.parameters()).device
        on_gpu = self.device.type == "cuda"
        if compiled == "auto":
            compiled = RECORDED_KERNELS if on_gpu else "none"
        recorded = compiled == RECORDED_KERNELS
        if recorded and not on_gpu:
            raise InputError(f"{RECORDED_KERNELS}: a network on a CPU has no kernels to record")
        network = for_inference(model, precision, "none" if recorded else compiled)
        self.mobile = isinstance(model, MobileCMR)
        self.template = template
        self.size, self.mean, self.std = size, mean, std
        self.regressor = torch.from_numpy(template.joint_regressor)
        see = partial(what_is_seen, network, size, self.mobile)
        self._see = Recorded(see) if recorded else see

    def __call__(self, image: np.ndarray, K: np.ndarray) -> Hands:
        """Find the hand that fills a square RGB image.

        Args:
            image: (H, W, 3) uint8; its central square is used.
            K: (3, 3) intrinsics of the image, pixels.

        Returns:
            `Hands` with B = 1; pixels are those of `self.fit(image, K)`.
        """
        crop, crop_K = self.fit(image, K)
        inputs = torch.from_numpy(to_network_input(crop, self.mean, self.std))
        return self.predict(inputs[None], torch.from_numpy(crop_K)[None])

    def fit(self, image: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The central square of an image at the network's size, with its intrinsics."""
        return fit_square(image, K, self.size)

    @torch.inference_mode()
    def predict(self, images: Tensor, K: Tensor, any_distance: bool = False) -> Hands:
        """Predict a batch.

        Args:
            images: (B, 3, S, S) normalised.
            K: (B, 3, 3) intrinsics of these crops.
            any_distance: look for the depth from about 0.4 to 2.6 times the one at which a hand has the size it has
                in the image, instead of from 0.3 to 2 m.
        """
        seen = self._see(images.to(self.device, non_blocking=True))
        if len(images) <= HOST_HANDS:
            seen = {name: value.cpu() for name, value in seen.items()}
        found = self._place(seen, K.to(seen["mesh"].device, torch.float64), any_distance)
        return Hands(**{name: value.cpu().numpy() for name, value in found.items()})

    def _place(self, seen: dict[str, Tensor], K: Tensor, any_distance: bool) -> dict[str, Tensor]:
        """The attributes of `Hands`, on the device of what was seen."""
        vertices = seen["mesh"].double() * MESH_SCALE_M
        joints = self.regressor.to(vertices.device) @ vertices
        landmarks, confidence = seen["landmarks_px"], seen["confidence"]
        if self.mobile:  # its landmarks are means, which no peak has to be trusted for; its silhouette is coarse
            trusted, extents = torch.ones_like(confidence), None
        else:
            trusted, extents = confidence, silhouette_extents(seen["silhouette"], self.size)
        unit = _usual_distance(joints, landmarks.double(), K) if any_distance else torch.ones_like(K[:, 0, 0])
        scale = unit[:, None, None]  # a hand twice as large looks the same at twice the distance
        registration = register(vertices * scale, joints * scale, landmarks, trusted, K, self.size, extents)
        if self.mobile:
            registration = refine(registration, joints * scale, landmarks, confidence, K, self.size)
        translation = registration.translation_m / unit[:, None]
        offset = translation[:, None]
        return {
            "vertices_m": vertices + offset,
            "joints_m": joints + offset,
            "translation_m": translation,
            "residual_px": registration.residual_px,
            "success": registration.success,
            **{name: value for name, value in seen.items() if name != "mesh"},
        }


def what_is_seen(model: torch.nn.Module, size: int, mobile: bool, images: Tensor) -> dict[str, Tensor]:
    """All that a network says of images that are registered next, on its device and without waiting for it."""
    output = model(images)
    landmarks, confidence = heatmap_peaks(output["uv_pred"], size)
    return {
        "mesh": output["mesh_pred"][0],
        "landmarks_px": output["landmarks"] if mobile else landmarks,
        "confidence": confidence,
        "silhouette": output["mask_pred"],
        "mirrored": output["mirrored"] if mobile else torch.full_like(confidence[:, 0], torch.nan),
    }


def _usual_distance(joints: Tensor, landmarks_px: Tensor, K: Tensor) -> Tensor:
    """How much larger hands (B, 21, 3) had to be to be at `USUAL_DISTANCE_M`: (B,)."""
    spread_m = joints[..., :2].std(dim=1).norm(dim=-1).clamp(min=1e-3)
    spread_px = landmarks_px.std(dim=1).norm(dim=-1).clamp(min=1)
    return USUAL_DISTANCE_M * spread_px / (K[:, 0, 0] * spread_m)


def heatmap_peaks(heatmaps: Tensor, image_size: int) -> tuple[Tensor, Tensor]:
    """Arg-max (B, J, 2), scaled to the image, and maximum (B, J) of heat maps (B, J, H, W)."""
    height, width = heatmaps.shape[-2:]
    confidence, index = heatmaps.flatten(2).max(dim=-1)
    position = torch.stack([index % width * (image_size / width), index // width * (image_size / height)], dim=-1)
    return position.to(heatmaps.dtype), confidence
