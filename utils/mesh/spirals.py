"""Spiral neighbourhoods: the order in which SpiralConv reads the vertices around a vertex."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

from handmesh.errors import InputError
from utils.mesh.half_edge import HalfEdgeMesh


def extract_spirals(vertices: np.ndarray, faces: np.ndarray, length: int, dilation: int = 1) -> np.ndarray:
    """Spiral of every vertex: itself, its one-ring, then ring after ring.

    Args:
        vertices: (V, 3) positions; used only where a component has too few vertices for a spiral, which then holds
            the nearest vertices instead.
        faces: (F, 3) vertex indices.
        length: entries per spiral.
        dilation: keep every `dilation`-th entry of a spiral `dilation` times as long.

    Returns:
        (V, length) int64.

    Raises:
        InputError: the mesh is not manifold, or has fewer than length * dilation vertices.
    """
    reach = length * dilation
    if reach > len(vertices):
        raise InputError(
            f"a spiral of {length} x dilation {dilation} needs {reach} vertices, the level has {len(vertices)}"
        )
    mesh = HalfEdgeMesh(len(vertices), faces)
    nearest = KDTree(vertices)
    spirals = np.empty((len(vertices), reach), np.int64)
    for vertex, position in enumerate(vertices):
        spiral = _spiral(mesh, vertex, reach)
        spirals[vertex] = nearest.query(position, k=reach)[1] if spiral is None else spiral
    return spirals[:, ::dilation]


def _spiral(mesh: HalfEdgeMesh, vertex: int, reach: int) -> list[int] | None:
    spiral = [vertex]
    ring = list(mesh.neighbours(vertex))
    while ring and len(spiral) < reach:
        spiral += ring
        ring = _next_ring(mesh, ring, spiral)
    return spiral[:reach] if len(spiral) >= reach else None


def _next_ring(mesh: HalfEdgeMesh, last_ring: Sequence[int], spiral: Sequence[int]) -> list[int]:
    """New neighbours of the last ring; each vertex is circulated from where it first meets the last ring."""
    on_last_ring = set(last_ring)
    seen = set(spiral)
    ring: list[int] = []
    for vertex in last_ring:
        neighbours = list(mesh.neighbours(vertex))
        first = next((i for i, other in enumerate(neighbours) if other in on_last_ring), 0)
        for other in neighbours[first:] + neighbours[:first]:
            if other not in seen:
                seen.add(other)
                ring.append(other)
    return ring
