"""The training phase."""

import logging
import math
import signal
import sys
import time
import warnings
from contextlib import nullcontext
from functools import partial
from itertools import islice
from types import FrameType

import numpy as np
import torch
from tensorboardX import SummaryWriter
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import default_collate
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from datasets.device import finish_batch
from datasets.features import FeatureSamples, finish_features
from datasets.host import finish_on_host
from datasets.loading import load_batches
from datasets.sampler import EpochBatches
from handmesh.errors import InputError, TrainingDivergedError
from handmesh.files import atomic_write, remove_leftovers, write_json
from models.inference import compile_network
from models.losses import cmr_loss
from models.mobile import MobileCMR
from options import Options
from options.options import RECORDED
from runner.ranks import Ranks, joined_ranks
from runner.setup import Setup, prepare, select_device, silent_log, start_log
from runner.training_data import training_data
from runner.training_images import training_overview
from utils.template import Template

BAR_SECONDS = 0.5
WARM_UP_STEPS = 100  # of the cosine schedule


class Trainer:
    """Adam with step decay, from a step of the run to its end, one checkpoint at a time.

    Everything that decides the next weights is in the checkpoint or follows from seed and step, so that a run that
    was killed and resumed ends with the weights of one that was not (CPU, same number of threads and processes; and no
    images are still being made in the background, which are there sooner or later).
    """

    def __init__(self, setup: Setup, log: logging.Logger, ranks: Ranks) -> None:
        options = self.options = setup.options
        self.setup, self.log, self.ranks = setup, log, ranks
        self.model, self.device = setup.model, setup.device
        self.input = {"size": options.size, "mean": options.img_mean, "std": options.img_std}
        self.network = compile_network(self.model, "none" if options.compile == "auto" else options.compile)
        if ranks.count > 1:
            self.network = DistributedDataParallel(self.network, broadcast_buffers=False)
        if options.pool_dir is not None and (ranks.count > 1 or options.trunk_samples):
            raise InputError("--stream with --cache is for a single process, and not for --trunk_samples")
        self.dataset = training_data(options, setup.template.num_vertices[0], self.device.type == "cuda")
        if ranks.count > 1 and (options.trunk_samples or options.trunk_steps):
            raise InputError("--trunk_samples and --trunk_steps are for a single process")
        if options.trunk_samples:
            if not isinstance(self.model, MobileCMR):
                raise InputError("--trunk_samples is for --model cmr_mobile, which has a trunk")
            trunk = self.model.trunk
            for parameter in trunk.early_parameters():
                parameter.requires_grad_(False)
            folder = options.data_root / "features"
            self.dataset = FeatureSamples(folder, self.dataset, options.trunk_samples, trunk, options.workers)
        self.faces = torch.from_numpy(setup.template.faces[0]).to(self.device)
        self.coarse_vertices = [torch.from_numpy(index).to(self.device) for index in coarse_selections(setup.template)]
        self.regressor = torch.from_numpy(setup.template.joint_regressor).float().to(self.device)
        self.trunk = []
        if isinstance(self.model, MobileCMR):
            self.trunk = [one for one in self.model.trunk.parameters() if one.requires_grad]
        ids = {id(parameter) for parameter in self.trunk}
        rest = [one for one in self.model.parameters() if one.requires_grad and id(one) not in ids]
        groups = [{"params": rest}]
        if self.trunk:
            groups.append({"params": self.trunk})
        self.optimizer = torch.optim.Adam(groups, lr=options.lr, weight_decay=options.weight_decay, fused=True)
        self.step = 0
        self.stop_signal: int | None = None
        self.step_ended = time.perf_counter()
        if setup.checkpoint is not None:
            if "step" in setup.checkpoint.training and not options.weights_only:
                self._restore(setup.checkpoint.training)
            else:
                log.info("new run from the weights of %s", setup.checkpoint.path)
        self.batches = EpochBatches(
            len(self.dataset), options.batch_size, options.epochs, options.seed, self.step,
            parts=options.accumulate, rank=ranks.rank, ranks=ranks.count,
        )  # fmt: skip

        self.last_step = self.batches.epochs * self.batches.steps_per_epoch
        if options.max_steps:
            self.last_step = min(self.last_step, options.max_steps)
        self._set_rates()

    def _set_rates(self) -> None:
        """Learning rates of the next step. They follow from the options and the step alone, so that a resumed run takes
        changed ones. A trunk whose rate is zero needs no gradients: most of the arithmetic of a step."""
        options = self.options
        if options.schedule == "cosine":
            rate = options.lr * 0.5 * (1 + math.cos(math.pi * min(self.step / self.last_step, 1)))
            rate *= min(1, (self.step + 1) / WARM_UP_STEPS)
        else:
            rate = options.lr * options.lr_decay ** (self.epoch // options.decay_step)
        self.optimizer.param_groups[0]["lr"] = rate
        if self.trunk:
            trunk_rate = rate * options.trunk_lr if self.step >= options.trunk_steps else 0.0
            self.optimizer.param_groups[1]["lr"] = trunk_rate
            for parameter in self.trunk:
                parameter.requires_grad_(trunk_rate > 0)

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.step // self.batches.steps_per_epoch

    def run(self) -> None:
        """Train to the last step. Leaves early, with a checkpoint, on Ctrl-C and SIGTERM (SystemExit).

        Raises:
            TrainingDivergedError: a loss is not finite; the last checkpoint is from before.
            InputError: a sample cannot be read.
        """
        options = self.options
        if self.step >= self.last_step:
            self.log.info("nothing to do: step %d of %d is done", self.step, self.last_step)
            return
        self.log.info(
            "%s %s, %d samples, step %d to %d (%d a epoch), %s, %d process(es)",
            options.model, options.backbone, len(self.dataset), self.step, self.last_step,
            self.batches.steps_per_epoch, self.device, self.ranks.count,
        )  # fmt: skip
        on_gpu = self.device.type == "cuda"
        collate = default_collate if on_gpu else partial(finish_on_host, **self.input)
        batches = load_batches(self.dataset, self.batches, options.workers, on_gpu, collate)
        board = None
        if self.ranks.first:
            board = SummaryWriter(str(options.run_dir / "board"), purge_step=self.step)
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        self.model.train()
        try:
            with (
                logging_redirect_tqdm([self.log]),
                tqdm(
                    total=self.last_step, initial=self.step, unit="step", mininterval=BAR_SECONDS, dynamic_ncols=True,
                    disable=not self.ranks.first,
                ) as bar,
            ):  # fmt: skip
                while parts := list(islice(batches, options.accumulate)):
                    self._one_step(parts, board, bar)
                    if self.step >= self.last_step or self.stop_signal is not None:
                        break
            if self.step % options.save_steps:  # otherwise the step itself has saved
                self.save()
            self.log.info("step %d of %d: saved %s", self.step, self.last_step, options.last_checkpoint)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            if board is not None:
                board.close()
        if self.stop_signal is not None:
            self.log.info("stopped by signal %d; go on with --resume last", self.stop_signal)
            sys.exit(128 + self.stop_signal)

    def _one_step(self, parts: list[dict[str, Tensor]], board: SummaryWriter | None, bar: tqdm) -> None:
        options = self.options
        self.optimizer.zero_grad(set_to_none=True)
        sums = 0.0
        for number, part in enumerate(parts, 1):
            known = (~part["mirrored"]).nonzero().squeeze(1)  # here, where nothing has to be waited for
            known = known.to(self.device, non_blocking=True)
            batch = {name: value.to(self.device, non_blocking=True) for name, value in part.items()}
            batch = finish_features(batch, options.size) if "early" in batch else finish_batch(batch, **self.input)
            with nullcontext() if number == len(parts) or self.ranks.count == 1 else self.network.no_sync():
                terms, output = self._losses(batch, known)
                (terms["loss"] / len(parts)).backward()
            sums = sums + torch.stack(list(terms.values())).detach() / len(parts)
        stop = sums.new_tensor([self.stop_signal or 0])
        *means, stop = self.ranks.mean(torch.cat([sums, stop])).tolist()  # one transfer
        values = dict(zip(terms, means, strict=True))
        if stop and self.stop_signal is None:  # another process was told to stop: all stop after this step
            self.stop_signal = signal.SIGTERM
        if not math.isfinite(values["loss"]):
            raise TrainingDivergedError(self._divergence_report(values))
        self.optimizer.step()
        self.step += 1
        learning_rate = self.optimizer.param_groups[0]["lr"]
        self._set_rates()

        ended = time.perf_counter()
        rate = options.batch_size / (ended - self.step_ended)  # from step to step, waiting for data included
        self.step_ended = ended
        bar.update()
        bar.set_postfix_str(f"loss {values['loss']:.4f}, lr {learning_rate:.1e}, {rate:.1f} samples/s", refresh=False)
        if board is not None and (self.step % options.log_steps == 0 or self.step == self.last_step):
            detail = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
            self.log.info(
                "epoch %d step %d: %s, lr %.2e, %.1f samples/s", self.epoch, self.step, detail, learning_rate, rate
            )
            for name, value in {**values, "lr": learning_rate, "samples_per_s": rate}.items():
                board.add_scalar(f"train/{name}", value, self.step)
        if self.step % options.save_steps == 0:
            if board is not None and isinstance(batch["image"], Tensor):
                overview = training_overview(batch, output, options.img_mean, options.img_std)
                board.add_image("train/samples", overview, self.step, dataformats="HWC")
            self.save()

    def _losses(self, batch: dict[str, Tensor], known: Tensor) -> tuple[dict[str, Tensor], dict]:
        images = batch["image"]
        if isinstance(images, Tensor):
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
            output = self.network(images, as_logits=True)
        meshes = [batch["mesh"]]
        if self.options.ms_mesh:
            meshes += [batch["mesh"][:, index] for index in self.coarse_vertices]
        maps = (batch["heatmaps"], batch["silhouette"])
        terms = cmr_loss(output, meshes, *maps, self.faces, batch["landmarks_px"], self.regressor, known)
        return terms, output

    def _divergence_report(self, values: dict[str, float]) -> str:
        bad = ", ".join(f"{name} {value}" for name, value in values.items() if not math.isfinite(value))
        return (
            f"step {self.step + 1}: the loss is not finite ({bad}) at learning rate "
            f"{self.optimizer.param_groups[0]['lr']:.1e}. If there is a {self.options.last_checkpoint}, it is from "
            "before: go on from it with --resume last and a smaller --lr."
        )

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """First signal: finish the step, save, leave. Second: leave at once."""
        if self.stop_signal is not None:
            raise KeyboardInterrupt
        self.stop_signal = number

    def save(self) -> None:
        """Write the checkpoint: whole or not at all, never with weights that are not finite, and by one process."""
        if not all(torch.isfinite(parameter).all() for parameter in self.model.parameters()):
            raise TrainingDivergedError(
                f"step {self.step}: the weights are not finite at learning rate "
                f"{self.optimizer.param_groups[0]['lr']:.1e}; no checkpoint was written. Use a smaller --lr."
            )
        if not self.ranks.first:
            return
        content = {
            "epoch": self.epoch,
            "step": self.step,
            "num_samples": len(self.dataset),
            "model_state_dict": self.model.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "rng": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
            "options": self.options.as_dict(),
            "template_digest": self.setup.template.digest,
        }
        with atomic_write(self.options.last_checkpoint) as file:
            torch.save(content, file)

    def _restore(self, training: dict) -> None:
        try:
            self.optimizer.load_state_dict(training["optimizer_state_dict"])
            self.step = int(training["step"])
            torch.set_rng_state(training["rng"]["cpu"])
            samples = int(training["num_samples"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{self.options.checkpoint}: its training state cannot be used ({error!r}); to start from its weights "
                "only, use --weights_only"
            ) from error
        if self.device.type == "cuda" and len(training["rng"]["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(training["rng"]["cuda"])
        if samples != len(self.dataset):
            raise InputError(
                f"{self.options.checkpoint} was trained on {samples} samples, {self.options.data_root} has "
                f"{len(self.dataset)}; resume on the same data"
            )
        for name, now in self.options.as_dict().items():
            before = self.setup.checkpoint.option(name, now)
            if name in RECORDED and before != now:
                self.log.warning("--%s was %s and is now %s: from here on another run than it was", name, before, now)
        for group in self.optimizer.param_groups:
            group.update(weight_decay=self.options.weight_decay)


def coarse_selections(template: Template) -> list[np.ndarray]:
    """Indices of the vertices of levels 1 to 3 among those of the finest level."""
    index = np.arange(template.num_vertices[0])
    selections = []
    for matrix in template.down[:3]:
        index = index[matrix.tocsr().indices]
        selections.append(index)
    return selections


def train(options: Options) -> None:
    """Run the training phase."""
    continued = options.checkpoint is not None and options.checkpoint.resolve() == options.last_checkpoint.resolve()
    if options.last_checkpoint.is_file() and not continued:
        raise InputError(f"{options.last_checkpoint} exists: go on with --resume last, or choose another --exp_name")
    with joined_ranks(select_device(options)) as ranks:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            setup = prepare(options)
        ranks.wait()  # until all have looked for checkpoints that the first one may write now
        log = start_log(options.run_dir / "train.log") if ranks.first else silent_log()
        for warning in caught:
            log.warning("%s", warning.message)
        trainer = Trainer(setup, log, ranks)
        if ranks.first:
            remove_leftovers(options.last_checkpoint)
            write_json(options.run_dir / "options.json", setup.options.as_dict(), indent=2)
        trainer.run()
