"""A hand mesh network as a file: what goes in, what comes out, and what it was trained to see."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from handmesh.confidence import Calibration
from handmesh.errors import InputError
from handmesh.joints import NUM_JOINTS
from handmesh.runtime import OnnxModel

JOINT_ORDER = "FreiHAND"
FROM_LANDMARKS, FROM_OUTLINE = "landmarks", "outline"


@dataclass(frozen=True)
class Traits:
    """What callers have to know about a kind of network.

    Attributes:
        margin: side of the crop over the hand's box, as trained.
        far_margin: side of a wider crop that it can still look at; None: it has not been trained for one.
        upright: the hand is turned upright in the crop, so that it has to be found first; otherwise the crops are
            those of FreiHAND.
        knows_sides: it has an output `mirrored` and so tells left hands from right ones.
        registration: `landmarks` for a network whose output `landmarks` are means, fitted where they were seen;
            `outline` for heat maps whose maxima are the landmarks, and a silhouette fine enough to be fitted.
    """

    margin: float
    far_margin: float | None
    upright: bool
    knows_sides: bool
    registration: str


@dataclass(frozen=True)
class Description:
    """All that is known about a network beside its weights; kept as metadata of its file.

    Attributes:
        name: of the architecture.
        traits: of the architecture.
        size_px: side of the input.
        mean, std: input is (rgb / 255 - mean) / std.
        template_digest: identifies the surface whose vertices it predicts.
        faces: (F, 3) triangles of a right hand, outward.
        joint_regressor: (21, V) joints in FreiHAND order from the vertices.
        calibration: of the confidence.
    """

    name: str
    traits: Traits
    size_px: int
    mean: float
    std: float
    template_digest: str
    faces: np.ndarray
    joint_regressor: np.ndarray
    calibration: Calibration

    def to_metadata(self) -> dict[str, str]:
        """As the strings that an ONNX file carries."""
        joints, vertices = np.nonzero(self.joint_regressor)
        weights = self.joint_regressor[joints, vertices]
        values = {
            "name": self.name,
            "joint_order": JOINT_ORDER,
            "traits": asdict(self.traits),
            "size_px": self.size_px,
            "mean": self.mean,
            "std": self.std,
            "template_digest": self.template_digest,
            "faces": self.faces.tolist(),
            "joint_regressor": {
                "shape": self.joint_regressor.shape,
                "rows": [joints.tolist(), vertices.tolist(), weights.tolist()],
            },
            "calibration": asdict(self.calibration),
        }
        return {name: json.dumps(value) for name, value in values.items()}

    @staticmethod
    def from_metadata(metadata: dict[str, str], source: Path) -> "Description":
        """Read back what `to_metadata` wrote. Raises InputError, naming the source, if it is something else."""
        try:
            values = {name: json.loads(metadata[name]) for name in (*Description.__dataclass_fields__, "joint_order")}
            if values.pop("joint_order") != JOINT_ORDER:
                raise ValueError("unknown order of the joints")
            sparse = values["joint_regressor"]
            joints, vertices, weights = sparse["rows"]
            regressor = np.zeros(sparse["shape"])
            regressor[joints, vertices] = weights
            faces = np.array(values["faces"], np.int64)
            if regressor.shape[0] != NUM_JOINTS or faces.shape[1:] != (3,) or faces.max() >= regressor.shape[1]:
                raise ValueError("faces and joints do not fit each other")
            return Description(
                **values
                | {
                    "traits": Traits(**values["traits"]),
                    "faces": faces,
                    "joint_regressor": regressor,
                    "calibration": Calibration.from_json(values["calibration"]),
                }
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"{source}: an ONNX file, but not a hand mesh network of this project ({error!r}); write one with the "
                "export phase"
            ) from error


class Network(Protocol):
    """Anything that predicts hands from crops."""

    description: Description

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs for a batch of normalised crops (B, 3, S, S) float32.

        Returns:
            `mesh_pred_0` (B, V, 3) relative to the wrist in units of 0.2 m, `uv_pred` (B, 21, h, w) and `mask_pred`
            (B, h, w) probabilities; where it has them `landmarks` (B, 21, 2) in pixels of the crop and `mirrored`
            (B,), the probability of a hand of the other side.
        """
        ...


class OnnxNetwork:
    """A network from a file, on the CPU; see `Network`.

    Args:
        path: of an ONNX file that the export phase wrote.
        threads: see `OnnxModel`.

    Raises:
        InputError: the file is missing, damaged, or another network's.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.model = OnnxModel(path, threads)
        self.description = Description.from_metadata(self.model.metadata, self.model.path)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return self.model({"image": images})
