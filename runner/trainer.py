"""A training from step to step, with all that makes it go on where it was."""

import logging
import signal
import sys
from itertools import islice

import torch

from datasets.augmented import AugmentedHands
from datasets.loading import load_batches
from datasets.sampler import EpochBatches
from handmesh.errors import InputError
from models.checkpoint import Checkpoint
from models.weight_file import write_weight_file
from options.options import CALL, OPTIONS
from runner.errors import TrainingDivergedError
from runner.learning_rate import ScheduledAdam
from runner.progress import Progress, progress_of
from runner.ranks import Ranks
from runner.setup import Setup, stored_options
from runner.stop_signals import StopSignals
from runner.training_record import TrainingRecord, unusable
from runner.training_step import Batch, TrainingStep


class Trainer:
    """From a step of the run to its end.

    Everything that decides the next weights is in the checkpoint or follows from seed and step, so that a run that
    was killed and resumed ends with the weights of one that was not (CPU, same number of threads and processes; and no
    images are still being made in the background, which are there sooner or later).
    """

    def __init__(
        self, setup: Setup, dataset: AugmentedHands, model: torch.nn.Module, log: logging.Logger, ranks: Ranks
    ) -> None:
        options = self.options = setup.options
        self.setup, self.dataset, self.model, self.log, self.ranks = setup, dataset, model, log, ranks
        self.on_gpu = setup.device.type == "cuda"
        self.optimizer = ScheduledAdam(model, options)
        self.step = 0
        if setup.record is not None:
            self._restore(setup.checkpoint, setup.record)
        elif setup.checkpoint is not None:
            log.info("new run from the weights of %s", setup.checkpoint.path)
        self.batches = EpochBatches(
            len(self.dataset), options.batch_size, options.epochs, options.seed, self.step,
            parts=options.accumulate, rank=ranks.rank, ranks=ranks.count,
        )  # fmt: skip
        self.steps_per_epoch = self.batches.steps_per_epoch
        self.last_step = options.epochs * self.steps_per_epoch
        if options.max_steps is not None:
            self.last_step = min(self.last_step, options.max_steps)
        self.make_step = TrainingStep(
            model.train(), setup.template, self.optimizer.adam, size=options.size, mean=options.img_mean,
            std=options.img_std, precision=options.precision, all_levels=options.ms_mesh, ranks=ranks,
            compiled="none" if options.compile == "auto" else options.compile,
        )  # fmt: skip

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.step // self.steps_per_epoch

    def run(self) -> None:
        """Train to the last step, one checkpoint at a time. Leaves early, with a checkpoint, on Ctrl-C and SIGTERM
        (SystemExit).

        Raises:
            TrainingDivergedError: a loss is not finite; the last checkpoint is from before.
            InputError: a sample cannot be read.
        """
        options = self.options
        if self.step >= self.last_step:
            limit = " (--max_steps)" if self.last_step == options.max_steps else ""
            self.log.info("nothing to do: step %d of %d%s is done", self.step, self.last_step, limit)
            return
        self.log.info(
            "%s, %d samples, step %d to %d (%d a epoch), %s, %d process(es)",
            options.model, len(self.dataset), self.step, self.last_step, self.steps_per_epoch, self.setup.device,
            self.ranks.count,
        )  # fmt: skip
        batches = load_batches(self.dataset, self.batches, options.workers, self.on_gpu)
        shown = progress_of(options, self.log, self.step, self.last_step, self.ranks.first)
        with StopSignals() as signals, shown as progress:
            stop = False
            while self.step < self.last_step and not stop:
                stop = self._one_step(list(islice(batches, options.accumulate)), signals, progress)
            if self.step % options.save_steps:  # otherwise the step itself has saved
                self.save()
            self.log.info("step %d of %d: saved %s", self.step, self.last_step, options.last_checkpoint)
        if stop:
            number = signals.number or signal.SIGTERM  # another process was told to
            self.log.info("stopped by signal %d; go on with --resume last", number)
            sys.exit(128 + number)

    def _one_step(self, parts: list[Batch], signals: StopSignals, progress: Progress) -> bool:
        """Train on one step's samples; returns whether to stop then, in all processes alike."""
        learning_rate = self.optimizer.set_rates(self.step, self.steps_per_epoch, self.last_step)
        try:
            result = self.make_step(parts, signals.any)
        except TrainingDivergedError as error:
            raise TrainingDivergedError(
                f"step {self.step + 1}: {error} at learning rate {learning_rate:.1e}. If there is a "
                f"{self.options.last_checkpoint}, it is from before: go on from it with --resume last and a smaller "
                "--lr."
            ) from error
        self.step += 1
        progress.report(self.step, self.epoch, result.losses, learning_rate)
        if self.step % self.options.save_steps == 0:
            progress.show_samples(self.step, result)
            self.save()
        return result.stop

    def save(self) -> None:
        """Write the checkpoint: whole or not at all, never with weights that are not finite, and by one process."""
        if not all(torch.isfinite(parameter).all() for parameter in self.model.parameters()):
            raise TrainingDivergedError(
                f"step {self.step}: the weights are not finite; no checkpoint was written. Use a smaller --lr."
            )
        if not self.ranks.first:
            return
        content = {
            "epoch": self.epoch,
            "step": self.step,
            "num_samples": len(self.dataset),
            "model_state_dict": self.model.state_dict(),
            "optimizer_state_dict": self.optimizer.adam.state_dict(),
            "rng": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
            "options": self.options.as_dict(),
            "template_digest": self.setup.template.digest,
        }
        write_weight_file(self.options.last_checkpoint, content)

    def _restore(self, checkpoint: Checkpoint, record: TrainingRecord) -> None:
        if record.num_samples != len(self.dataset):
            raise InputError(
                f"{checkpoint.path} was trained on {record.num_samples} samples, {self.options.data_root} has "
                f"{len(self.dataset)}; resume on the same data, or begin anew from its weights with --weights_only"
            )
        before, named = stored_options(checkpoint), list(self.options.dataset)
        if before.get("dataset", named) not in (named, *named):  # a single name in older checkpoints
            raise InputError(
                f"{checkpoint.path} was trained with --dataset {before['dataset']}, and this is {named}; resume on the "
                "same data"
            )
        self.step = record.step
        try:
            self.optimizer.restore(record.optimizer)
        except ValueError as error:
            raise unusable(checkpoint, f"optimizer_state_dict: {error}") from error
        try:
            torch.set_rng_state(record.cpu_rng)
            if self.on_gpu and len(record.cuda_rng) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all(record.cuda_rng)
        except (RuntimeError, TypeError) as error:
            raise unusable(checkpoint, f"rng: {error}") from error
        for name, now in self.options.as_dict().items():
            if OPTIONS[name].metadata["belongs_to"] != CALL and before.get(name) not in (None, now):
                self.log.warning(
                    "--%s was %s and is now %s: from here on another run than it was", name, before[name], now
                )
