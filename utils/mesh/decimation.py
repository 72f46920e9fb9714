"""Quadric decimation that keeps a subset of the vertices (Garland and Heckbert 1997)."""

import heapq

import numpy as np

from handmesh.errors import InputError

BOUNDARY_WEIGHT = 1000.0  # keeps the outline of open meshes (the wrist) in place


def decimate(vertices: np.ndarray, faces: np.ndarray, num_kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Collapse edges onto one of their two ends until `num_kept` vertices are left.

    Every kept vertex *is* a vertex of the input, so skinning weights and targets carry over by selection. A collapse
    is refused if it would make the mesh non-manifold or flip a face.

    Args:
        vertices: (V, 3) positions.
        faces: (F, 3) vertex indices, manifold.
        num_kept: number of vertices to keep.

    Returns:
        kept: (num_kept,) indices into `vertices`, ascending; faces: (F', 3) indices into `kept`.

    Raises:
        InputError: no further edge can be collapsed.
    """
    return _Decimation(np.asarray(vertices, np.float64), np.asarray(faces)).run(num_kept)


class _Decimation:
    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        self.vertices = vertices
        self.faces: dict[int, tuple[int, int, int]] = {i: tuple(map(int, face)) for i, face in enumerate(faces)}
        self.faces_of: list[set[int]] = [set() for _ in vertices]
        for index, face in self.faces.items():
            for vertex in face:
                self.faces_of[vertex].add(index)
        self.alive = {vertex for vertex, around in enumerate(self.faces_of) if around}
        self.quadrics = self._initial_quadrics()
        self.version = [0] * len(vertices)
        self.heap: list[tuple[float, int, int, int, int]] = []
        for vertex in sorted(self.alive):
            self._push_edges(vertex, only_larger=True)

    def run(self, num_kept: int) -> tuple[np.ndarray, np.ndarray]:
        while len(self.alive) > num_kept:
            if not self.heap:
                raise InputError(f"the mesh cannot be reduced below {len(self.alive)} vertices, {num_kept} were asked")
            _, removed, kept, removed_version, kept_version = heapq.heappop(self.heap)
            current = (self.version[removed], self.version[kept]) == (removed_version, kept_version)
            if current and self._may_collapse(removed, kept):
                self._collapse(removed, kept)
        order = np.array(sorted(self.alive))
        renumber = {vertex: i for i, vertex in enumerate(order)}
        faces = np.array([[renumber[vertex] for vertex in self.faces[i]] for i in sorted(self.faces)])
        return order, faces

    def _initial_quadrics(self) -> np.ndarray:
        """Sum of the squared distances to the planes around each vertex, as (V, 4, 4) quadratic forms."""
        quadrics = np.zeros((len(self.vertices), 4, 4))
        for a, b, c in self.faces.values():
            normal = np.cross(self.vertices[b] - self.vertices[a], self.vertices[c] - self.vertices[a])
            area = np.linalg.norm(normal)
            if area == 0:
                continue
            quadric = self._plane_quadric(normal / area, a) * area
            for vertex in (a, b, c):
                quadrics[vertex] += quadric
            for start, end in ((a, b), (b, c), (c, a)):
                if len(self.faces_of[start] & self.faces_of[end]) == 1:  # boundary: a wall across the face
                    edge = self.vertices[end] - self.vertices[start]
                    wall = np.cross(edge, normal / area)
                    wall_quadric = self._plane_quadric(wall / np.linalg.norm(wall), start)
                    quadrics[[start, end]] += BOUNDARY_WEIGHT * wall_quadric * (edge @ edge)
        return quadrics

    def _plane_quadric(self, normal: np.ndarray, vertex: int) -> np.ndarray:
        plane = np.append(normal, -normal @ self.vertices[vertex])
        return np.outer(plane, plane)

    def _neighbours(self, vertex: int) -> set[int]:
        return {other for face in self.faces_of[vertex] for other in self.faces[face]} - {vertex}

    def _push_edges(self, vertex: int, only_larger: bool = False) -> None:
        for other in sorted(self._neighbours(vertex)):
            if only_larger and other < vertex:
                continue
            quadric = self.quadrics[vertex] + self.quadrics[other]
            # Both directions: either end may be the one that stays.
            for removed, kept in ((vertex, other), (other, vertex)):
                position = np.append(self.vertices[kept], 1.0)
                cost = float(position @ quadric @ position)
                heapq.heappush(self.heap, (cost, removed, kept, self.version[removed], self.version[kept]))

    def _may_collapse(self, removed: int, kept: int) -> bool:
        shared_faces = self.faces_of[removed] & self.faces_of[kept]
        shared_neighbours = self._neighbours(removed) & self._neighbours(kept)
        if len(shared_neighbours) != len(shared_faces):  # link condition
            return False
        if len(shared_faces) == 2 and self._on_boundary(removed) and self._on_boundary(kept):
            return False  # would pinch the mesh between two stretches of boundary
        if self._on_boundary(removed) and not self._on_boundary(kept):
            return False  # the outline does not move inwards
        if any(len(self.faces_of[opposite]) == 1 for opposite in shared_neighbours):
            return False  # would leave a vertex without a face
        for face in self.faces_of[removed] - shared_faces:
            before = self.faces[face]
            after = tuple(kept if vertex == removed else vertex for vertex in before)
            if self._normal(before) @ self._normal(after) <= 0:
                return False
        return True

    def _on_boundary(self, vertex: int) -> bool:
        return len(self._neighbours(vertex)) != len(self.faces_of[vertex])

    def _normal(self, face: tuple[int, ...]) -> np.ndarray:
        a, b, c = self.vertices[list(face)]
        return np.cross(b - a, c - a)

    def _collapse(self, removed: int, kept: int) -> None:
        for face in list(self.faces_of[removed]):
            if kept in self.faces[face]:
                for vertex in self.faces.pop(face):
                    self.faces_of[vertex].discard(face)
            else:
                self.faces[face] = tuple(kept if vertex == removed else vertex for vertex in self.faces[face])
                self.faces_of[kept].add(face)
        self.faces_of[removed].clear()
        self.alive.discard(removed)
        self.quadrics[kept] += self.quadrics[removed]
        for vertex in (removed, kept):
            self.version[vertex] += 1
        self._push_edges(kept)
        for neighbour in self._neighbours(kept):  # edges refused before may be allowed now
            self.version[neighbour] += 1
        for neighbour in self._neighbours(kept):
            self._push_edges(neighbour)
