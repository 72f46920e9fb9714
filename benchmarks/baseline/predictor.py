"""From an image to a mesh in camera space, one hand at a time, with every intermediate result on the host."""

import numpy as np
import torch

from benchmarks.baseline.network import PlainCMR
from benchmarks.baseline.registration import register_with_slsqp
from handmesh.geometry import INPUT_MEAN, INPUT_SIZE_PX, INPUT_STD, MESH_SCALE_M, fit_square, to_network_input
from handmesh.outline import predicted_contour
from models.cmr import CMR
from utils.template import Template


class PlainPredictor:
    """What `models.predictor.HandPredictor` does; the network runs in float32 on the device of the model."""

    def __init__(self, model: CMR, template: Template) -> None:
        self.model = PlainCMR(model, template).eval()
        self.template = template
        self.device = next(model.parameters()).device

    @torch.no_grad()
    def __call__(self, image: np.ndarray, K: np.ndarray) -> np.ndarray:
        """RGB uint8 image (H, W, 3) and its intrinsics (3, 3) to vertices (V, 3), metres, camera frame."""
        crop, crop_K = fit_square(image, K, INPUT_SIZE_PX)
        inputs = torch.from_numpy(to_network_input(crop, INPUT_MEAN, INPUT_STD))[None].to(self.device)
        output = self.model(inputs)
        vertices = output["mesh_pred"][0][0].cpu().numpy().astype(np.float64) * MESH_SCALE_M
        landmarks, confidence = [], []
        for heatmap in output["uv_pred"][0].cpu().numpy():
            row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
            landmarks.append([column * INPUT_SIZE_PX / heatmap.shape[1], row * INPUT_SIZE_PX / heatmap.shape[0]])
            confidence.append(heatmap.max())
        contour = predicted_contour(output["mask_pred"][0].cpu().numpy(), INPUT_SIZE_PX)
        translation = register_with_slsqp(
            vertices,
            self.template.joint_regressor @ vertices,
            np.array(landmarks),
            np.array(confidence),
            crop_K,
            INPUT_SIZE_PX,
            None if contour is None else contour[:, 0],
        )
        return vertices + translation
