"""The hands of a picture as binary glTF 2.0, which 3D programs and web pages open.

Written here because `pygltflib` would bring eight more packages for one header and three arrays per hand.
"""

import json
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handmesh.drawing.mesh import vertex_normals
from handmesh.drawing.photo import HAND_COLORS
from handmesh.files import atomic_write
from handmesh.hand import Hand

CAMERA_TO_GLTF = np.array([1.0, -1.0, -1.0])  # x right, y up, z backward: half a turn around x
COMPONENTS = {"|u1": 5121, "<u2": 5123, "<f4": 5126}
VERTICES, INDICES = 34962, 34963  # what a buffer view is for
SRGB_GAMMA = 2.2  # glTF's colours are linear


def write_glb(path: str | Path, hands: Sequence[Hand], faces: dict[str, np.ndarray]) -> None:
    """Write `glb_bytes` to a file. Raises InputError if that cannot be done."""
    with atomic_write(path) as file:
        file.write(glb_bytes(hands, faces))


def glb_bytes(hands: Sequence[Hand], faces: dict[str, np.ndarray]) -> bytes:
    """One scene with a node and a mesh for each hand, named `right_1`, `left_1`, `right_2`...

    The frame is glTF's: metres, x right, y up, z backward, with the picture's camera at the origin, looking down -z.
    A hand that is not finite is left out.

    Args:
        faces: triangles (F, 3) of right and left hands, outward, of at most 65535 vertices.
    """
    scene = Scene()
    sides: Counter[str] = Counter()
    for hand in hands:
        if np.isfinite(hand.vertices_m).all():
            sides[hand.side] += 1
            name = f"{hand.side}_{sides[hand.side]}"
            mesh = scene.mesh(name, hand.vertices_m * CAMERA_TO_GLTF, faces[hand.side], hand.side)
            scene.roots.append(scene.add("nodes", name=name, mesh=mesh))
    return scene.to_bytes()


class Scene:
    """A glTF file as it grows.

    Attributes:
        roots: numbers of the nodes that nothing is above.
    """

    def __init__(self) -> None:
        self.roots: list[int] = []
        self._content: dict[str, list[dict]] = {}
        self._binary = bytearray()

    def add(self, kind: str, **description: object) -> int:
        """Add a node, skin, animation, ...; returns its number among its kind."""
        several = self._content.setdefault(kind, [])
        several.append(description)
        return len(several) - 1

    def array(self, values: np.ndarray, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """Add numbers, `kind` as glTF names their shape (`VEC3`, ...); returns the number of the accessor.

        Args:
            target: what the buffer view is for, where it is for the graphics card.
            bounds: state the smallest and largest values.
        """
        used = {} if target is None else {"target": target}
        view = self.add("bufferViews", buffer=0, byteOffset=len(self._binary), byteLength=values.nbytes, **used)
        self._binary.extend(values.tobytes() + bytes(-values.nbytes % 4))
        limits: dict[str, object] = {}
        if bounds:
            flat = values.reshape(len(values), -1)
            limits = {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        number = COMPONENTS[values.dtype.str]
        return self.add("accessors", bufferView=view, count=len(values), type=kind, componentType=number, **limits)

    def mesh(self, name: str, vertices: np.ndarray, faces: np.ndarray, side: str, **attributes: int) -> int:
        """Add the surface of a hand, vertices (V, 3) in glTF's frame; `attributes` are accessors of its vertices."""
        vertices = vertices.astype("<f4")
        normals = vertex_normals(vertices.astype(float), faces).astype("<f4")
        attributes |= {
            "POSITION": self.array(vertices, "VEC3", VERTICES, bounds=True),
            "NORMAL": self.array(normals, "VEC3", VERTICES),
        }
        indices = self.array(faces.astype("<u2").ravel(), "SCALAR", INDICES)
        material = self.add("materials", **_material(side))
        return self.add(
            "meshes", name=name, primitives=[{"attributes": attributes, "indices": indices, "material": material}]
        )

    def to_bytes(self) -> bytes:
        """The file."""
        document: dict[str, object] = {"asset": {"version": "2.0", "generator": "handmesh"}, "scene": 0, "scenes": [{}]}
        if self._binary:  # glTF allows no empty lists
            scenes, buffers = [{"nodes": self.roots}], [{"byteLength": len(self._binary)}]
            document |= {**self._content, "scenes": scenes, "buffers": buffers}
        text = json.dumps(document, separators=(",", ":")).encode()
        chunks = _chunk(b"JSON", text + b" " * (-len(text) % 4))
        chunks += _chunk(b"BIN\0", bytes(self._binary)) if self._binary else b""
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("<I4s", len(content), kind) + content


def _material(side: str) -> dict:
    color = [round(float(value) ** SRGB_GAMMA, 4) for value in HAND_COLORS[side]]
    surface = {"baseColorFactor": [*color, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
    return {"name": side, "pbrMetallicRoughness": surface, "doubleSided": True}  # hands are open at the wrist
