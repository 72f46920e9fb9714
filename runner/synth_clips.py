"""The synth phase with `clips`: videos of moving hands with the truth in every frame."""

from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.loading import maker_processes, start_maker
from datasets.synthesis.clips import sample_clip
from datasets.synthesis.generator import GeneratorSettings, HandGenerator
from handmesh.errors import InputError
from handmesh.files import atomic_write, read_json, remove_leftovers, replaced, write_json
from handmesh.video import VideoWriter
from options import Options
from runner.training_data import generator_recipe, generator_settings

RECIPE = "clips.json"


def synthesize_clips(options: Options) -> None:
    """Write `clips/NUMBER.mp4`, `NUMBER_K.json` and `NUMBER_truth.npz`: `time_s` (T,), `joints_m` (T, 21, 3), `angles`
    (T, D) radians.

    Started again, it goes on where it was.

    Raises:
        InputError: the folder holds other clips, or an input folder cannot be used.
    """
    folder = options.data_root / "clips"
    recipe = generator_recipe(options)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    if (folder / RECIPE).is_file() and read_json(folder / RECIPE, "the recipe of clips") != recipe:
        raise InputError(f"{folder} holds clips made with other settings: choose another --data_dir, or delete it")
    write_json(folder / RECIPE, recipe, indent=2)
    missing = [index for index in range(options.clips) if not _truth(folder, index).is_file()]
    make = partial(write_clip, folder, generator_settings(options))
    workers = min(options.workers, len(missing))
    processes = maker_processes(workers, start_maker) if workers else nullcontext()
    with (
        processes as pool,
        tqdm(total=options.clips, initial=options.clips - len(missing), unit="clip", dynamic_ncols=True) as bar,
    ):
        for _ in map(make, missing) if pool is None else pool.map(make, missing):
            bar.update()
    print(f"{options.clips} clips in {folder}")


def write_clip(folder: Path, settings: GeneratorSettings, index: int) -> None:
    """Write a clip; its truth, the last of its files, says that it is there."""
    frames = list(sample_clip(_generator(settings), index))
    with replaced(folder / f"{index:05d}.mp4") as path:
        video = VideoWriter(path)
        for frame in frames:
            video.write(frame.image, frame.time_s)
        video.close()
    write_json(folder / f"{index:05d}_K.json", frames[0].K.tolist())
    with atomic_write(_truth(folder, index)) as file:
        names = ("time_s", "joints_m", "angles")
        np.savez(file, **{name: np.array([getattr(frame, name) for frame in frames]) for name in names})


def _truth(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}_truth.npz"


@cache
def _generator(settings: GeneratorSettings) -> HandGenerator:
    """The generator of this process."""
    return HandGenerator(settings)
