"""Reading and running the two networks, `.tflite` files in `weights/mediapipe`."""

from pathlib import Path

import cv2
import numpy as np

from utils.errors import InputError
from utils.template import ROOT

FOLDER = ROOT / "weights/mediapipe"


class TFLiteNetwork:
    """A network with one image as input.

    Args:
        name: of a file in `weights/mediapipe`.
        outputs: names of the outputs that are wanted.

    Raises:
        InputError: the file is missing or damaged.
    """

    def __init__(self, name: str, outputs: tuple[str, ...]) -> None:
        path: Path = FOLDER / name
        try:
            # OpenCV's newer engine leaves out all outputs of these networks but one.
            self.network = cv2.dnn.readNetFromTFLite(str(path), cv2.dnn.ENGINE_CLASSIC)
        except cv2.error as error:
            raise InputError(f"{path}: cannot be read ({error.err}); `git checkout weights` restores it") from error
        self.outputs = outputs

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The outputs for an RGB image (S, S, 3) uint8 of the network's size."""
        self.network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255)
        return list(self.network.forward(self.outputs))
