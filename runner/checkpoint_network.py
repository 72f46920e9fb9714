"""A checkpoint's network, ready to predict."""

import hashlib
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import models
from handmesh import network as network_files
from handmesh.files import cache_folder, content_digest
from handmesh.network import Network, OnnxNetwork
from models.export import export_network
from models.torch_network import TorchNetwork
from options import Options
from options.options import ROOT
from runner.prediction import refuse_gpu_options
from runner.setup import Setup, read_setup

SHIPPED_CHECKPOINT = ROOT / "weights/cmr_mobile.pt"
KEPT_FILES = 8  # in the cache, those used last


def network_of_checkpoint(options: Options) -> Network:
    """The network of the checkpoint that the options name, without one the shipped one's, on their device."""
    if options.checkpoint is None:
        options = replace(options, resume=str(SHIPPED_CHECKPOINT))
    setup = read_setup(options)
    options = setup.options
    if setup.device.type == "cuda":
        return TorchNetwork(
            setup.build_network(),
            setup.template,
            **_input(setup),
            precision=options.inference_precision,
            compiled=options.compile,
        )
    refuse_gpu_options(options)
    return OnnxNetwork(onnx_file(setup), options.n_threads or None)


def _input(setup: Setup) -> dict:
    """What `export_network` and `TorchNetwork` have to know about a network's input, and its calibration."""
    options = setup.options
    return {
        "size": options.size,
        "mean": options.img_mean,
        "std": options.img_std,
        "calibration": setup.checkpoint.calibration,
    }


def onnx_file(setup: Setup) -> Path:
    """The network as an ONNX file in the user's cache, made at the first use.

    Raises:
        InputError: the weights do not fit, or the file does not say what the network does.
    """
    path = cache_folder() / "onnx" / f"{_digest(setup)}.onnx"
    if path.is_file():
        with suppress(OSError):  # the cache may be another user's
            path.touch()
        return path
    print(f"preparing {setup.checkpoint.path} for this CPU (once)", file=sys.stderr)
    export_network(setup.build_network(), setup.template, path, **_input(setup))
    with suppress(OSError):  # another process may tidy up as well
        for unused in sorted(path.parent.glob("*.onnx"), key=lambda file: file.stat().st_mtime)[:-KEPT_FILES]:
            unused.unlink()
    return path


def _digest(setup: Setup) -> str:
    """Identifies all that the file depends on: weights, template, input, and the code that makes it."""
    sources = [*sorted(Path(models.__file__).parent.glob("*.py")), Path(network_files.__file__)]
    code = b"".join(source.read_bytes() for source in sources)
    weights = setup.checkpoint.weights
    content = [*weights, content_digest(*(value.float().numpy() for value in weights.values()))]
    content += [setup.template.digest, repr(_input(setup)), hashlib.sha256(code).hexdigest()]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:24]
