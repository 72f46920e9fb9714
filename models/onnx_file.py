"""ONNX files of half the size."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST_VALUES = 64  # of a tensor that is worth a node of its own


def store_half_where_exact(model: onnx.ModelProto) -> None:
    """Store float32 constants in half precision where that loses nothing, in place. The runtime casts them back when it
    opens the file."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LEAST_VALUES:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half, values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}/half"))
        casts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    for index, node in enumerate(casts):
        graph.node.insert(index, node)
