"""Reading mesh files."""

from pathlib import Path

import numpy as np
import trimesh

from handmesh.errors import InputError


def read_mesh(path: Path) -> trimesh.Trimesh:
    """Read a triangle mesh with its vertices in the order of the file. Raises InputError."""
    try:
        mesh = trimesh.load(path, process=False, maintain_order=True, force="mesh")
    except Exception as error:  # readers raise whatever the damage provokes
        raise InputError(f"{path}: cannot be read as a mesh ({error})") from error
    if not faces_fit(np.asarray(mesh.faces), len(mesh.vertices)) or not np.isfinite(mesh.vertices).all():
        raise InputError(f"{path}: expected a triangle mesh with finite vertices, and faces that name them")
    return mesh


def faces_fit(faces: np.ndarray, num_vertices: int) -> bool:
    """Whether these are triangles (F, 3), at least one, that name existing vertices."""
    return faces.ndim == 2 and faces.shape[1] == 3 and len(faces) > 0 and 0 <= faces.min() <= faces.max() < num_vertices
