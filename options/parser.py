"""From the command line to `Options`, with errors that say what to do."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from handmesh.errors import InputError
from options.checks import check_values
from options.options import GENERATOR_FOLDERS, NOT_KEPT, PROCEDURAL, Options, stated_default, value_type

TITLES = {
    "run": "run",
    "data": "data",
    "synthetic": "synthetic data",
    "model": "model",
    "training": "training and evaluation",
    "augmentation": "augmentation (training)",
}


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Parse the command line. Leaves with status 2 on an unknown option, raises InputError on a contradictory one."""
    namespace = _build_parser().parse_args(arguments)
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(namespace).items()}
    for name in (GENERATOR_FOLDERS | {"cache"}) & set(given):  # a resumed run may be started from elsewhere
        if given[name] not in (PROCEDURAL, *NOT_KEPT):
            given[name] = str(Path(given[name]).resolve())
    options = Options(**given)
    check_values(options)
    _check_combination(options, set(given))
    return options


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Camera-space hand mesh recovery: train, evaluate, score, run on a folder of images, or make data.",
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


def _check_combination(options: Options, given: set[str]) -> None:
    """Raise InputError for options that contradict each other."""
    if options.device == "cpu" and "device_idx" in given:
        raise InputError("--device_idx names a CUDA device: leave it out, or use --device cuda")
    if options.phase == "score":
        for name, what in (("pred", "the prediction to score"), ("gt", "the folder with evaluation_xyz.json")):
            if getattr(options, name) is None:
                raise InputError(f"--phase score needs --{name}: {what}")
    else:
        for name in sorted({"pred", "gt"} & given):
            raise InputError(f"--{name} belongs to --phase score; --phase {options.phase} does not use it")
    if options.phase != "demo" and "image_dir" in given:
        raise InputError(f"--image_dir belongs to --phase demo; --phase {options.phase} reads --data_dir")
    for name in sorted({"detect", "fov", "hand_length_cm"} & given):
        if options.phase != "demo":
            raise InputError(f"--{name} belongs to --phase demo; --phase {options.phase} does not use it")
    for name in sorted({"train_samples", "eval_samples"} & given):
        if options.phase != "synth":
            raise InputError(f"--{name} belongs to --phase synth; --phase {options.phase} does not use it")
    if options.phase == "synth" and options.resume is not None:
        raise InputError("--resume belongs to the other phases; --phase synth goes on by itself where it was")
    for name in sorted({"stream", "makers", "cache", "augment", "accumulate"} & given):
        if options.phase != "train":
            raise InputError(f"--{name} belongs to --phase train; --phase {options.phase} does not use it")
    if "makers" in given and options.pool_dir is None and (options.resume is None or options.weights_only):
        raise InputError("--makers is for --stream with --cache, where generated images are kept")
    if options.stream and "data_dir" in given:
        raise InputError("--stream generates the samples and --data_dir reads them: leave one of them out")
    generates = options.phase == "synth" or (options.phase == "train" and (options.stream or options.resume))
    for name in sorted({"skins", "hdri", "backgrounds", "hand", "hand_px"} & given):
        if not generates and not (name == "hand" and options.phase == "demo"):
            raise InputError(f"--{name} belongs to --phase synth, and to --phase train with --stream")
    if options.weights_only and (options.phase != "train" or options.resume in (None, "last")):
        raise InputError("--weights_only is for --phase train with --resume FILE, the weights to start from")
    if options.phase == "train" and options.resume is not None and "imagenet" in given:
        raise InputError("--imagenet starts new weights and --resume continues old ones: leave one of them out")
