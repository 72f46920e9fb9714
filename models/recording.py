"""CUDA graphs: the kernels of a function, recorded once and then started all at once.

For one image a network is hundreds of small kernels. To start them one by one takes a processor longer than the GPU
takes to run them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

WARM_UP_CALLS = 3  # libraries choose and prepare their kernels in the first ones
KEPT = 8  # recordings; each has memory of its own


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: dict[str, Tensor]


class Recorded:
    """A function of CUDA tensors whose kernels are recorded at the second call with arguments of these shapes. For one
    thread at a time.

    Args:
        function: never waits for the GPU, and does the same for all tensors of a shape.
    """

    def __init__(self, function: Callable[..., dict[str, Tensor]]) -> None:
        self.function = function
        self.recordings: dict[tuple, _Recording | None] = {}  # the last used one last; None: called once

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        """What the function returns; the tensors are overwritten by the next call."""
        key = tuple((value.shape, value.dtype) for value in inputs)
        if key not in self.recordings:
            self._keep(key, None)
            return self.function(*inputs)
        with torch.cuda.device(inputs[0].device):
            recording = self.recordings.pop(key) or self._record(inputs)
            self._keep(key, recording)
            for own, given in zip(recording.inputs, inputs, strict=True):
                own.copy_(given)
            recording.graph.replay()
        return recording.outputs

    def _keep(self, key: tuple, recording: _Recording | None) -> None:
        self.recordings[key] = recording
        if len(self.recordings) > KEPT:
            del self.recordings[next(iter(self.recordings))]

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recording:
        own = tuple(value.clone() for value in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                self.function(*own)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            outputs = self.function(*own)
        return _Recording(graph, own, outputs)
