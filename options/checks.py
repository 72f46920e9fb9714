"""Ranges and types of option values, from the command line and from checkpoints alike."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from handmesh.errors import InputError
from options.options import Options, value_type
from utils.mesh.hierarchy import NUM_LEVELS

# Smallest and largest value. The upper bounds keep a slip of the finger from running for hours or for ever.
RANGES: dict[str, tuple[float, float]] = {
    "size": (32, 1024),
    "batch_size": (1, 100_000),
    "accumulate": (1, 4096),
    "epochs": (1, math.inf),
    "max_steps": (0, math.inf),
    "train_samples": (0, 10_000_000),
    "eval_samples": (0, 10_000_000),
    "stream": (0, 10_000_000),
    "lr": (0, 1e30),
    "lr_decay": (0, 1e30),
    "decay_step": (1, math.inf),
    "trunk_lr": (0, 1e3),
    "trunk_samples": (0, 10_000_000),
    "trunk_steps": (0, math.inf),
    "weight_decay": (0, 1e30),
    "save_steps": (1, math.inf),
    "log_steps": (1, math.inf),
    "pos_aug": (0, 100),
    "rot_aug": (0, 180),
    "fov": (1, 170),
    "hand_length_cm": (0, 100),
    "img_mean": (-1e3, 1e3),
    "img_std": (1e-3, 1e3),
    "n_threads": (0, 4096),
    "workers": (0, 1024),
    "makers": (1, 1024),
    "seed": (0, 2**31 - 1),
    "device_idx": (0, 4096),
}
SMALLEST_HAND_PX, LARGEST_HAND_PX = 24, 200  # of 224
LEAST_PER_LEVEL = {"out_channels": 4, "seq_length": 3, "dilation": 1}


def check_values(options: Options, source: str = "") -> None:
    """Raise InputError for a value out of range or of the wrong type; `source` says where it came from."""
    for item in fields(Options):
        value = getattr(options, item.name)
        if value is not None and not _has_type(item.name, value):
            raise InputError(f"{source}--{item.name}: {value!r} is not of type {value_type(item.name).__name__}")
        choices = item.metadata["choices"]
        if value is not None and choices is not None and value not in choices:
            raise InputError(f"{source}--{item.name} {value}: expected one of {', '.join(choices)}")
    for name, (least, most) in RANGES.items():
        value = getattr(options, name)
        if value is not None and not (least <= value <= most and math.isfinite(value)):
            limit = f"at least {least}" if not value >= least else f"a number of at most {most:g}"
            raise InputError(f"{source}--{name} {value}: expected {limit}")
    if options.size is not None and options.size % 32:
        raise InputError(f"{source}--size {options.size}: expected a multiple of 32, the stride of the encoder")
    for name, least in LEAST_PER_LEVEL.items():
        values = getattr(options, name)
        if values is not None and (len(values) != NUM_LEVELS - 1 or min(values) < least):
            raise InputError(f"{source}--{name}: expected {NUM_LEVELS - 1} numbers of at least {least}, finest first")
    if options.hand_px is not None:
        low, high = options.hand_px
        if not SMALLEST_HAND_PX <= low <= high <= LARGEST_HAND_PX:
            raise InputError(
                f"{source}--hand_px {low:g} {high:g}: expected a smaller and a larger size from {SMALLEST_HAND_PX} to "
                f"{LARGEST_HAND_PX}"
            )
    if any(width % 4 for width in options.out_channels or ()):
        raise InputError(f"{source}--out_channels: expected multiples of 4; a width is split into a half and quarters")
    if Path(options.exp_name).name != options.exp_name or options.exp_name in ("", ".", ".."):
        raise InputError(f"--exp_name {options.exp_name}: expected a name without slashes; --out_dir takes a folder")


def _has_type(name: str, value: Any) -> bool:
    kind = value_type(name)
    accepted = (int, float) if kind is float else kind
    values = value if isinstance(value, tuple) else (value,)
    return all(isinstance(one, accepted) and (kind is bool or not isinstance(one, bool)) for one in values)
