"""The synth phase: a folder in FreiHAND's layout, from the generator."""

import multiprocessing
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from datasets.freihand_files import MASK_THRESHOLD, read_rows
from datasets.loading import MADE_AT_A_TIME, start_maker
from datasets.synthesis.contact_sheet import contact_sheet, labelled
from datasets.synthesis.generator import EVALUATION, TRAINING, HandGenerator
from handmesh.errors import InputError
from handmesh.files import atomic_write, read_json, remove_leftovers, write_json, write_json_rows
from handmesh.geometry import project
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from options import Options
from runner.setup import with_recorded_options
from runner.training_data import generator_recipe, generator_settings

STREAMS = {"training": TRAINING, "evaluation": EVALUATION}
SHEET_SAMPLES = 64
MASK_QUALITY = 97
REFERENCE_BONE = (9, 10)  # FreiHAND's scale is the length of the middle finger's first bone
ANNOTATIONS = ("K", "xyz", "verts", "scale")
RECIPE = "synthetic.json"
DONE = "done"


@dataclass(frozen=True)
class Chunk:
    """Consecutive samples of one split."""

    split: str
    first: int
    last: int

    def rows(self, root: Path) -> Path:
        """Where the annotations of a finished chunk wait for the others."""
        return root / ".rows" / f"{self.split}_{self.first:08d}_{self.last:08d}.npz"


_generator: HandGenerator | None = None  # inherited by forked workers, textures, lights, compiled code and all


