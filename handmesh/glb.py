"""The hands of a picture as binary glTF 2.0, which 3D programs and web pages open.

Written here because `pygltflib` would bring eight more packages for one header and three arrays per hand.
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handmesh.drawing.mesh import vertex_normals
from handmesh.drawing.photo import HAND_COLORS
from handmesh.files import atomic_write
from handmesh.hand import Hand

CAMERA_TO_GLTF = np.array([1.0, -1.0, -1.0])  # x right, y up, z backward: half a turn around x
UNSIGNED_SHORT, FLOAT = 5123, 5126
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
    binary = bytearray()
    content: dict[str, list] = {key: [] for key in ("nodes", "meshes", "materials", "accessors", "bufferViews")}

    def add(array: np.ndarray, use: int, **description: object) -> int:
        content["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes, "target": use}
        )
        content["accessors"].append({"bufferView": len(content["bufferViews"]) - 1, "count": len(array), **description})
        binary.extend(array.tobytes() + bytes(-array.nbytes % 4))
        return len(content["accessors"]) - 1

    for hand in hands:
        if not np.isfinite(hand.vertices_m).all():
            continue
        vertices, triangles = (hand.vertices_m * CAMERA_TO_GLTF).astype("<f4"), faces[hand.side]
        normals = vertex_normals(vertices.astype(float), triangles).astype("<f4")
        bounds = {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()}
        attributes = {
            "POSITION": add(vertices, VERTICES, componentType=FLOAT, type="VEC3", **bounds),
            "NORMAL": add(normals, VERTICES, componentType=FLOAT, type="VEC3"),
        }
        indices = add(triangles.astype("<u2").ravel(), INDICES, componentType=UNSIGNED_SHORT, type="SCALAR")
        primitive = {"attributes": attributes, "indices": indices, "material": len(content["materials"])}
        number = sum(node["name"].startswith(hand.side) for node in content["nodes"]) + 1
        content["nodes"].append({"name": f"{hand.side}_{number}", "mesh": len(content["meshes"])})
        content["meshes"].append({"name": f"{hand.side}_{number}", "primitives": [primitive]})
        content["materials"].append(_material(hand.side))

    document: dict[str, object] = {"asset": {"version": "2.0", "generator": "handmesh"}, "scene": 0, "scenes": [{}]}
    if binary:  # glTF allows no empty lists
        document |= content | {
            "scenes": [{"nodes": list(range(len(content["nodes"])))}],
            "buffers": [{"byteLength": len(binary)}],
        }
    text = json.dumps(document, separators=(",", ":")).encode()
    chunks = _chunk(b"JSON", text + b" " * (-len(text) % 4)) + (_chunk(b"BIN\0", bytes(binary)) if binary else b"")
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("<I4s", len(content), kind) + content


def _material(side: str) -> dict:
    color = [round(float(value) ** SRGB_GAMMA, 4) for value in HAND_COLORS[side]]
    surface = {"baseColorFactor": [*color, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
    return {"name": side, "pbrMetallicRoughness": surface, "doubleSided": True}  # hands are open at the wrist
