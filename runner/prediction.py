"""Which network predicts, for evaluation and demo, and what runs it. Needs PyTorch for checkpoints only."""

from importlib.util import find_spec

from handmesh import SHIPPED
from handmesh.errors import InputError
from handmesh.network import Network, OnnxNetwork
from options import Options
from options.options import NETWORK, OPTIONS


def network_for_prediction(options: Options) -> Network:
    """The network that the options name: in ONNX Runtime on a CPU, in PyTorch on a GPU.

    Raises:
        InputError: a file cannot be used, PyTorch is needed and not installed, or the options contradict each other.
    """
    path = options.checkpoint
    if path is None and options.device != "cuda":
        path = SHIPPED
    if path is None or path.suffix != ".onnx":
        if find_spec("torch") is None:
            raise InputError(f"{path or '--device cuda'}: needs PyTorch; pip install -r requirements.txt")
        from runner.checkpoint_network import network_of_checkpoint

        return network_of_checkpoint(options)
    if options.device == "cuda":
        raise InputError(f"{path} runs on the CPU: leave --device cuda out, or name the checkpoint it was made from")
    told = sorted(name for name in options.given if OPTIONS[name].metadata["belongs_to"] == NETWORK)
    if told:
        raise InputError(f"--{told[0]}: {path} says itself what network it holds; leave the option out")
    refuse_gpu_options(options)
    return OnnxNetwork(path, options.n_threads or None)


def refuse_gpu_options(options: Options) -> None:
    """Raise InputError for what only a GPU can do."""
    if options.inference_precision != "float32":
        raise InputError(
            f"--inference_precision {options.inference_precision} is for GPUs, and this predicts on a CPU: leave it out"
        )
    if options.compile not in ("auto", "none"):
        raise InputError(f"--compile {options.compile} is for GPUs, and this predicts on a CPU: leave it out")
