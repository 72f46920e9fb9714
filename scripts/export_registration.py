"""Write the registration as ONNX files, `handmesh/data/registration_*.onnx`: run this when `models/registration.py` or
`models/reprojection.py` changes.

    python scripts/export_registration.py
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from handmesh.files import atomic_write  # noqa: E402
from handmesh.outline import NUM_AXES  # noqa: E402
from handmesh.registration import FILES  # noqa: E402
from models.registration import OutlineRegistration, Registration  # noqa: E402
from models.reprojection import LandmarkRegistration  # noqa: E402
from scripts.checksums import write_checksums  # noqa: E402

MODULES = {"outline": OutlineRegistration, "landmarks": LandmarkRegistration}
OPSET = 18


class _Outputs(nn.Module):
    """The exporter takes tuples, no dataclasses."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found: Registration = self.module(*inputs)
        return found.translation_m, found.residual_px, found.success


def example(vertices: int = 50, hands: int = 2) -> dict[str, Tensor]:
    """Arguments of the registration, by name."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(hands, *shape, dtype=torch.float64, generator=generator)

    K = torch.tensor([[500.0, 0, 112], [0, 500, 112], [0, 0, 1]], dtype=torch.float64).repeat(hands, 1, 1)
    return {
        "vertices": random(vertices, 3) * 0.1,
        "joints": random(21, 3) * 0.1,
        "landmarks_px": random(21, 2) * 224,
        "confidence": random(21),
        "K": K,
        "image_size": torch.tensor(224.0, dtype=torch.float64),
        "extents_px": random(2, NUM_AXES) * 224,
    }


def export(name: str) -> bytes:
    """One of `MODULES` as an ONNX file, for any number of hands and vertices."""
    inputs = example()
    if name == "landmarks":
        inputs = {key: value for key, value in inputs.items() if key not in ("vertices", "extents_px")}
    hands, vertices = torch.export.Dim("hands"), torch.export.Dim("vertices")
    shapes = tuple({} if key == "image_size" else {0: hands} for key in inputs)
    if "vertices" in inputs:
        shapes = ({0: hands, 1: vertices}, *shapes[1:])
    program = torch.onnx.export(
        _Outputs(MODULES[name]()).eval(),
        tuple(inputs.values()),
        dynamo=True,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=["translation_m", "residual_px", "success"],
        dynamic_shapes=(shapes,),
        verbose=False,
    )
    model = program.model_proto
    for node in model.graph.node:  # where in the source each comes from: most of the file
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    return model.SerializeToString()


if __name__ == "__main__":
    for name, path in FILES.items():
        content = export(name)
        with atomic_write(path) as file:
            file.write(content)
        print(f"{path.relative_to(ROOT)}: {len(content) >> 10} kB")
    write_checksums()
