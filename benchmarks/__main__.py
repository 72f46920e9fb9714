"""All measurements, or some of them, as a table and as JSON. See benchmarks/README.md."""

import argparse
import platform
import re
import time
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path

import torch

from benchmarks import cases
from benchmarks.busy import busy
from benchmarks.cases import BASELINE, Bench, Case, Stream, training_step
from benchmarks.memory import WAYS, peak_memory_mb
from benchmarks.photo import photo
from benchmarks.timing import Timing, compare, linear_fit
from benchmarks.work import count_work, measure_machine
from handmesh.files import write_json
from models.inference import COMPILERS, PRECISIONS, for_inference
from options import Options
from runner.synth import synthesize
from utils.template import ROOT

SAMPLES = 512
LOADER_BATCH, LOADER_ROUNDS = 16, 5
LOSS_BATCH = 16
CASES = {
    "forward1": partial(cases.forward, batch=1),
    "forward32": partial(cases.forward, batch=32),
    "registration1": partial(cases.registration, batch=1),
    "registration64": partial(cases.registration, batch=64),
    "image": partial(cases.image_to_mesh, batch=1),
    "plot": cases.plot,
    "training": partial(cases.training, batch=16),
}
GPU_CASES = {
    "image64": partial(cases.image_to_mesh, batch=64),
    "training128": partial(cases.training, batch=128),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmark.sh", description=__doc__)
    parser.add_argument("--only", default="", help=f"regular expression: {', '.join(names(True))}")
    parser.add_argument("--seconds", type=float, default=20, help="for each comparison, after the warm-up")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: its own choice")
    parser.add_argument("--workers", type=int, default=2, help="data workers")
    parser.add_argument("--compile", choices=COMPILERS, default="none", help="adds torch.compile to the comparison")
    parser.add_argument("--bf16", choices=("auto", "always", "never"), default="auto")
    parser.add_argument("--loss_steps", type=int, default=200, help="of the comparison of losses (loss)")
    parser.add_argument("--loss_size", type=int, default=224, help="pixels, likewise")
    parser.add_argument("--loss_runs", type=int, default=1, help="likewise; further runs begin with nudged weights")
    parser.add_argument("--loss_ways", nargs="+", choices=(BASELINE, *PRECISIONS), help="likewise")
    parser.add_argument("--out", type=Path, default=ROOT / "out/benchmark", help="folder for data and benchmark.json")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    synthesize(Options(phase="synth", data_dir=str(arguments.out / "data"), train_samples=SAMPLES, eval_samples=0))
    machines = {name: measure_machine(device, kind) for name, kind in PRECISIONS.items()}
    fast = machines["bf16"].flops_per_s > machines["float32"].flops_per_s
    precisions = (
        tuple(PRECISIONS) if arguments.bf16 == "always" or (arguments.bf16 == "auto" and fast) else ("float32",)
    )
    bench = Bench.make(device, arguments.out / "data", arguments.compile, precisions)
    report = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            **{name: asdict(machine) for name, machine in machines.items()},
        }
    }
    print(f"{report['machine']}\n")
    timed, extras = CASES | GPU_CASES, EXTRAS | GPU_EXTRAS
    for name in names(device.type == "cuda"):
        if not re.search(arguments.only, name):
            continue
        if name in timed:
            case = timed[name](bench)
            report[name] = describe(case, compare(case.ways, arguments.seconds))
        else:
            report[name] = extras[name](bench, arguments)
        write_json(arguments.out / "benchmark.json", report, indent=2)
    print(f"\n{arguments.out / 'benchmark.json'}")


def describe(case: Case, timings: dict[str, Timing]) -> dict:
    """Print a case and return it for the JSON file."""
    print(f"{case.name}")
    base = timings[BASELINE].p50_s
    result = {}
    for way, timing in timings.items():
        ratio = base / timing.p50_s
        rate = case.items / timing.p50_s
        print(
            f"  {way:18} p50 {timing.p50_s * 1e3:9.3f} ms   p95 {timing.p95_s * 1e3:9.3f} ms   "
            f"{rate:9.1f} {case.unit}s/s"
            f"   {ratio:6.2f} x   ({timing.calls} calls)"
        )
        result[way] = {**asdict(timing), "ratio": ratio, "per_s": rate}
    for check, value in case.checks.items():
        print(f"    {check}: {value:.6g}")
    return {"ways": result, "checks": case.checks}


