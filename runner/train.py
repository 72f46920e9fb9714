"""The training phase."""

import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from filelock import FileLock, Timeout

from datasets.augmented import AugmentedHands
from handmesh.errors import InputError
from handmesh.files import remove_leftovers, write_json
from models.build import NETWORKS
from options import Options
from runner.log import silent_log, start_log
from runner.ranks import Ranks, joined_ranks
from runner.setup import Setup, read_setup, select_device
from runner.trainer import Trainer
from runner.training_data import training_data

LOCK_SECONDS = 10  # in which the workers of a run that was killed have ended


def train(options: Options) -> None:
    """Train to the last step, see `Trainer.run`, and write log and checkpoints to the run's folder.

    Raises:
        InputError: the options contradict the run, or another process trains it.
    """
    with joined_ranks(select_device(options)) as ranks, _alone_in_folder(options, ranks):
        continued = options.checkpoint is not None and options.checkpoint.resolve() == options.last_checkpoint.resolve()
        if options.last_checkpoint.is_file() and not continued:
            raise InputError(
                f"{options.last_checkpoint} exists: go on with --resume last, or choose another --exp_name"
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            setup = read_setup(options)
            _make_repeatable(setup.device)
            data = _training_data(setup, ranks)
            model = setup.build_network()  # after the data, so that nothing is downloaded for data that is not there
        ranks.wait()  # until all have looked for checkpoints that the first one may write now
        log = start_log(options.run_dir / "train.log") if ranks.first else silent_log()
        for warning in caught:
            log.warning("%s", warning.message)
        if setup.options.precision == "bf16" and setup.device.type == "cpu" and not _has_bf16_units():
            log.warning("--precision bf16: this CPU has no bf16 units, training is many times slower than in float32")
        trainer = Trainer(setup, data, model, log, ranks)
        if ranks.first:
            remove_leftovers(options.last_checkpoint)
            write_json(options.run_dir / "options.json", setup.options.as_dict(), indent=2)
        trainer.run()


def _training_data(setup: Setup, ranks: Ranks) -> AugmentedHands:
    options = setup.options
    if ranks.count > 1 and (options.pool_dir is not None or options.trunk_steps or not options.trunk_lr):
        raise InputError("--stream with --cache, --trunk_steps and --trunk_lr 0 are for a single process")
    network = NETWORKS[options.model]
    mirrored_share = 0.5 if options.flip_aug else network.mirrored_share
    return training_data(options, setup.template.num_vertices[0], mirrored_share, network.traits.upright)


@contextmanager
def _alone_in_folder(options: Options, ranks: Ranks) -> Iterator[None]:
    """Keeps other trainings away from the run's folder; a process that dies lets go of it."""
    if not ranks.first:
        yield
        return
    path = options.run_dir / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=LOCK_SECONDS)
        lock.acquire()
    except Timeout as error:
        raise InputError(f"{path.parent}: another training is writing here; choose another --exp_name") from error
    except OSError as error:
        raise InputError(f"{path.parent}: cannot write here ({error.strerror}); choose another --out_dir") from error
    try:
        yield
    finally:
        lock.release()


def _make_repeatable(device: torch.device) -> None:
    torch.use_deterministic_algorithms(device.type == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of a training step, and nothing reads it
    torch.backends.cudnn.benchmark = True  # all batches have one size


def _has_bf16_units() -> bool:
    if platform.machine() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
