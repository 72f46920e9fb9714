"""What options must be: each by itself, for the phase, and beside each other."""

import math
import os
from pathlib import Path
from typing import Any

from options.options import DATASETS, FIT_MANO, GENERATOR_FOLDERS, OPTIONS, SCORE, TRAIN, Options, value_type

WORKERS_PER_CORE = 4  # each holds a copy of the program in memory, and more of them make nothing faster
LONGEST_NAME = 200  # bytes; file systems take 255, and files of a run add to its name


def input_error(message: str) -> Exception:
    """An `InputError`, from a package that --help need not wait for."""
    from handmesh.errors import InputError

    return InputError(message)


def check_value(name: str, value: Any, source: str = "") -> None:
    """Raise InputError for a value of the wrong type or out of range; `source` says where it was found."""
    about, kind = OPTIONS[name].metadata, value_type(name)
    label = f"{source}--{name}"
    if value is None and OPTIONS[name].default is None:
        return
    if isinstance(value, tuple) and about["nargs"] is None:
        raise input_error(f"{label}: expected one value, not {len(value)}")
    values = value if isinstance(value, tuple) else (value,)
    if isinstance(about["nargs"], int) and len(values) != about["nargs"]:
        raise input_error(f"{label}: expected {about['nargs']} values, not {len(values)}")
    for one in values:
        if not isinstance(one, (int, float) if kind is float else kind) or (isinstance(one, bool) and kind is not bool):
            raise input_error(f"{label}: {one!r} is not of type {kind.__name__}")
        if one == "":
            raise input_error(f"{label} is empty: give it a value or leave it out")
        if about["choices"] is not None and one not in about["choices"]:
            raise input_error(f"{label} {one}: expected one of {', '.join(about['choices'])}")
        if about["limits"] is not None and not about["limits"][0] <= one <= about["limits"][1]:
            lowest, highest = about["limits"]
            expected = f"from {lowest:g} to {highest:g}" if highest < math.inf else f"of at least {lowest:g}"
            raise input_error(
                f"{label} {one}: expected a number {expected}"
                + (", or leave the option out" if OPTIONS[name].default is None else "")
            )
        if about["multiple_of"] > 1 and one % about["multiple_of"]:
            raise input_error(f"{label} {one}: expected a multiple of {about['multiple_of']}")


def check_phase(options: Options) -> None:
    """Raise InputError for an option of another phase."""
    for name in sorted(options.given):
        phases = OPTIONS[name].metadata["phases"]
        if options.phase not in phases:
            raise input_error(
                f"--{name} belongs to --phase {' and --phase '.join(phases)}; --phase {options.phase} does not use it"
            )


def check_datasets(options: Options) -> None:
    """Raise InputError unless the data sets are known ones, each with a share."""
    names = []
    for part in options.dataset:
        name, colon, share = part.partition(":")
        if name not in DATASETS or name in names:
            raise input_error(f"--dataset {part}: expected some of {', '.join(DATASETS)}, each once")
        try:
            usable = not colon or 0 < float(share) < math.inf
        except ValueError:
            usable = False
        if not usable:
            raise input_error(f"--dataset {part}: expected NAME or NAME:SHARE, with a share above 0")
        names.append(name)


def check_checkpoint(options: Options) -> None:
    """Raise InputError if the network's file is not there."""
    path = options.checkpoint
    if path is not None and not path.is_file():
        raise input_error(f"{path}: no such checkpoint; train one, or name a file with --resume")


def check_rules(options: Options) -> None:
    """Raise InputError for options that contradict each other; what a checkpoint brings is in `options` already."""
    given, phase, name = options.given, options.phase, options.exp_name
    cores = os.cpu_count() or 1
    generator = [f"--{one}" for one in sorted((GENERATOR_FOLDERS | {"hand", "hand_px"}) & given)]
    rules = [
        (
            Path(name).name != name or name in ("", ".", ".."),
            f"--exp_name {name}: expected a name without slashes; --out_dir takes a folder",
        ),
        (
            len(os.fsencode(name)) > LONGEST_NAME,
            f"--exp_name: {len(os.fsencode(name))} bytes long, expected at most {LONGEST_NAME}; files get its name",
        ),
        *(
            (
                getattr(options, workers) > WORKERS_PER_CORE * cores,
                f"--{workers} {getattr(options, workers)}: expected at most {WORKERS_PER_CORE * cores}, "
                f"{WORKERS_PER_CORE} for each core of this machine",
            )
            for workers in ("workers", "makers")
        ),
        (
            options.device == "cpu" and "device_idx" in given,
            "--device_idx names a CUDA device: leave it out, or use --device cuda",
        ),
        (phase == SCORE and options.pred is None, "--phase score needs --pred: the prediction to score"),
        (phase == FIT_MANO and options.pred is None, "--phase fit_mano needs --pred: the hands to fit MANO to"),
        (
            phase == FIT_MANO and not options.template.endswith(".pkl"),
            "--phase fit_mano needs --template MANO_RIGHT.pkl, the model to fit",
        ),
        (phase == SCORE and options.gt is None, "--phase score needs --gt: the folder with evaluation_xyz.json"),
        (
            options.weights_only and options.resume in (None, "last"),
            "--weights_only needs --resume FILE, the weights to start from",
        ),
        *(
            (
                paper in given and options.model == "cmr_mobile",
                f"--{paper} is for the paper's networks, and cmr_mobile has its own: leave it out",
            )
            for paper in ("backbone", "att", "pos_aug")
        ),
        *(
            (
                trunk in given and options.model != "cmr_mobile",
                f"--{trunk} is for the trunk of cmr_mobile, and {options.model} has none: leave it out",
            )
            for trunk in ("trunk_lr", "trunk_steps")
        ),
        (
            phase == TRAIN
            and options.model == "cmr_mobile"
            and options.resume is None
            and (options.img_mean, options.img_std) != (0, 1),
            "cmr_mobile takes colours from 0 to 1: add --img_mean 0 --img_std 1",
        ),
        (options.hand_px[0] > options.hand_px[1], "--hand_px: expected the smaller size first"),
        *(
            (
                options.stream > 0 and other in given,
                f"--{other}: this run generates its images (--stream {options.stream}); leave one of them out",
            )
            for other in ("data_dir", "dataset")
        ),
        (
            phase == TRAIN and not options.stream and bool(generator),
            f"{', '.join(generator)}: for images that are generated, with --stream; this run reads its images",
        ),
        (
            "makers" in given and options.pool_dir is None,
            "--makers is for --stream with --cache, where generated images are kept",
        ),
        (
            phase == TRAIN and options.compile == "recorded",
            "--compile recorded is for eval and demo on a GPU; training takes default or cudagraphs",
        ),
    ]
    for broken, message in rules:
        if broken:
            raise input_error(message)