def loader(bench: Bench, arguments: argparse.Namespace) -> dict:
    """Samples per second with full augmentation. Rounds take turns; each has workers of its own."""
    batches, warm_up = 12, 6
    taken: dict[str, list[float]] = {}
    for _ in range(LOADER_ROUNDS):
        for name, dataset in cases.datasets(bench).items():
            stream = Stream(dataset, LOADER_BATCH, arguments.workers, bench.device)
            stream.start()
            stream.skip(warm_up)
            started = time.perf_counter()
            stream.skip(batches * (1 if name == BASELINE else 5))
            seconds = time.perf_counter() - started
            taken.setdefault(name, []).append(seconds / (1 if name == BASELINE else 5))
            stream.batches = iter(())
    timings = {name: Timing(sorted(v)[len(v) // 2], max(v), len(v)) for name, v in taken.items()}
    case = Case(f"loader, batch {LOADER_BATCH}, {arguments.workers} workers", "sample", batches * LOADER_BATCH, {})
    return describe(case, timings)


def memory(bench: Bench, arguments: argparse.Namespace) -> dict:
    """Peak memory of forward passes at batch 32 and of training at batch 16."""
    result = {
        work: {way: peak_memory_mb(work, way, bench.data, arguments.device) for way in WAYS}
        for work in ("forward", "training")
    }
    for work, peaks in result.items():
        print(f"peak memory, {work}: " + ", ".join(f"{way} {peak:.0f} MB" for way, peak in peaks.items()))
    return result


def linear(bench: Bench, arguments: argparse.Namespace) -> dict:
    """Seconds over batch size: network, registration; seconds over samples: loading."""
    result = {}
    for name, make, sizes in (
        ("network", cases.forward, [1, 2, 4, 8, 16]),
        ("registration", cases.registration, [8, 32, 64, 128, 256]),
    ):
        seconds = []
        for size in sizes:
            case = make(bench, size)
            way = "ours" if "ours" in case.ways else "float32"
            seconds.append(compare({way: case.ways[way]}, min(arguments.seconds, 5))[way].p50_s)
        result[name] = {"sizes": sizes, "seconds": seconds, **linear_fit(sizes, seconds)}
    stream = Stream(cases.datasets(bench)["ours"], LOADER_BATCH, 0, bench.device)
    stream.start()
    sizes, seconds = [2, 4, 8, 16, 32], []
    stream.skip(4)
    for size in sizes:
        started = time.perf_counter()
        stream.skip(size)
        seconds.append(time.perf_counter() - started)
    sizes = [size * LOADER_BATCH for size in sizes]
    result["loading"] = {"sizes": sizes, "seconds": seconds, **linear_fit(sizes, seconds)}
    for name, fit in result.items():
        print(
            f"linear fit, {name}: {fit['intercept_s'] * 1e3:.2f} ms + {fit['slope_s'] * 1e3:.3f} ms each, "
            f"R^2 {fit['r_squared']:.5f}, sizes {fit['sizes']}"
        )
    return result


def work(bench: Bench, arguments: argparse.Namespace) -> dict:
    """Operations and bytes of the network, batch 1, and what the machine would need for them at least."""
    images = torch.randn(1, 3, 224, 224, device=bench.device)
    networks = {BASELINE: cases.PlainCMR(bench.model, bench.template)}
    networks |= {precision: for_inference(bench.model, precision) for precision in bench.precisions}
    result = {}
    for name, network in networks.items():
        machine = measure_machine(bench.device, PRECISIONS.get(name, torch.float32))
        with torch.inference_mode():
            network(images)  # the first call brings weights into their order
            counted = count_work(partial(network, images))
            taken = compare({name: partial(network, images)}, min(arguments.seconds, 10))[name].p50_s
        floor = counted.floor_s(machine)
        result[name] = {**asdict(counted), "floor_s": floor, "p50_s": taken, "times_the_floor": taken / floor}
        print(
            f"work of {name}: {counted.flops / 1e9:.2f} GFLOP, {counted.bytes / 1e6:.0f} MB; at "
            f"{machine.flops_per_s / 1e9:.0f} GFLOP/s and {machine.bytes_per_s / 1e9:.1f} GB/s at least "
            f"{floor * 1e3:.1f} ms, measured {taken * 1e3:.1f} ms: {taken / floor:.2f} times the floor"
        )
    return result


def loss(bench: Bench, arguments: argparse.Namespace) -> dict:
    """The loss after a number of steps on the same data, in each arithmetic; in several runs, to tell what the
    arithmetic does from what any small difference grows to."""
    result: dict[str, list[list[float]]] = {}
    for run, name in product(range(arguments.loss_runs), arguments.loss_ways or (BASELINE, *bench.precisions)):
        step = training_step(bench, name, run)
        data = cases.datasets(bench, arguments.loss_size)["ours"]
        stream = Stream(data, LOSS_BATCH, arguments.workers, bench.device)
        stream.start()
        losses = [step(stream.next()) for _ in range(arguments.loss_steps)]
        stream.batches = iter(())
        result.setdefault(name, []).append(losses)
        last = losses[-10:]
        print(f"loss after {len(losses)} steps, mean of the last ten, run {run}, {name}: {sum(last) / len(last):.5f}")
    return result


EXTRAS = {"loader": loader, "memory": memory, "linear": linear, "work": work, "loss": loss, "photo": photo}
GPU_EXTRAS = {"busy": busy}


def names(on_gpu: bool) -> list[str]:
    return [*CASES, *GPU_CASES, *EXTRAS, *GPU_EXTRAS] if on_gpu else [*CASES, *EXTRAS]


if __name__ == "__main__":
    main()
