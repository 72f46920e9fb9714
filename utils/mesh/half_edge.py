"""Half-edge connectivity, built face by face.

The order in which a vertex circulates its neighbours, and where it starts, decides the spirals and with them whether
a released checkpoint works. Both depend on the order in which faces were added, so this follows the incremental
construction of OpenMesh (`PolyConnectivity::add_face`), which the released checkpoints were made with.
"""

from collections.abc import Iterator, Sequence

from handmesh.errors import InputError

NONE = -1


class HalfEdgeMesh:
    """Connectivity of a manifold polygon mesh, with or without boundary.

    Half-edges come in pairs: the opposite of half-edge h is h ^ 1.

    Args:
        num_vertices: number of vertices; vertices without a face have no neighbours.
        faces: vertex indices of each face, consistently oriented.

    Raises:
        InputError: an edge has more than two faces or is traversed twice in one direction, or the faces around a
            vertex do not form one fan.
    """

    def __init__(self, num_vertices: int, faces: Sequence[Sequence[int]]) -> None:
        self.target: list[int] = []  # vertex that a half-edge points to
        self.next: list[int] = []
        self.previous: list[int] = []
        self.face: list[int] = []
        self.outgoing = [NONE] * num_vertices  # one half-edge of each vertex; a boundary one where there is one
        self._between: dict[tuple[int, int], int] = {}
        for index, face in enumerate(faces):
            self._add_face(index, [int(vertex) for vertex in face])

    def neighbours(self, vertex: int) -> Iterator[int]:
        """One-ring of a vertex, clockwise, from its outgoing half-edge on."""
        start = half_edge = self.outgoing[vertex]
        while half_edge != NONE:
            yield self.target[half_edge]
            half_edge = self.next[half_edge ^ 1]
            if half_edge == start:
                return

    def is_boundary(self, vertex: int) -> bool:
        """Whether the vertex lies on a boundary or has no face at all."""
        return self.outgoing[vertex] == NONE or self.face[self.outgoing[vertex]] == NONE

    def _new_edge(self, source: int, target: int) -> int:
        half_edge = len(self.target)
        self.target += [target, source]
        for links in (self.next, self.previous, self.face):
            links += [NONE, NONE]
        self._between[source, target] = half_edge
        self._between[target, source] = half_edge ^ 1
        return half_edge

    def _add_face(self, index: int, vertices: list[int]) -> None:
        corners = range(len(vertices))
        ring = [(vertices[i - 1], vertices[i]) for i in corners]  # edge i ends in vertex i
        edges = [self._between.get(pair, NONE) for pair in ring]
        is_new = [edge == NONE for edge in edges]
        if len(set(vertices)) != len(vertices) or not all(self.is_boundary(vertex) for vertex in vertices):
            raise InputError(f"face {index} {vertices}: the mesh is not manifold at one of its vertices")
        if any(edge != NONE and self.face[edge] != NONE for edge in edges):
            raise InputError(f"face {index} {vertices}: one of its edges already has a face on this side")

        # Links are written only when all of them are known: each step below reads the connectivity as it was.
        links: list[tuple[int, int]] = []
        for i in corners:
            following = (i + 1) % len(vertices)
            if not is_new[i] and not is_new[following] and self.next[edges[i]] != edges[following]:
                links += self._relinked_patch(index, edges[i], edges[following])
        for i in corners:
            if is_new[i]:
                edges[i] = self._new_edge(*ring[i])

        needs_adjusting = []
        for i in corners:
            following = (i + 1) % len(vertices)
            vertex, inner, inner_next = vertices[i], edges[i], edges[following]
            if not is_new[i] and not is_new[following]:
                if self.outgoing[vertex] == inner_next:
                    needs_adjusting.append(vertex)
            else:
                links += self._outer_links(vertex, inner, inner_next, is_new[i], is_new[following])
                links.append((inner, inner_next))
            self.face[inner] = index

        for half_edge, following in links:
            self.next[half_edge] = following
            self.previous[following] = half_edge
        for vertex in needs_adjusting:
            self._start_at_boundary(vertex)

    def _relinked_patch(self, index: int, inner: int, inner_next: int) -> list[tuple[int, int]]:
        """Both edges exist but do not follow each other: move the patch between them into another gap."""
        gap = inner_next ^ 1
        while True:
            gap = self.next[gap] ^ 1
            if self.face[gap] == NONE:
                break
        if gap == inner:
            raise InputError(f"face {index}: the faces around one of its vertices do not form one fan")
        return [
            (gap, self.next[inner]),
            (self.previous[inner_next], self.next[gap]),
            (inner, inner_next),
        ]

    def _outer_links(
        self, vertex: int, inner: int, inner_next: int, is_new: bool, next_is_new: bool
    ) -> list[tuple[int, int]]:
        """Links of the outer half-edges around a corner with at least one new edge; sets the outgoing half-edge."""
        outer, outer_next = inner_next ^ 1, inner ^ 1
        if not next_is_new:
            self.outgoing[vertex] = outer_next
            return [(self.previous[inner_next], outer_next)]
        if not is_new:
            boundary_next = self.next[inner]
            self.outgoing[vertex] = boundary_next
            return [(outer, boundary_next)]
        if self.outgoing[vertex] == NONE:
            self.outgoing[vertex] = outer_next
            return [(outer, outer_next)]
        boundary_next = self.outgoing[vertex]
        return [(self.previous[boundary_next], outer_next), (outer, boundary_next)]

    def _start_at_boundary(self, vertex: int) -> None:
        start = half_edge = self.outgoing[vertex]
        while True:
            if self.face[half_edge] == NONE:
                self.outgoing[vertex] = half_edge
                return
            half_edge = self.next[half_edge ^ 1]
            if half_edge == start:
                return
