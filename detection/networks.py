"""Reading and running the two networks, `.tflite` files in `weights/mediapipe`."""

from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from utils.errors import InputError
from utils.template import ROOT

FOLDER = ROOT / "weights/mediapipe"
MOST_THREADS = 4  # networks this small are not faster with more


class TFLiteNetwork:
    """A network with one image as input, on the CPU.

    Args:
        name: of a file in `weights/mediapipe`.
        outputs: names of the outputs that are wanted.

    Raises:
        InputError: the file is missing or damaged.
    """

    def __init__(self, name: str, outputs: tuple[str, ...]) -> None:
        path: Path = FOLDER / name
        try:
            interpreter = Interpreter(str(path), num_threads=min(torch.get_num_threads(), MOST_THREADS))
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: cannot be read ({error}); `git checkout weights` restores it") from error
        self.interpreter = interpreter
        self.input = interpreter.get_input_details()[0]["index"]
        places = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}
        self.outputs = [places[output] for output in outputs]

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The outputs for an RGB image (S, S, 3) uint8 of the network's size."""
        self.interpreter.set_tensor(self.input, np.divide(image[None], 255, dtype=np.float32))
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(place) for place in self.outputs]
