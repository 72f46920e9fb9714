#!/usr/bin/env python3
"""Convert MediaPipe's two hand networks to ONNX, `handmesh/data/{palm_detection,hand_landmark}.onnx`, and the trunk of
the second one to PyTorch, `weights/hand_trunk.pt`, from which `cmr_mobile` starts.

    pip download --no-deps mediapipe==0.10.21
    pip install tf2onnx tensorflow-cpu ai-edge-litert torch onnxruntime opencv-python-headless
    python scripts/convert_mediapipe.py mediapipe-0.10.21-*.whl
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from ai_edge_litert.interpreter import Interpreter
from onnx import helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from handmesh.files import atomic_write  # noqa: E402
from models.hand_trunk import HandTrunk  # noqa: E402
from models.onnx_file import store_half_where_exact  # noqa: E402
from scripts.checksums import write_checksums  # noqa: E402

MODULES = {
    "palm_detection": ("palm_detection/palm_detection_full.tflite", {"Identity": "boxes", "Identity_1": "scores"}),
    "hand_landmark": (
        "hand_landmark/hand_landmark_full.tflite",
        {"Identity": "landmarks", "Identity_1": "presence", "Identity_2": "right", "Identity_3": "world"},
    ),
}
OPSET = 18
TOLERANCE = 1e-4  # of the largest value
TRIALS = 5


def to_onnx(tflite: Path, names: Mapping[str, str]) -> onnx.ModelProto:
    """Convert a .tflite file; its input is called `image`, (1, S, S, 3) RGB in [0, 1], its outputs as in `names`."""
    path = tflite.with_suffix(".onnx")
    command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", tflite, "--output", path, "--opset", str(OPSET)]
    subprocess.run(command, check=True, capture_output=True)
    model = onnx.load(path)
    graph = model.graph
    renamed = {graph.input[0].name: "image"} | dict(names)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = renamed[value.name]
    return model


def split_prelu(graph: onnx.GraphProto) -> None:
    """Write PReLU(x) = s x + (1 - s) ReLU(x), the factors as 1 x 1 convolutions of single channels: ONNX Runtime is
    four times as fast with these."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        (source, slope), (result,) = node.input, node.output
        slopes = constants[slope].reshape(-1, 1, 1, 1).astype(np.float32)
        parts = {"relu": (f"{result}/relu", 1 - slopes), "whole": (source, slopes)}
        nodes.append(helper.make_node("Relu", [source], [f"{result}/relu"]))
        for name, (given, factors) in parts.items():
            graph.initializer.append(numpy_helper.from_array(factors, f"{result}/{name}_factors"))
            nodes.append(
                helper.make_node(
                    "Conv",
                    [given, f"{result}/{name}_factors"],
                    [f"{result}/{name}_part"],
                    group=len(factors),
                    kernel_shape=[1, 1],
                )
            )
        nodes.append(helper.make_node("Add", [f"{result}/relu_part", f"{result}/whole_part"], [result]))
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def largest_difference(tflite: Path, model: onnx.ModelProto, names: Mapping[str, str]) -> float:
    """Largest difference of any output on random images, as a share of the output's largest value."""
    interpreter = Interpreter(str(tflite))
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(TRIALS):
        image = rng.random(given["shape"], np.float32)
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            expected = interpreter.get_tensor(detail["index"])
            (found,) = session.run([names[detail["name"]]], {"image": image})
            worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    return worst


def trunk_weights(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    """The state dict of a `HandTrunk`, half precision as the published file has it."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    trunk = HandTrunk()
    layers = [node for node in model.graph.node if node.op_type == "Conv"]
    for layer, convolution in zip(layers, trunk.convolutions(), strict=True):
        weight, bias = (torch.from_numpy(constants[name].copy()) for name in layer.input[1:])
        convolution.weight.data, convolution.bias.data = weight.reshape(convolution.weight.shape), bias
    return {name: value.half() for name, value in trunk.state_dict().items()}


def convert(wheel: Path) -> None:
    """Write all files from MediaPipe's wheel."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        for name, (module, outputs) in MODULES.items():
            tflite = Path(archive.extract(f"mediapipe/modules/{module}", folder))
            model = to_onnx(tflite, outputs)
            if name == "hand_landmark":
                with atomic_write(ROOT / "weights/hand_trunk.pt") as file:
                    torch.save(trunk_weights(model), file)
            split_prelu(model.graph)
            store_half_where_exact(model)
            difference = largest_difference(tflite, model, outputs)
            if difference > TOLERANCE:
                raise SystemExit(f"{name}: differs from LiteRT by {difference:.1e} of the largest value")
            path = ROOT / f"handmesh/data/{name}.onnx"
            with atomic_write(path) as file:
                file.write(model.SerializeToString())
            print(f"{path.name}: {path.stat().st_size >> 10} kB, within {difference:.1e} of LiteRT")
    write_checksums()


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
