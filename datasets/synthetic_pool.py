"""Generated training images that are kept: made in the background while those that are there already are trained on."""

import fcntl
import multiprocessing
import os
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO

import numpy as np

from datasets.augmentation import HandSample
from datasets.augmented import REFERENCE, AugmentedHands, SampleSettings
from datasets.cache import CachedHands, checksum, new_arrays, require_room
from datasets.freihand_files import check_topology
from datasets.loading import MADE_AT_A_TIME, start_maker
from datasets.synthesis.camera import IMAGE_SIZE_PX
from datasets.synthesis.generator import TRAINING, GeneratorSettings, HandGenerator
from datasets.synthesis.hand import HAND_FILE
from handmesh.errors import InputError
from handmesh.files import read_json, write_json

RECIPE, STATES = "pool.json", "states"
MISSING, DONE = range(2)
LOOK_SECONDS = 0.1  # between two looks for the first images
LOCK_SECONDS = 10  # in which the workers of a run that was killed have ended


class SyntheticPool(AugmentedHands):
    """The training images of the generator, each seen again in every epoch. Sample i is that of `--phase synth`.

    As long as image i is not there, another one stands in for it. A pool that was left incomplete is completed.

    Args:
        folder: where the images are kept, 165 kB each.
        recipe: what decides every byte of the images.
        generated: what the images show.
        samples: how many.
        num_vertices: vertices of the template, which must be the open hand's.
        settings: size, augmentation and seed of the samples.
        makers: processes that generate.

    Raises:
        InputError: the folder holds something else or is being filled by another run, there is no room, the template is
            another hand's, or a folder of the generator cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        recipe: dict,
        generated: GeneratorSettings,
        samples: int,
        num_vertices: int,
        settings: SampleSettings,
        makers: int,
    ) -> None:
        super().__init__(settings)
        self.in_threads = settings.pixels != REFERENCE
        self.folder, self.samples, self.process = folder, samples, os.getpid()
        generator = HandGenerator(generated)
        check_topology(HAND_FILE, len(generator.hand.model_vertices), num_vertices)
        shapes = _shapes(samples, num_vertices)
        self.lock = _locked(folder)
        mapped = _opened(folder, recipe, shapes)
        self.states = np.asarray(mapped[STATES])
        self.source = CachedHands(folder, growing=True)
        self.complete_chunks, self.looked = 0, time.monotonic()
        missing = np.flatnonzero(self.states == MISSING)
        # The files take no room until they are written to, and a full disk then ends a process at once.
        require_room(folder, shapes, share=len(missing) / len(self.states))
        if len(missing):
            generator.prepare()
        context = multiprocessing.get_context("fork")  # textures, lights and compiled code are there already
        self.makers: list[tuple[multiprocessing.Process, np.ndarray]] = []  # with the chunks that each makes
        for maker in range(min(makers, len(missing))):
            chunks = missing[maker::makers]
            process = context.Process(target=_make, args=(generator, mapped, chunks, self.lock), daemon=True)
            process.start()
            self.makers.append((process, chunks))

    def __len__(self) -> int:
        return self.samples

    @property
    def ready(self) -> int:
        """How many images are there, from the first one on. Raises InputError if no more will be made."""
        complete = self.complete_chunks
        while complete < len(self.states) and self.states[complete] == DONE:
            complete += 1
        self.complete_chunks = complete  # at once: threads read this as well
        if complete < len(self.states) and time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            self._look_after_makers()
        return min(complete * MADE_AT_A_TIME, self.samples)

    def _look_after_makers(self) -> None:
        ended = wait([process.sentinel for process, _ in self.makers], 0)
        for process, chunks in self.makers:
            if process.sentinel in ended and (self.states[chunks] != DONE).any():
                raise InputError(
                    f"{self.folder}: a process that generates has ended early (see above; otherwise, perhaps for want "
                    "of memory or disk). Start again, perhaps with fewer --makers: what is there is kept"
                )
        if os.getpid() != self.process and os.getppid() != self.process:
            raise InputError("the training that this worker belongs to is gone")

    def read(self, index: int, epoch: int = 0) -> HandSample:
        """Image `index`, or one that is there. Raises InputError if the pool is damaged there, or as `ready`."""
        while not (ready := self.ready):
            time.sleep(LOOK_SECONDS)
        return self.source.read(index % ready)


def _shapes(samples: int, num_vertices: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Arrays as `CachedHands` reads them, and which images are there."""
    side = IMAGE_SIZE_PX
    return {
        "images": ((samples, side, side, 3), np.uint8),
        "masks": ((samples, (side * side + 7) // 8), np.uint8),
        "vertices": ((samples, num_vertices, 3), np.float32),
        "K": ((samples, 3, 3), np.float64),
        "xyz": ((samples, 21, 3), np.float64),
        "checksums": ((samples,), np.uint32),
        STATES: ((-(-samples // MADE_AT_A_TIME),), np.uint8),
    }


def _locked(folder: Path) -> IO:
    """Keeps other runs away from a folder as long as it is open."""
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_own(folder)
        lock = path.open("w")
    except OSError as error:
        raise InputError(f"--cache {folder}: cannot write here ({error.strerror}); name another folder") from error
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise InputError(f"--cache {folder}: another run is filling it; name another folder") from error
            time.sleep(LOOK_SECONDS)
        except OSError as error:
            raise InputError(f"--cache {folder}: cannot be locked ({error.strerror}); name another folder") from error


def _require_own(folder: Path) -> None:
    """Raises InputError if a folder holds what is not a pool's."""
    path = folder / RECIPE
    if path.is_file():
        found = read_json(path, "the recipe of generated images")
        own = isinstance(found, dict) and isinstance(found.get("recipe"), dict) and "made" in found
    else:
        own = all(other.name == ".lock" or other.name.startswith(f".{RECIPE}.") for other in folder.iterdir())
    if not own:
        raise InputError(f"--cache {folder}: holds something else; name another folder")


def _opened(folder: Path, recipe: dict, shapes: dict) -> dict[str, np.ndarray]:
    """The arrays of a pool, mapped for writing; made first where it is new."""
    path = folder / RECIPE
    found = read_json(path, "the recipe of generated images") if path.is_file() else None
    if found is not None and found["recipe"] != recipe:
        names = recipe.keys() | found["recipe"].keys()
        changed = sorted(name for name in names if found["recipe"].get(name) != recipe.get(name))
        raise InputError(f"--cache {folder}: was made with another {', '.join(changed)}; name another folder")
    if found is None or not found["made"]:
        write_json(path, {"recipe": recipe, "made": False})
        new_arrays(folder, shapes)
        write_json(path, {"recipe": recipe, "made": True})
    try:
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r+", allow_pickle=False) for name in shapes}
    except (OSError, ValueError) as error:
        raise InputError(f"--cache {folder}: cannot be read ({error}); delete it, it will be made anew") from error


def _make(generator: HandGenerator, arrays: dict[str, np.ndarray], chunks: np.ndarray, lock: IO) -> None:
    """What a process does: its chunks, one after the other."""
    start_maker()
    lock.close()  # the main process keeps it
    samples = len(arrays["images"])
    for chunk in chunks:
        for index in range(chunk * MADE_AT_A_TIME, min((chunk + 1) * MADE_AT_A_TIME, samples)):
            _store(generator, arrays, index)
        arrays[STATES][chunk] = DONE


def _store(generator: HandGenerator, arrays: dict[str, np.ndarray], index: int) -> None:
    sample = generator.sample(TRAINING, index)
    image, mask, vertices = sample.image, np.packbits(sample.mask > 0), sample.vertices_m.astype(np.float32)
    arrays["images"][index], arrays["masks"][index], arrays["vertices"][index] = image, mask, vertices
    arrays["K"][index], arrays["xyz"][index] = sample.K, sample.joints_m
    arrays["checksums"][index] = checksum(image, mask, vertices)
