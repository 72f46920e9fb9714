"""Reading and running the two networks, `.tflite` files in `weights/mediapipe`."""

import threading
from pathlib import Path

import numpy as np
import torch

from handmesh.errors import InputError
from utils.template import ROOT

FOLDER = ROOT / "weights/mediapipe"
MOST_THREADS = 4  # networks this small are not faster with more


class TFLiteNetwork:
    """A network with one image as input, on the CPU. Threads may share it; they take turns.

    Args:
        name: of a file in `weights/mediapipe`.
        outputs: names of the outputs that are wanted.

    Raises:
        InputError: the file is missing or damaged, or LiteRT is.
    """

    def __init__(self, name: str, outputs: tuple[str, ...]) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter  # only finding hands needs it
        except ImportError as error:
            raise InputError(f"finding hands needs LiteRT ({error}): pip install ai-edge-litert") from error
        path: Path = FOLDER / name
        try:
            interpreter = Interpreter(str(path), num_threads=min(torch.get_num_threads(), MOST_THREADS))
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: cannot be read ({error}); `git checkout weights` restores it") from error
        self.interpreter = interpreter
        self.lock = threading.Lock()
        self.input = interpreter.get_input_details()[0]["index"]
        indices = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}
        self.outputs = [indices[output] for output in outputs]

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The outputs for an RGB image (S, S, 3) uint8 of the network's size."""
        pixels = np.divide(image[None], 255, dtype=np.float32)
        with self.lock:
            self.interpreter.set_tensor(self.input, pixels)
            self.interpreter.invoke()
            return [self.interpreter.get_tensor(index) for index in self.outputs]
