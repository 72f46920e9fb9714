"""Generated training images that are kept: made in the background while those that are there already are trained on."""

import multiprocessing
import threading
import time
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from datasets.augmentation import HandSample
from datasets.augmented import REFERENCE, AugmentedHands, SampleSettings
from datasets.freihand_rows import check_topology
from datasets.hand_records import hand_record, read_hand
from datasets.loading import MADE_AT_A_TIME, process_context, start_maker
from datasets.store import Record, Store
from datasets.synthesis.generator import TRAINING, GeneratorSettings, HandGenerator
from datasets.synthesis.hand import HAND_FILE
from handmesh.errors import InputError

LOOK_SECONDS = 0.1  # between two looks for new images


class SyntheticPool(AugmentedHands):
    """The training images of the generator, each seen again in every epoch.

    As long as image i is not there, another one stands in for it. Several runs may fill a folder at a time, and one
    that was left incomplete is completed.

    Args:
        folder: where the images are kept, 170 kB each.
        recipe: what decides every byte of the images.
        generated: what the images show.
        samples: how many.
        num_vertices: vertices of the template, which must be the open hand's.
        settings: size, augmentation and seed of the samples.
        makers: processes that generate.

    Raises:
        InputError: the folder holds something else, there is no room, the template is another hand's, or a folder of
            the generator cannot be used.
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
        self.samples, self._ready, self._looked = samples, 0, 0.0
        generator = HandGenerator(generated)
        check_topology(HAND_FILE, len(generator.hand.model_vertices), num_vertices)
        self.store = Store(folder, "generated images", recipe)
        self.failed = process_context().Event()
        missing = self.store.missing(range(samples))
        if missing:
            self.store.reserve(len(missing), _record(generator, missing[0]))  # and all is read and compiled
            chunks = [missing[first : first + MADE_AT_A_TIME] for first in range(0, len(missing), MADE_AT_A_TIME)]
            _start(generator, self.store, [chunks[maker::makers] for maker in range(makers)], self.failed)

    def __len__(self) -> int:
        return self.samples

    @property
    def ready(self) -> int:
        """How many images are there, from the first one on. Raises InputError if no more will be made."""
        if self._ready < self.samples and time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            missing = self.store.missing(range(self._ready, self.samples), limit=1)
            self._ready = missing[0] if missing else self.samples
            if missing and self.failed.is_set():
                raise InputError(
                    f"{self.store.folder}: a process that generates has ended early (see above; otherwise, perhaps for "
                    "want of memory or disk). Start again, perhaps with fewer of them: what is there is kept"
                )
        return self._ready

    def read(self, index: int, epoch: int = 0) -> HandSample:
        """Image `index`, or one that is there. Raises InputError if it is damaged, or as `ready`."""
        parent = multiprocessing.parent_process()
        while not (ready := self.ready):
            if parent is not None and not parent.is_alive():
                raise InputError("the training that this worker belongs to is gone")
            time.sleep(LOOK_SECONDS)
        return read_hand(self.store, index % ready)


def _start(generator: HandGenerator, store: Store, shares: list[list[list[int]]], failed: Event) -> None:
    """Start a process for each share of the missing images, and a thread that tells if one of them fails."""
    makers = [
        process_context().Process(target=_make, args=(generator, store, share), daemon=True)
        for share in shares
        if share
    ]
    for maker in makers:
        maker.start()
    threading.Thread(target=_watch, args=(makers, failed), daemon=True).start()


def _watch(makers: list[BaseProcess], failed: Event) -> None:
    while makers:
        wait([maker.sentinel for maker in makers])
        running = [maker for maker in makers if maker.exitcode is None]
        if any(maker.exitcode for maker in makers if maker not in running):
            failed.set()
        makers = running


def _make(generator: HandGenerator, store: Store, chunks: list[list[int]]) -> None:
    """What a process does: its chunks, one after the other, but for images that another run has made meanwhile."""
    start_maker()
    for chunk in chunks:
        store.write([(index, _record(generator, index)) for index in store.missing(chunk)])


def _record(generator: HandGenerator, index: int) -> Record:
    sample = generator.sample(TRAINING, index)
    return hand_record(sample.image, sample.mask, sample.vertices_m, sample.K, sample.joints_m)
