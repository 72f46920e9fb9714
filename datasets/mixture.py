"""Several training sets as one, each with its share of every epoch."""

from collections.abc import Mapping, Sequence

import numpy as np

from datasets.augmentation import HandSample
from datasets.augmented import REFERENCE, AugmentedHands, SampleSettings
from handmesh.errors import InputError


class Mixture(AugmentedHands):
    """As many samples an epoch as all sets have together, but in the proportion of the shares.

    Of a set that gets fewer than it has, the next epoch goes on where this one ended; one that gets more begins again.
    Each pass through a set is in a new order, and all follows from seed, epoch and index.

    Args:
        sources: sets with the same settings, by name.
        shares: of each, above 0; only their proportion counts.
        settings: of the samples.

    Raises:
        InputError: images of the sets have different sizes.
    """

    def __init__(
        self, sources: Mapping[str, AugmentedHands], shares: Sequence[float], settings: SampleSettings
    ) -> None:
        super().__init__(settings)
        self.sources = list(sources.values())
        self.complete = all(source.complete for source in self.sources)
        self.in_threads = all(source.in_threads for source in self.sources)
        sides = {name: len(source.read(0).image) for name, source in sources.items()}
        if len(set(sides.values())) > 1 and settings.pixels != REFERENCE:
            found = ", ".join(f"{name} {side}" for name, side in sides.items())
            raise InputError(
                f"data sets with images of different size cannot be mixed ({found} px); resize one of them"
            )
        ends = np.cumsum(shares) / np.sum(shares) * sum(map(len, self.sources))
        self.ends = np.rint(ends).astype(int)  # of each set's samples in an epoch
        self._orders: dict[int, tuple[int, np.ndarray]] = {}  # the last turn of each set, and its order

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, index: int, epoch: int = 0) -> HandSample:
        """The annotated image behind sample (epoch, index). Raises InputError if it cannot be read."""
        number, index = self.place(index, epoch)
        return self.sources[number].read(index, epoch)

    def place(self, index: int, epoch: int) -> tuple[int, int]:
        """Which set sample (epoch, index) is from, and its index there."""
        number = int(np.searchsorted(self.ends, index, side="right"))
        begin = self.ends[number - 1] if number else 0
        taken = epoch * (self.ends[number] - begin) + index - begin  # of this set, since the first epoch
        turn, rest = divmod(int(taken), len(self.sources[number]))
        return number, int(self._order(number, turn)[rest])

    def _order(self, number: int, turn: int) -> np.ndarray:
        kept, order = self._orders.get(number, (None, None))
        if kept != turn:
            order = np.random.default_rng((self.settings.seed, number, turn)).permutation(len(self.sources[number]))
            self._orders[number] = turn, order
        return order
