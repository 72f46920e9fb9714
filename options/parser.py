"""From the command line to `Options`, with errors that say what to do."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from options.checks import check_checkpoint, check_datasets, check_phase, check_rules, check_value
from options.options import (
    CALL,
    GENERATOR_FOLDERS,
    NOT_KEPT,
    OPTIONS,
    PROCEDURAL,
    TRAIN,
    Options,
    value_type,
)

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
    for name, value in given.items():
        check_value(name, value)
    for name in (GENERATOR_FOLDERS | {"cache"}) & set(given):  # a resumed run may be started from elsewhere
        if given[name] not in (PROCEDURAL, *NOT_KEPT):
            given[name] = str(Path(given[name]).resolve())
    options = Options(**given, given=frozenset(given))
    check_phase(options)
    check_datasets(options)
    check_checkpoint(options)
    if options.phase != TRAIN or options.resume is None:  # otherwise the checkpoint has a say first
        check_rules(options)
    return options


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Camera-space hand mesh recovery: train, evaluate, run on a folder of images, export to ONNX, "
        "score, make data, or fit MANO.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    groups = {name: parser.add_argument_group(title) for name, title in TITLES.items()}
    for name, item in OPTIONS.items():
        about = item.metadata
        settings: dict = {"help": _help(name).replace("%", "%%")}
        if value_type(name) is bool:
            settings |= {"type": _truth, "nargs": "?", "const": True, "metavar": "true|false"}
        else:
            settings |= {"type": value_type(name), "choices": about["choices"], "nargs": about["nargs"]}
            if about["choices"] is None:
                settings["metavar"] = name.upper()
        groups[about["group"]].add_argument(f"--{name}", **settings)
    return parser


def _help(name: str) -> str:
    """What an option is for, and its default."""
    item = OPTIONS[name]
    text, default = item.metadata["help"], item.default
    if default is None:
        return text
    first = "" if item.metadata["belongs_to"] == CALL else "the checkpoint's, else "
    return f"{text} (default: {first}{' '.join(map(str, default)) if isinstance(default, tuple) else default})"


def _truth(text: str) -> bool:
    """A switch's value; the switch alone means true."""
    values = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return values[text.lower()]
