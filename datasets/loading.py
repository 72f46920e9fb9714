"""Batches of samples, made ahead of the training step by threads or processes."""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.context import BaseContext
from typing import Any

import cv2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from handmesh.errors import InputError

AHEAD = 2  # batches of each worker that may wait to be taken
MADE_AT_A_TIME = 50  # images that a process generates before others see them

Key = tuple[int, int]  # epoch and index of a sample
Batch = dict[str, Tensor]


def load_batches(
    dataset: Dataset,
    batches: Sampler[list[Key]] | list[list[Key]],
    workers: int,
    for_gpu: bool = False,
) -> Iterator[Batch]:
    """The batches of a dataset, in order.

    Args:
        dataset: whose `in_threads` says whether threads can make its samples at the same time, that is by code that
            releases Python's lock. They hand a batch over as it is; what processes make is copied.
        batches: keys of each batch.
        workers: how many threads or processes; 0: made when it is asked for.
        for_gpu: put batches where a GPU can fetch them. Processes make them in any case: the main thread starts the
            kernels one after the other, and would wait for Python's lock each time.
    """
    if workers and dataset.in_threads and not for_gpu:
        return _by_threads(dataset, batches, workers)
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=for_gpu,
        worker_init_fn=start_worker,
        multiprocessing_context=process_context() if workers else None,
    )
    return iter(loader)


def process_context() -> BaseContext:
    """How processes start: as `multiprocessing.set_start_method` says; otherwise as copies of this one where that is
    safe, on Linux, so that they share the textures and lights that a generator has read."""
    method = multiprocessing.get_start_method(allow_none=True)
    return multiprocessing.get_context(method or ("fork" if sys.platform == "linux" else None))


def _by_threads(dataset: Dataset, batches: Iterable[list[Key]], workers: int) -> Iterator[Batch]:
    cv2.setNumThreads(0)  # the threads here are as many as were asked for

    def make(keys: list[Key]) -> Batch:
        return default_collate([dataset[key] for key in keys])

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


@contextmanager
def maker_processes(count: int, start: Callable, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """Processes that generate, each of which calls `start` first. Raises InputError when one of them is killed."""
    with ProcessPoolExecutor(count, process_context(), initializer=start, initargs=arguments) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise InputError("a worker was killed, perhaps for want of memory: fewer workers need less") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def start_worker(_worker: int) -> None:
    """Data workers are many: one OpenCV thread each. In a process group of their own they are spared the Ctrl-C and
    the SIGTERM that a terminal, `timeout` or a job script sends to the whole group: it is for the main process to act
    on them, and it still needs its workers to finish the step."""
    cv2.setNumThreads(0)
    if hasattr(os, "setpgrp"):
        os.setpgrp()


def start_maker() -> None:
    """A process that generates is a worker that ends with the main process, however that ends."""
    start_worker(0)

    def leave_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
