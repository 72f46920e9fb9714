"""The order of the training samples, as a function of the seed alone."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from handmesh.errors import InputError


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) keys, epoch after epoch, from any step of the run on.

    The order of an epoch depends on (seed, epoch) only, so a resumed run sees the samples an uninterrupted one would
    have seen. An incomplete last batch is left out, unless the data does not fill a single one.

    Args:
        num_samples: size of the dataset.
        batch_size: samples per step.
        epochs: number of epochs.
        seed: seed of the order.
        start_step: optimiser steps already done.
        parts: a step's samples come in so many batches (gradient accumulation).
        rank, ranks: which of how many processes this is; each gets its share of every step's samples, whose choice and
            order do not depend on the number of processes.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        epochs: int,
        seed: int,
        start_step: int = 0,
        parts: int = 1,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if num_samples < 1:
            raise InputError("the training data holds no samples")
        if batch_size % (parts * ranks):
            raise InputError(
                f"{batch_size} samples a step cannot be shared by {ranks} processes in {parts} batches each: expected "
                f"a multiple of {parts * ranks}"
            )
        if num_samples < batch_size and parts * ranks > 1:
            raise InputError(f"{num_samples} samples do not fill one step of {batch_size}")
        self.parts, self.rank, self.ranks = parts, rank, ranks
        self.num_samples, self.batch_size, self.epochs, self.seed = num_samples, batch_size, epochs, seed
        self.start_step = start_step
        self.steps_per_epoch = max(1, num_samples // batch_size)

    def __len__(self) -> int:
        return max(0, self.epochs * self.steps_per_epoch - self.start_step) * self.parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first_epoch, skipped = divmod(self.start_step, self.steps_per_epoch)
        for epoch in range(first_epoch, self.epochs):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(self.num_samples, generator=generator).tolist()
            for step in range(skipped if epoch == first_epoch else 0, self.steps_per_epoch):
                batch = order[step * self.batch_size : (step + 1) * self.batch_size]
                own = [(epoch, index) for index in batch[self.rank :: self.ranks]]
                for part in range(self.parts):
                    yield own[part :: self.parts]
