"""The export phase: a checkpoint's network as an ONNX file, which needs no PyTorch to run."""

import shutil
from dataclasses import replace

from handmesh.files import replaced
from models import BACKBONES
from options import Options
from runner.checkpoint_network import onnx_file
from runner.setup import read_setup


def export(options: Options) -> None:
    """Write `NAME.onnx` to the results' folder, NAME the network's and its encoder's.

    Raises:
        InputError: the checkpoint cannot be used, or the file does not say what the network does.
    """
    setup = read_setup(replace(options, device="cpu"))
    name, encoder = setup.checkpoint.name, setup.checkpoint.backbone
    if encoder in BACKBONES:  # otherwise the network has its own
        name += f"_{encoder.lower()}"
    path = options.results_dir / f"{name}.onnx"
    with replaced(path) as temporary:
        shutil.copyfile(onnx_file(setup), temporary)
    print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")
