"""The synth phase: a folder in FreiHAND's layout, from the generator."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from datasets.freihand_files import MASK_THRESHOLD
from datasets.freihand_rows import read_rows
from datasets.loading import MADE_AT_A_TIME, maker_processes, start_maker
from datasets.store import Record, Store
from datasets.synthesis.contact_sheet import contact_sheet, labelled
from datasets.synthesis.generator import EVALUATION, TRAINING, HandGenerator, SyntheticSample
from handmesh.errors import InputError
from handmesh.files import atomic_write, read_json, remove_leftovers, write_json, write_json_rows
from handmesh.geometry import project
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from options import Options
from runner.synth_clips import synthesize_clips
from runner.training_data import generator_recipe, generator_settings

STREAMS = {"training": TRAINING, "evaluation": EVALUATION}
SHEET_SAMPLES = 64
MASK_QUALITY = 97
REFERENCE_BONE = (9, 10)  # FreiHAND's scale is the length of the middle finger's first bone
DECIMALS = {"K": 3, "xyz": 6, "verts": 6, "scale": 6}  # of each annotation: a thousandth of a pixel or millimetre
KINDS = ("family", "view", "tone")  # of `SyntheticSample`, in the rows of `SPLIT_kind.json`
RECIPE = "synthetic.json"
DONE = "done"
ROWS = ".rows"  # annotations wait here until all are there


@dataclass(frozen=True)
class Split:
    """A part of the data.

    Attributes:
        root: folder of the data.
        name: of the part, a key of `STREAMS`.
        count: of its samples.
        rows: the annotations that are made. Those of a sample are there when its images are.
    """

    root: Path
    name: str
    count: int
    rows: Store

    def image(self, index: int) -> Path:
        """File of an image."""
        return self.root / self.name / "rgb" / f"{index:08d}.jpg"

    def missing(self) -> list[int]:
        """Samples that are not on disk, whole."""
        absent = set(self.rows.missing(range(self.count)))
        images = ((index, self.image(index)) for index in range(self.count))
        absent |= {index for index, path in images if not path.is_file() or not path.stat().st_size}
        return sorted(absent)


_generator: HandGenerator | None = None  # of this process


def synthesize(options: Options) -> None:
    """Write `training/`, `evaluation/`, their JSON files and `contact_sheet.png` to the data folder.

    Started again, it goes on where it was; a finished folder is left as it is.

    Raises:
        InputError: the folder holds other data, or an input folder cannot be used.
    """
    if options.clips:
        synthesize_clips(options)
        return
    root = options.data_root
    recipe = generator_recipe(options) | {name: getattr(options, name) for name in ("train_samples", "eval_samples")}
    if _is_complete(root, recipe):
        shutil.rmtree(root / ROWS, ignore_errors=True)
        print(f"{root} is complete: nothing to do")
        return
    generator = HandGenerator(generator_settings(options))
    generator.prepare()
    write_json(root / RECIPE, {**recipe, DONE: False}, indent=2)
    for leftover in root.glob(".*.tmp"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    counts = {"training": options.train_samples, "evaluation": options.eval_samples}
    for name, count in counts.items():
        split = Split(root, name, count, Store(root / ROWS / name, "annotations", recipe, renew=True))
        for folder in ("rgb", "mask") if name == "training" else ("rgb",):
            (root / name / folder).mkdir(parents=True, exist_ok=True)
        missing = split.missing()
        with tqdm(total=count, initial=count - len(missing), unit="image", desc=name, dynamic_ncols=True) as bar:
            for made in _made(generator, split, missing, options.workers):
                bar.update(made)
        _write_annotations(split)
        split.rows.close()
    sheet = _sheet(root, "training" if options.train_samples else "evaluation")
    if sheet is not None:
        with atomic_write(root / "contact_sheet.png") as file:
            file.write(cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    write_json(root / RECIPE, {**recipe, DONE: True}, indent=2)
    shutil.rmtree(root / ROWS, ignore_errors=True)
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


def _made(generator: HandGenerator, split: Split, missing: list[int], workers: int) -> Iterator[int]:
    """Make samples; yields how many, as they are on disk."""
    chunks = [missing[first : first + MADE_AT_A_TIME] for first in range(0, len(missing), MADE_AT_A_TIME)]
    if missing:
        split.rows.reserve(len(missing), _row(generator.sample(STREAMS[split.name], missing[0])))
    if workers == 0 or len(chunks) <= 1:
        _start(generator)
        for chunk in chunks:
            yield make_chunk(split, chunk)
        return
    with maker_processes(min(workers, len(chunks)), _start_worker, generator) as pool:
        yield from pool.map(partial(make_chunk, split), chunks)


def _start(generator: HandGenerator) -> None:
    global _generator
    _generator = generator


def _start_worker(generator: HandGenerator) -> None:
    start_maker()
    _start(generator)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def make_chunk(split: Split, indices: list[int]) -> int:
    """Write the images of samples, then their annotations; returns how many samples."""
    rows = []
    for index in indices:
        sample = _generator.sample(STREAMS[split.name], index)
        _write(split.image(index), sample.jpeg)
        if split.name == "training":
            encoded = cv2.imencode(".jpg", sample.mask, [cv2.IMWRITE_JPEG_QUALITY, MASK_QUALITY])[1]
            _write(split.root / split.name / "mask" / f"{index:08d}.jpg", encoded.tobytes())
        rows.append((index, _row(sample)))
    split.rows.write(rows)
    return len(rows)


def _row(sample: SyntheticSample) -> Record:
    first, second = REFERENCE_BONE
    scale = np.linalg.norm(sample.joints_m[second] - sample.joints_m[first])
    kind = np.array([getattr(sample, name) for name in KINDS], "U10")
    return {"K": sample.K, "xyz": sample.joints_m, "verts": sample.vertices_m, "scale": scale, "kind": kind}


def _write_annotations(split: Split) -> None:
    """`SPLIT_{K,xyz,verts,scale,kind}.json`."""
    if not split.count:
        return
    for name, decimals in DECIMALS.items():
        rows = (np.round(split.rows.read(index)[name], decimals).tolist() for index in range(split.count))
        write_json_rows(split.root / f"{split.name}_{name}.json", rows)
    kinds = (split.rows.read(index)["kind"].tolist() for index in range(split.count))
    write_json_rows(split.root / f"{split.name}_kind.json", kinds)


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
