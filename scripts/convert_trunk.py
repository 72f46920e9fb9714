#!/usr/bin/env python3
"""Convert MediaPipe's hand landmark network to PyTorch: `weights/hand_trunk.pt`, from which `cmr_mobile` starts.

pip install -r requirements-convert.txt; python scripts/convert_trunk.py
"""

import sys
from pathlib import Path

import numpy as np
import tflite
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from handmesh.files import atomic_write  # noqa: E402
from models.hand_trunk import HandTrunk  # noqa: E402

SOURCE = ROOT / "weights/mediapipe/hand_landmark_full.tflite"
TARGET = ROOT / "weights/hand_trunk.pt"
TYPES = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}
CONVOLUTIONS = (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D)


class Network:
    """The operators of a .tflite file with their constants."""

    def __init__(self, path: Path) -> None:
        self.model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
        self.graph = self.model.Subgraphs(0)
        self.operators = [self.graph.Operators(index) for index in range(self.graph.OperatorsLength())]
        half = tflite.BuiltinOperator.DEQUANTIZE
        self.stored = {op.Outputs(0): op.Inputs(0) for op in self.operators if self.kind(op) == half}

    def kind(self, operator: tflite.Operator) -> int:
        return self.model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()

    def constant(self, index: int) -> np.ndarray:
        """A weight, float32; in the file it is stored in half precision."""
        tensor = self.graph.Tensors(self.stored.get(index, index))
        values = np.frombuffer(self.model.Buffers(tensor.Buffer()).DataAsNumpy(), TYPES[tensor.Type()])
        return values.reshape(tensor.ShapeAsNumpy()).astype(np.float32)


def trunk_weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a `HandTrunk`, half precision as the file has it."""
    network, trunk = Network(path), HandTrunk()
    layers = [operator for operator in network.operators if network.kind(operator) in CONVOLUTIONS]
    for layer, convolution in zip(layers, trunk.convolutions(), strict=True):
        weight, bias = network.constant(layer.Inputs(1)), network.constant(layer.Inputs(2))
        # (out, y, x, in), or (1, y, x, channels) where each channel is filtered by itself
        order = (3, 0, 1, 2) if convolution.groups > 1 else (0, 3, 1, 2)
        convolution.weight.data = torch.from_numpy(weight.transpose(order)).reshape(convolution.weight.shape)
        convolution.bias.data = torch.from_numpy(bias).reshape(convolution.bias.shape)
    return {name: value.half() for name, value in trunk.state_dict().items()}


if __name__ == "__main__":
    weights = trunk_weights(SOURCE)
    with atomic_write(TARGET) as file:
        torch.save(weights, file)
    print(f"{TARGET}: {sum(value.numel() for value in weights.values()):,} weights")