def synthesize(options: Options) -> None:
    """Write `training/`, `evaluation/`, their JSON files and `contact_sheet.png` to the data folder.

    Started again, it goes on where it was; a finished folder is left as it is.

    Raises:
        InputError: the folder holds other data, or an input folder cannot be used.
    """
    global _generator
    options = with_recorded_options(options, None)
    root = options.data_root
    recipe = generator_recipe(options) | {name: getattr(options, name) for name in ("train_samples", "eval_samples")}
    if _is_complete(root, recipe):
        shutil.rmtree(root / ".rows", ignore_errors=True)
        print(f"{root} is complete: nothing to do")
        return
    _generator = HandGenerator(generator_settings(options))
    _generator.prepare()
    write_json(root / RECIPE, {**recipe, DONE: False}, indent=2)
    for leftover in (*root.glob(".*.tmp"), *root.glob(".rows/.*.tmp")):  # of a run that was killed
        leftover.unlink()
    counts = {"training": options.train_samples, "evaluation": options.eval_samples}
    for split, count in counts.items():
        chunks = [Chunk(split, first, min(first + MADE_AT_A_TIME, count)) for first in range(0, count, MADE_AT_A_TIME)]
        for folder in ("rgb", "mask") if split == "training" else ("rgb",):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
        missing = [chunk for chunk in chunks if not _is_done(root, chunk)]
        with tqdm(total=count, unit="image", desc=split, dynamic_ncols=True) as bar:
            bar.update(count - sum(chunk.last - chunk.first for chunk in missing))
            for chunk in _made(root, missing, options.workers):
                bar.update(chunk.last - chunk.first)
        _write_annotations(root, split, chunks)
    sheet = _sheet(root, "training" if options.train_samples else "evaluation")
    if sheet is not None:
        with atomic_write(root / "contact_sheet.png") as file:
            file.write(cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    write_json(root / RECIPE, {**recipe, DONE: True}, indent=2)
    shutil.rmtree(root / ".rows", ignore_errors=True)
    print(f"{options.train_samples} training and {options.eval_samples} evaluation samples in {root}")


def _is_complete(root: Path, recipe: dict) -> bool:
    """Whether this recipe's data is all there. Raises InputError if the folder holds anything else."""
    path = root / RECIPE
    remove_leftovers(path)
    if not path.is_file():
        if root.is_dir() and any(root.iterdir()):
            raise InputError(f"{root} holds other data: choose another --data_dir for the synthetic one")
        return False
    found = read_json(path, "the recipe of synthetic data")
    done = found.pop(DONE, False) if isinstance(found, dict) else False
    if found != recipe:
        changed = sorted(name for name in recipe if not isinstance(found, dict) or found.get(name) != recipe[name])
        raise InputError(
            f"{root} holds synthetic data made with another {', '.join(changed)}: choose another --data_dir, "
            "or delete it"
        )
    return done


def _is_done(root: Path, chunk: Chunk) -> bool:
    """Whether the annotations of a chunk can be read and its images are there."""
    try:
        complete = all(len(_read_rows(chunk.rows(root), name)) == chunk.last - chunk.first for name in ANNOTATIONS)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False
    images = (root / chunk.split / "rgb" / f"{index:08d}.jpg" for index in range(chunk.first, chunk.last))
    return complete and all(path.is_file() and path.stat().st_size for path in images)


def _made(root: Path, chunks: list[Chunk], workers: int) -> Iterator[Chunk]:
    """Make the chunks, each yielded when it is on disk."""
    if workers == 0 or len(chunks) <= 1:
        for chunk in chunks:
            yield make_chunk(root, chunk)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, len(chunks)), context, initializer=start_maker) as pool:
        try:
            for future in [pool.submit(make_chunk, root, chunk) for chunk in chunks]:
                yield future.result()
        except BrokenProcessPool as error:
            raise InputError("a worker was killed, perhaps for want of memory: fewer --workers need less") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def make_chunk(root: Path, chunk: Chunk) -> Chunk:
    """Write the images of a chunk, then its annotations; in this order, so that annotations mean it is complete."""
    first, second = REFERENCE_BONE
    rows = {name: [] for name in ANNOTATIONS}
    for index in range(chunk.first, chunk.last):
        sample = _generator.sample(STREAMS[chunk.split], index)
        _write(root / chunk.split / "rgb" / f"{index:08d}.jpg", sample.jpeg)
        if chunk.split == "training":
            encoded = cv2.imencode(".jpg", sample.mask, [cv2.IMWRITE_JPEG_QUALITY, MASK_QUALITY])[1]
            _write(root / chunk.split / "mask" / f"{index:08d}.jpg", encoded.tobytes())
        rows["K"].append(sample.K)
        rows["xyz"].append(sample.joints_m)
        rows["verts"].append(sample.vertices_m)
        rows["scale"].append(np.linalg.norm(sample.joints_m[second] - sample.joints_m[first]))
    with atomic_write(chunk.rows(root)) as file:
        np.savez(file, **{name: np.stack(values) for name, values in rows.items()})
    return chunk


def _write_annotations(root: Path, split: str, chunks: list[Chunk]) -> None:
    """`SPLIT_{K,xyz,verts,scale}.json`, rounded to a thousandth of a millimetre or pixel."""
    if not chunks:
        return
    for name in ANNOTATIONS:
        rows = (row.tolist() for chunk in chunks for row in _read_rows(chunk.rows(root), name))
        write_json_rows(root / f"{split}_{name}.json", rows)


def _read_rows(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as data:
        return np.round(data[name], 3 if name == "K" else 6)


def _sheet(root: Path, split: str) -> np.ndarray | None:
    """Contact sheet of the first samples, read back from disk as a user of the data would."""
    if not (root / f"{split}_K.json").is_file():
        return None
    K, xyz = read_rows(root / f"{split}_K.json", (3, 3)), read_rows(root / f"{split}_xyz.json", (NUM_JOINTS, 3))
    pictures = []
    for index in range(min(SHEET_SAMPLES, len(K))):
        image = read_image(root / split / "rgb" / f"{index:08d}.jpg")
        mask = np.zeros(image.shape[:2], np.uint8)
        if split == "training":
            mask = read_image(root / split / "mask" / f"{index:08d}.jpg", cv2.IMREAD_GRAYSCALE)
        pictures.append(labelled(image, np.uint8(mask > MASK_THRESHOLD), project(xyz[index], K[index])))
    return contact_sheet(pictures)
