"""Reading weight files without running any code in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handmesh.errors import InputError


def read_weight_file(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU. Raises InputError if the file is damaged or holds more than data."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive may raise almost anything
        raise InputError(f"{path}: cannot be read as weights ({type(error).__name__}: {error})") from error


def is_state_dict(content: object) -> bool:
    """Whether this maps names to tensors."""
    return isinstance(content, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    )
