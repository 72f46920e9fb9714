"""Training samples of hands that a reader takes from files."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from datasets.augmentation import HandSample
from datasets.augmented import AugmentedHands, SampleSettings


class HandReader(Protocol):
    """What a new layout of files has to bring: hands by number."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> HandSample:
        """Hand `index`. Raises InputError if it cannot be read."""


class HandsOfFiles(AugmentedHands):
    """Augmented training samples of files in which labels may be missing.

    Args:
        reader: class of the layout, called with the folder of the data and the number of vertices of the template.
        root, num_vertices: what it is called with.
        settings: size, augmentation and seed of the samples.

    Raises:
        InputError: the reader cannot use the files.
    """

    complete = False

    def __init__(
        self, reader: Callable[[Path, int], HandReader], root: Path, num_vertices: int, settings: SampleSettings
    ) -> None:
        super().__init__(settings)
        self.source = reader(root, num_vertices)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, epoch: int = 0) -> HandSample:
        """Hand `index`, in any epoch. Raises InputError if it cannot be read."""
        return self.source.read(index)
