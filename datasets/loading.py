"""Batches of samples, made ahead of the training step by threads or processes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import cv2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

AHEAD = 2  # batches of each worker that may wait to be taken

Key = tuple[int, int]  # epoch and index of a sample
Batch = dict[str, Tensor]


def load_batches(
    dataset: Dataset,
    batches: Sampler[list[Key]] | list[list[Key]],
    workers: int,
    pin_memory: bool = False,
    collate: Callable[[list], Batch] = default_collate,
) -> Iterator[Batch]:
    """The batches of a dataset, in order.

    Args:
        dataset: whose `in_threads` says whether threads can make its samples at the same time, that is by code that
            releases Python's lock. They hand a batch over as it is; what processes make is copied, which takes longer
            than making it.
        batches: keys of each batch.
        workers: how many threads or processes; 0: made when it is asked for.
        pin_memory: put batches where a GPU can fetch them.
        collate: how threads make a batch of samples. Processes, and `workers=0`, use `default_collate`: what they make
            is copied, and finished later.
    """
    if workers and dataset.in_threads:
        return _by_threads(dataset, batches, workers, pin_memory, collate)
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        multiprocessing_context="fork" if workers else None,  # generators share what they have read
    )
    return iter(loader)


def _by_threads(
    dataset: Dataset,
    batches: Iterable[list[Key]],
    workers: int,
    pin_memory: bool,
    collate: Callable[[list], Batch],
) -> Iterator[Batch]:
    cv2.setNumThreads(0)  # the threads here are as many as were asked for

    def make(keys: list[Key]) -> Batch:
        batch = collate([dataset[key] for key in keys])
        return {name: value.pin_memory() for name, value in batch.items()} if pin_memory else batch

    remaining = iter(batches)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="samples")
    try:
        waiting: deque[Future] = deque(pool.submit(make, keys) for keys in islice(remaining, AHEAD * workers))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(make, keys) for keys in islice(remaining, 1))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def start_worker(_worker: int) -> None:
    """Data workers are many: one OpenCV thread each. In a process group of their own they are spared the Ctrl-C and
    the SIGTERM that a terminal, `timeout` or a job script sends to the whole group: it is for the main process to act
    on them, and it still needs its workers to finish the step."""
    cv2.setNumThreads(0)
    os.setpgrp()
