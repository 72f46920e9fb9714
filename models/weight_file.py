"""Weight files: read without running any code in them, written whole or not at all."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handmesh.errors import InputError
from handmesh.files import atomic_write


def read_weight_file(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU. Raises InputError if the file is damaged or holds more than data."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive may raise almost anything, and what it says runs over many lines
        raise InputError(
            f"{path}: cannot be read as weights ({type(error).__name__}): it is damaged, or holds more than torch.save "
            "writes of tensors, numbers and text"
        ) from error


def write_weight_file(path: Path, content: Any) -> None:
    """Write what `torch.load` reads. Raises InputError, and leaves the file that is there, if it cannot be written."""
    buffer = io.BytesIO()  # because PyTorch turns the error of a full disk into one that does not say so
    torch.save(content, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def is_state_dict(content: object) -> bool:
    """Whether this maps names to plain tensors."""
    return isinstance(content, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized
        for key, value in content.items()
    )


def check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raise InputError for the first tensor with a value that is not finite."""
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{path}: its weights {name} are not all finite: the file is damaged; take another one")
