"""Several processes working as one, started by torchrun. One process alone is a group of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT = timedelta(minutes=60)  # others wait while the first process decodes the training data


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is.

    Attributes:
        rank: of this process; the first one writes files and logs.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes of a tensor that all of them have."""
        if self.count == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values / self.count

    def gather(self, value: Any) -> list[Any]:
        """What every process has, in order; empty in all but the first."""
        if self.count == 1:
            return [value]
        gathered = [None] * self.count if self.first else None
        dist.gather_object(value, gathered)
        return gathered or []

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            dist.barrier()


def local_rank() -> int:
    """Which process of this machine this is; decides about the GPU."""
    return int(os.environ.get("LOCAL_RANK", 0))


@contextmanager
def joined_ranks(device: torch.device) -> Iterator[Ranks]:
    """Join the group that torchrun has announced in the environment, if any."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
