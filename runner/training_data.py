"""Where training samples come from: folders of annotated images, or the generator."""

import hashlib
from pathlib import Path

from datasets import TRAINING_SETS
from datasets.augmentation import AugmentationSettings
from datasets.augmented import DEVICE, AugmentedHands, SampleSettings
from datasets.freihand import FreiHANDTraining
from datasets.mixture import Mixture
from datasets.synthesis.generator import VERSION, GeneratorSettings
from datasets.synthesis.hand import HAND_FILE
from datasets.synthetic import SyntheticTraining
from datasets.synthetic_pool import SyntheticPool
from handmesh.errors import InputError
from options import Options
from options.options import GENERATOR_FOLDERS, PROCEDURAL


def training_data(options: Options, num_vertices: int, mirrored_share: float, upright: bool) -> AugmentedHands:
    """The training set that the options ask for.

    Args:
        num_vertices: vertices of the template.
        mirrored_share: of the samples that are mirrored and show the other hand.
        upright: whether hands are turned upright, see `Traits`.

    Raises:
        InputError: it cannot be used.
    """
    pixels = DEVICE if options.augment == "auto" else options.augment
    augmentation = AugmentationSettings(
        options.pos_aug,
        options.rot_aug,
        options.color_aug,
        mirrored_share,
        upright,
        options.neighbour_aug,
    )
    settings = SampleSettings(options.size, augmentation, options.img_mean, options.img_std, options.seed, pixels)
    if not options.stream:
        unused = [name for name in sorted(GENERATOR_FOLDERS) if getattr(options, name) != PROCEDURAL]
        if unused:
            raise InputError(f"--{unused[0]} is for --stream, and this run reads its images: leave one of them out")
        return _read_data(options, num_vertices, settings)
    if options.data_dir is not None:
        raise InputError(f"this run generates its images (--stream {options.stream}): leave --data_dir out")
    generated = generator_settings(options)
    if options.pool_dir is None:
        return SyntheticTraining(generated, options.stream, num_vertices, settings)
    recipe = generator_recipe(options) | {"samples": options.stream}
    return SyntheticPool(options.pool_dir, recipe, generated, options.stream, num_vertices, settings, options.makers)


def _read_data(options: Options, num_vertices: int, settings: SampleSettings) -> AugmentedHands:
    sources = {}
    for name in options.shares:
        make, arguments = TRAINING_SETS[name], (options.data_folder(name), num_vertices, settings)
        sources[name] = make(*arguments, options.cache_dir(name)) if make is FreiHANDTraining else make(*arguments)
    if len(sources) == 1:
        return next(iter(sources.values()))
    return Mixture(sources, list(options.shares.values()), settings)


def generator_settings(options: Options) -> GeneratorSettings:
    """What the generator shows."""

    def folder(value: str) -> Path | None:
        return None if value == PROCEDURAL else Path(value)

    return GeneratorSettings(
        seed=options.seed,
        skins=folder(options.skins),
        environments=folder(options.hdri),
        backgrounds=folder(options.backgrounds),
        hand_px=options.hand_px,
        left=options.hand == "left",
    )


def generator_recipe(options: Options) -> dict:
    """What decides every byte of an image of the generator. Raises InputError if a folder of it is not there."""
    recipe = {name: getattr(options, name) for name in ("seed", *sorted(GENERATOR_FOLDERS))}
    for name in GENERATOR_FOLDERS:
        folder = Path(recipe[name])
        if recipe[name] != PROCEDURAL:
            if not folder.is_dir():
                raise InputError(f"--{name}: {folder}: no such folder")
            files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
            recipe[name] = [f"{path.name} {path.stat().st_size}" for path in files]
    return recipe | {
        "hand_px": list(options.hand_px),
        "hand": "left" if options.hand == "left" else "right",
        "generator": VERSION,
        "hand_file": hashlib.sha256(HAND_FILE.read_bytes()).hexdigest()[:16],
    }
