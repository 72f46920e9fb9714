"""What a training shows while it runs: a bar, the log, TensorBoard."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from options import Options
from runner.board import Board
from runner.training_images import training_overview
from runner.training_step import StepResult

BAR_SECONDS = 0.5


class Progress:
    """Of the process that writes; the others show nothing.

    Args:
        bar: of the steps; disabled in the others.
        board: None in the others.
        last_step: of the run, which is logged in any case.
    """

    def __init__(self, options: Options, log: logging.Logger, bar: tqdm, board: Board | None, last_step: int) -> None:
        self.options, self.log, self.bar, self.board, self.last_step = options, log, bar, board, last_step
        self.step_ended = time.perf_counter()

    def report(self, step: int, epoch: int, losses: dict[str, float], learning_rate: float) -> None:
        """After step number `step`."""
        ended = time.perf_counter()
        rate = self.options.batch_size / (ended - self.step_ended)  # from step to step, waiting for data included
        self.step_ended = ended
        self.bar.update()
        text = f"loss {losses['loss']:.4f}, lr {learning_rate:.1e}, {rate:.1f} samples/s"
        self.bar.set_postfix_str(text, refresh=False)
        if self.board is None or (step % self.options.log_steps and step != self.last_step):
            return
        detail = ", ".join(f"{name} {value:.4f}" for name, value in losses.items())
        self.log.info("epoch %d step %d: %s, lr %.2e, %.1f samples/s", epoch, step, detail, learning_rate, rate)
        figures = {**losses, "lr": learning_rate, "samples_per_s": rate}
        self.board.add_scalars({f"train/{name}": value for name, value in figures.items()}, step)

    def show_samples(self, step: int, result: StepResult) -> None:
        """What the network sees and says, where it sees images."""
        if self.board is not None and "image" in result.batch:
            overview = training_overview(result.batch, result.output, self.options.img_mean, self.options.img_std)
            self.board.add_image("train/samples", overview, step)


@contextmanager
def progress_of(
    options: Options, log: logging.Logger, first_step: int, last_step: int, shown: bool
) -> Iterator[Progress]:
    """The progress of a run from a step on; `shown`: whether this is the process that writes."""
    with ExitStack() as stack:
        board = None
        if shown:
            board = Board(options.run_dir / "board", first_step)
            stack.callback(board.close)
        stack.enter_context(logging_redirect_tqdm([log]))
        bar = tqdm(
            total=last_step, initial=first_step, unit="step", mininterval=BAR_SECONDS, dynamic_ncols=True,
            disable=not shown,
        )  # fmt: skip
        yield Progress(options, log, stack.enter_context(bar), board, last_step)
