"""Where training samples come from: a folder in FreiHAND's layout, or the generator."""

from pathlib import Path

from datasets.augmentation import AugmentationSettings
from datasets.augmented import DEVICE, HOST, AugmentedHands, SampleSettings
from datasets.freihand import FreiHANDTraining
from datasets.synthetic import SyntheticTraining
from options import Options
from options.options import GENERATOR_FOLDERS, PROCEDURAL
from synthesis.generator import GeneratorSettings
from utils.errors import InputError


def training_data(options: Options, num_vertices: int, on_gpu: bool = False) -> AugmentedHands:
    """The training set that the options ask for; raises InputError if it cannot be used."""
    pixels = options.augment
    if pixels == "auto":
        pixels = DEVICE if on_gpu else HOST
    augmentation = AugmentationSettings(
        options.pos_aug, options.rot_aug, options.color_aug, options.flip_aug, options.upright_aug
    )
    settings = SampleSettings(options.size, augmentation, options.img_mean, options.img_std, options.seed, pixels)
    if not options.stream:
        unused = [name for name in sorted(GENERATOR_FOLDERS) if getattr(options, name) != PROCEDURAL]
        if unused:
            raise InputError(f"--{unused[0]} is for --stream, and this run reads its images: leave one of them out")
        return FreiHANDTraining(options.data_root, num_vertices, settings, options.cache_dir)
    if options.data_dir is not None:
        raise InputError(f"this run generates its images (--stream {options.stream}): leave --data_dir out")
    return SyntheticTraining(generator_settings(options), options.stream, num_vertices, settings)


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
