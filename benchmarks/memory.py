"""Peak memory of one way to do one thing, in a process of its own: `python -m benchmarks.memory forward baseline`."""

import re
import subprocess
import sys
from pathlib import Path

import torch

from utils.template import ROOT

WAYS = ("baseline", "float32")
FORWARD_BATCH, TRAINING_BATCH = 32, 16


def peak_memory_mb(work: str, way: str, data: Path, device: str) -> float:
    """Peak of a fresh process, interpreter and libraries included (CUDA: what PyTorch has allocated), megabytes."""
    called = [sys.executable, "-m", "benchmarks.memory", work, way, str(data), device]
    result = subprocess.run(called, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(result.stdout.split()[-1])


def _main(work: str, way: str, data: str, device: str) -> None:
    from benchmarks.cases import Bench, PlainCMR, training_batch, training_step
    from models.inference import for_inference

    bench = Bench.make(torch.device(device), Path(data), "none")
    if work == "forward":
        network = PlainCMR(bench.model, bench.template) if way == "baseline" else for_inference(bench.model, way)
        images = torch.randn(FORWARD_BATCH, 3, 224, 224, device=device)
        with torch.inference_mode():
            for _ in range(3):
                network(images)
    else:
        step = training_step(bench, way)
        batch = training_batch(bench, TRAINING_BATCH)
        for _ in range(3):
            step(batch)
    if device == "cpu":
        # Not getrusage: there a process inherits the peak of the one that started it.
        status = Path("/proc/self/status").read_text()
        print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)
    else:
        print(torch.cuda.max_memory_allocated() / 2**20)


if __name__ == "__main__":
    _main(*sys.argv[1:])
