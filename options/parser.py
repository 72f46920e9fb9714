"""From the command line to `Options`, with errors that say what to do."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from options.options import Options, stated_default, value_type
from utils.errors import InputError
from utils.mesh.hierarchy import NUM_LEVELS

TITLES = {
    "run": "run",
    "data": "data",
    "model": "model",
    "training": "training and evaluation",
    "augmentation": "augmentation (training)",
}
AT_LEAST = {
    "size": 32,
    "batch_size": 1,
    "epochs": 1,
    "max_steps": 0,
    "lr": 0,
    "lr_decay": 0,
    "decay_step": 1,
    "weight_decay": 0,
    "save_steps": 1,
    "log_steps": 1,
    "pos_aug": 0,
    "rot_aug": 0,
    "n_threads": 0,
    "workers": 0,
    "seed": 0,
    "device_idx": 0,
}


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line. Leaves with status 2 on an unknown option, raises InputError on a contradictory one."""
    namespace = _build_parser().parse_args(arguments)
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(namespace).items()}
    options = Options(**given)
    _check(options, set(given))
    return options


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Camera-space hand mesh recovery: train, evaluate, score, or run on a folder of images.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    groups = {name: parser.add_argument_group(title) for name, title in TITLES.items()}
    for item in fields(Options):
        text = item.metadata["help"]
        if default := stated_default(item.name):
            text += f" (default: {default})"
        settings: dict = {"help": text.replace("%", "%%")}
        if value_type(item.name) is bool:
            settings |= {"type": _truth, "nargs": "?", "const": True, "metavar": "true|false"}
        else:
            settings["type"] = value_type(item.name)
            settings["choices"] = item.metadata["choices"]
            settings["nargs"] = item.metadata["nargs"]
            if settings["choices"] is None:
                settings["metavar"] = item.name.upper()
        groups[item.metadata["group"]].add_argument(f"--{item.name}", **settings)
    return parser


def _truth(text: str) -> bool:
    """A switch's value; the switch alone means true."""
    values = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return values[text.lower()]


def _check(options: Options, given: set[str]) -> None:
    """Raise InputError for values out of range and for options that contradict each other."""
    for name, least in AT_LEAST.items():
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise InputError(f"--{name} {value}: expected at least {least}")
    if options.size is not None and options.size % 32:
        raise InputError(f"--size {options.size}: expected a multiple of 32, the stride of the encoder")
    if options.img_std is not None and options.img_std <= 0:
        raise InputError(f"--img_std {options.img_std}: expected a number above 0")
    if options.rot_aug > 180:
        raise InputError(f"--rot_aug {options.rot_aug}: expected degrees, at most 180")
    for name in ("out_channels", "seq_length", "dilation"):
        values = getattr(options, name)
        if values is not None and (len(values) != NUM_LEVELS - 1 or min(values) < 1):
            raise InputError(f"--{name}: expected {NUM_LEVELS - 1} numbers of at least 1, finest level first")
    if any(width % 4 for width in options.out_channels or ()):
        raise InputError("--out_channels: each width is split into a half and two quarters; expected multiples of 4")
    if options.device == "cpu" and "device_idx" in given:
        raise InputError("--device_idx names a CUDA device: leave it out, or use --device cuda")
    if Path(options.exp_name).name != options.exp_name or options.exp_name in ("", ".", ".."):
        raise InputError(f"--exp_name {options.exp_name}: expected a name without slashes; --out_dir takes a folder")

    if options.phase == "score":
        for name, what in (("pred", "the prediction to score"), ("gt", "the folder with evaluation_xyz.json")):
            if getattr(options, name) is None:
                raise InputError(f"--phase score needs --{name}: {what}")
    else:
        for name in {"pred", "gt"} & given:
            raise InputError(f"--{name} belongs to --phase score; --phase {options.phase} does not use it")
    if options.phase != "demo" and "image_dir" in given:
        raise InputError(f"--image_dir belongs to --phase demo; --phase {options.phase} reads --data_dir")
    if options.phase == "train" and options.resume is not None and "imagenet" in given:
        raise InputError("--imagenet starts new weights and --resume continues old ones: leave one of them out")
