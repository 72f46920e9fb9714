"""What a checkpoint says of its training, checked before the training goes on from there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from handmesh.errors import InputError
from models.checkpoint import Checkpoint


@dataclass(frozen=True)
class TrainingRecord:
    """Where a training is.

    Attributes:
        step: steps made.
        num_samples: of its data.
        optimizer: what the optimiser's `state_dict` said; not checked here.
        cpu_rng, cuda_rng: states of PyTorch's random numbers, (n,) uint8, on the CPU and on each GPU.
    """

    step: int
    num_samples: int
    optimizer: Any
    cpu_rng: Tensor
    cuda_rng: tuple[Tensor, ...]


def read_record(checkpoint: Checkpoint) -> TrainingRecord:
    """The record of a checkpoint that says at which step it was saved. Raises InputError if a value is none."""
    training = checkpoint.training
    rng = training.get("rng")
    rng = rng if isinstance(rng, Mapping) else {}
    cuda = rng.get("cuda")
    counts = {"step": 0, "num_samples": 1}
    for name, least in counts.items():
        value = training.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise unusable(checkpoint, f"{name} is {_shown(value)}, expected a whole number of at least {least}")
    if not _is_rng_state(rng.get("cpu")) or not isinstance(cuda, list | tuple) or not all(map(_is_rng_state, cuda)):
        raise unusable(checkpoint, f"rng is {_shown(training.get('rng'))}, expected states of random numbers")
    optimizer = training.get("optimizer_state_dict")
    return TrainingRecord(training["step"], training["num_samples"], optimizer, rng["cpu"], tuple(cuda))


def unusable(checkpoint: Checkpoint, problem: str) -> InputError:
    """The error of a checkpoint whose weights are fine and whose training cannot go on."""
    return InputError(
        f"{checkpoint.path}: its training cannot go on: {problem}; to start a new run from its weights, add "
        "--weights_only"
    )


def _is_rng_state(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8 and value.ndim == 1


def _shown(value: object) -> str:
    """A value that fits a line, or else its type."""
    return repr(value) if value is None or isinstance(value, str | int | float) else f"a {type(value).__name__}"
