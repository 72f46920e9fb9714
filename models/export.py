"""A network as an ONNX file: all that `handmesh` needs to find hands with it."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from handmesh.confidence import Calibration
from handmesh.errors import InputError
from handmesh.files import atomic_write
from handmesh.network import Description
from models.cmr import CMR
from models.interface import NamedOutputs, describe
from models.mobile import MobileCMR
from models.onnx_file import store_half_where_exact
from utils.template import Template

OPSET = 18
TOLERANCE = 1e-4  # of an output's largest value
TRIALS = 2  # random batches of each size


def export_network(
    model: CMR | MobileCMR,
    template: Template,
    path: str | Path,
    *,
    size: int,
    mean: float,
    std: float,
    calibration: Calibration | None = None,
) -> None:
    """Write a network, for batches of any size; see `handmesh.network.OnnxNetwork`.

    Args:
        model: in any mode, on any device.
        template, size, mean, std, calibration: see `describe`.

    Raises:
        InputError: the file would not predict the same, or cannot be written; there is none then.
    """
    network = NamedOutputs(copy.deepcopy(model)).eval().cpu()
    content = _converted(network, size)
    store_half_where_exact(content)
    description = describe(model, template, size=size, mean=mean, std=std, calibration=calibration)
    onnx.helper.set_model_props(content, description.to_metadata())
    data = content.SerializeToString()
    _check(data, network, description, Path(path))
    with atomic_write(Path(path)) as file:
        file.write(data)


def _converted(network: NamedOutputs, size: int) -> onnx.ModelProto:
    image = torch.zeros(2, 3, size, size)
    with torch.inference_mode():
        names = list(network(image))
    with _quiet():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=names,
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None  # without dynamo it might be
    content = program.model_proto
    del content.graph.value_info[:]
    for node in content.graph.node:
        del node.metadata_props[:]  # where in the source it comes from, with this machine's paths
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what the exporter says, page after page, about its own progress."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _check(data: bytes, network: NamedOutputs, description: Description, path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    generator = torch.Generator().manual_seed(0)
    for batch in (1, 3) * TRIALS:
        pixels = torch.rand(batch, 3, description.size_px, description.size_px, generator=generator)
        images = (pixels - description.mean) / description.std
        with torch.inference_mode():
            expected = network(images)
        for name, found in zip(names, session.run(names, {"image": images.numpy()}), strict=True):
            wanted = expected[name].numpy()
            off, largest = np.abs(found - wanted).max(), np.abs(wanted).max()
            if not off <= TOLERANCE * largest:  # also where it is not a number
                raise InputError(f"{path}: not written: its {name}, up to {largest:.1e}, would be off by {off:.1e}")
