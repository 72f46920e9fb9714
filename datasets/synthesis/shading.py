"""Light on surfaces, compiled by numba: ambient light with occlusion per vertex, everything else per pixel.

Compiled functions take constants as arguments: numba would freeze them into the machine code that it keeps on disk.
"""

import numba
import numpy as np

from datasets.synthesis.rasterizer import empty_buffers, rasterize

NUM_AMBIENT = 20  # directions that ambient light comes from
OCCLUSION_CELL_M = 0.005
OCCLUSION_CELLS = 72  # a box of 36 cm around the hand
OCCLUSION_BIAS_M = 0.006
STEEPEST_SLOPE = 5.0
SHADOW_SIZE = 160
SHADOW_REACH_M = 0.14  # around the hand
SHADOW_BIAS_M = 0.004
LIGHT_DISTANCE_M = 10.0  # far off: rays of the key light are parallel
SRGB_TO_LINEAR = np.where(
    np.arange(256) / 255 <= 0.04045, np.arange(256) / 255 / 12.92, ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4
).astype(np.float32)


def sphere_directions(count: int) -> np.ndarray:
    """Evenly spread unit vectors (count, 3): a Fibonacci lattice."""
    number = np.arange(count) + 0.5
    z = 1 - 2 * number / count
    turn = np.pi * (1 + 5**0.5) * number
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1).astype(np.float32)


AMBIENT_DIRECTIONS = sphere_directions(NUM_AMBIENT)


def frame_along(direction: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) whose third row is a unit direction."""
    aside = np.cross(direction, np.eye(3)[np.argmin(np.abs(direction))])
    aside /= np.linalg.norm(aside)
    return np.stack([aside, np.cross(direction, aside), direction]).astype(np.float32)


AMBIENT_FRAMES = np.stack([frame_along(direction) for direction in AMBIENT_DIRECTIONS])


@numba.njit(cache=True, fastmath=True)
def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32, weighted by area; faces (F, 3) are oriented outwards."""
    normals = np.zeros((len(vertices), 3), np.float32)
    for face in range(len(faces)):
        a, b, c = faces[face]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    for vertex in range(len(normals)):
        length = np.sqrt(normals[vertex, 0] ** 2 + normals[vertex, 1] ** 2 + normals[vertex, 2] ** 2)
        if length > 0:
            normals[vertex] /= length
    return normals


def ambient_light(
    vertices: np.ndarray, normals: np.ndarray, center: np.ndarray, frames: np.ndarray, radiance: np.ndarray
) -> np.ndarray:
    """Ambient light at each vertex, less what the others block.

    The vertices themselves, as points of a small orthographic depth map per direction, are what blocks.

    Args:
        vertices: (V, 3), normals: (V, 3), center: (3,) of the hand, metres.
        frames: (D, 3, 3), rows: two axes across and the direction that light comes from.
        radiance: (D, 3) from each direction.

    Returns:
        (V, 5): irradiance over pi, RGB; the share of directions that is open; and the luminance that the surface
        mirrors to a camera at the origin.
    """
    occlusion = (OCCLUSION_CELLS, OCCLUSION_CELL_M, OCCLUSION_BIAS_M, STEEPEST_SLOPE)
    return _ambient_light(vertices, normals, center, frames, radiance, occlusion)


@numba.njit(cache=True, fastmath=True)
def _ambient_light(
    vertices: np.ndarray,
    normals: np.ndarray,
    center: np.ndarray,
    frames: np.ndarray,
    radiance: np.ndarray,
    occlusion: tuple[int, float, float, float],
) -> np.ndarray:
    side, cell_m, bias_m, steepest = occlusion
    light = np.zeros((len(vertices), 5), np.float32)
    depth_map = np.empty((side, side), np.float32)
    half = side / 2
    facing_total = np.zeros(len(vertices), np.float32)
    count = len(vertices)
    cells = np.empty((count, 2), np.int32)
    height = np.empty(count, np.float32)
    for d in range(len(frames)):
        depth_map[:] = -1e3
        for v in range(count):
            x, y, z = vertices[v, 0] - center[0], vertices[v, 1] - center[1], vertices[v, 2] - center[2]
            f = frames[d]
            column = int((f[0, 0] * x + f[0, 1] * y + f[0, 2] * z) / cell_m + half)
            row = int((f[1, 0] * x + f[1, 1] * y + f[1, 2] * z) / cell_m + half)
            height[v] = f[2, 0] * x + f[2, 1] * y + f[2, 2] * z
            cells[v, 0] = min(max(row, 1), side - 2)
            cells[v, 1] = min(max(column, 1), side - 2)
            if height[v] > depth_map[cells[v, 0], cells[v, 1]]:
                depth_map[cells[v, 0], cells[v, 1]] = height[v]
        for v in range(count):
            f = frames[d]
            facing = f[2, 0] * normals[v, 0] + f[2, 1] * normals[v, 1] + f[2, 2] * normals[v, 2]
            if facing <= 0:
                continue
            slope = min(np.sqrt(1 - min(facing, np.float32(1)) ** 2) / facing, steepest)
            bias = bias_m + 2 * cell_m * slope  # a slanted surface does not block itself
            open_cells = 0
            for row in range(cells[v, 0] - 1, cells[v, 0] + 2):
                for column in range(cells[v, 1] - 1, cells[v, 1] + 2):
                    open_cells += depth_map[row, column] < height[v] + bias
            seen = facing * open_cells / 9
            facing_total[v] += facing
            for k in range(3):
                light[v, k] += seen * radiance[d, k]
            light[v, 3] += seen
    for v in range(count):
        for k in range(3):
            light[v, k] *= 4.0 / len(frames)  # solid angle 4 pi / D of each direction, over pi
        light[v, 3] /= max(facing_total[v], 1e-6)
        light[v, 4] = _mirrored(vertices[v], normals[v], frames, radiance)
    return light


@numba.njit(cache=True, fastmath=True)
def _mirrored(position: np.ndarray, normal: np.ndarray, frames: np.ndarray, radiance: np.ndarray) -> float:
    """Mean luminance of the directions around the mirrored ray from the camera."""
    x, y, z = position
    distance = np.sqrt(x * x + y * y + z * z)
    along = -2 * (x * normal[0] + y * normal[1] + z * normal[2])
    x, y, z = (x + along * normal[0]) / distance, (y + along * normal[1]) / distance, (z + along * normal[2]) / distance
    total, weights = 0.0, 1e-6
    for d in range(len(frames)):
        near = x * frames[d, 2, 0] + y * frames[d, 2, 1] + z * frames[d, 2, 2] - 0.5
        if near > 0:
            luminance = 0.2126 * radiance[d, 0] + 0.7152 * radiance[d, 1] + 0.0722 * radiance[d, 2]
            total += near * near * luminance
            weights += near * near
    return total / weights


def shadow_map(vertices: np.ndarray, faces: np.ndarray, center: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Inverse distance (160, 160) from a plane far off towards the key light; frame as in `ambient_light`."""
    turned = (vertices - center) @ frame.T
    scale = SHADOW_SIZE / (2 * SHADOW_REACH_M)
    points = (turned[:, :2] * scale + (SHADOW_SIZE - 1) / 2).astype(np.float32)
    index, inverse = empty_buffers(SHADOW_SIZE, SHADOW_SIZE)
    rasterize(points, (LIGHT_DISTANCE_M - turned[:, 2]).astype(np.float32), faces, index, inverse)
    return inverse


@numba.njit(cache=True, fastmath=True)
def _lit(shadow: np.ndarray, x: float, y: float, distance: float, bias: float) -> float:
    """Share of the 3 x 3 samples of the shadow map around a point that the key light reaches."""
    row, column, total = int(np.floor(y)), int(np.floor(x)), 0.0
    fy, fx = y - row, x - column
    for j in range(-1, 3):
        for i in range(-1, 3):
            r, c = row + j, column + i
            weight = (1 - fy if j == -1 else fy if j == 2 else 1.0) * (1 - fx if i == -1 else fx if i == 2 else 1.0)
            inside = 0 <= r < shadow.shape[0] and 0 <= c < shadow.shape[1]
            if not inside or shadow[r, c] * (distance - bias) < 1:
                total += weight
    return total / 9


def shade(
    picture: np.ndarray,
    face_index: np.ndarray,
    face_range: tuple[int, int],
    mesh: tuple,
    material: tuple,
    key: tuple,
) -> None:
    """Write the light that leaves the visible faces of one surface towards the camera into a picture, linear RGB.

    Args:
        picture: (H, W, 3) float32, written where the surface is seen.
        face_index: (H, W) from `rasterize`.
        face_range: first face of the surface in the scene, and the one after its last.
        mesh: points (V, 2) px, vertices (V, 3), normals (V, 3), light (V, 5) of the whole scene, faces (F, 3), and
            uv (F', 3, 2) of the surface.
        material: texture (h, w, 3) uint8 sRGB, table (256,) to linear, tint (3,), gloss, sharpness, scatter, detail
            (h', w') uint8 and its strength, see `Surface`.
        key: direction (3,) towards the light, irradiance (3,) over pi, shadow map, its frame (3, 3), centre (3,).
    """
    _shade(picture, face_index, face_range, mesh, material, key, (SHADOW_REACH_M, SHADOW_BIAS_M, LIGHT_DISTANCE_M))


@numba.njit(cache=True, fastmath=True)
def _shade(
    picture: np.ndarray,
    face_index: np.ndarray,
    face_range: tuple[int, int],
    mesh: tuple,
    material: tuple,
    key: tuple,
    shadows: tuple[float, float, float],
) -> None:
    points, vertices, normals, light, faces, uv = mesh
    texture, table, tint, gloss, sharpness, scatter, detail, strength = material
    direction, irradiance, shadow, frame, center = key
    reach_m, bias_m, light_distance_m = shadows
    rows, columns = texture.shape[:2]
    shadow_scale = shadow.shape[0] / np.float32(2 * reach_m)
    shadow_half = np.float32((shadow.shape[0] - 1) / 2)
    normal, position, color = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    for y in range(face_index.shape[0]):
        for x in range(face_index.shape[1]):
            face = face_index[y, x]
            if face < face_range[0] or face >= face_range[1]:
                continue
            a, b, c = faces[face]
            ax, ay = points[a, 0], points[a, 1]
            abx, aby, acx, acy = points[b, 0] - ax, points[b, 1] - ay, points[c, 0] - ax, points[c, 1] - ay
            area = abx * acy - aby * acx
            if area == 0:
                continue
            wb = ((x - ax) * acy - (y - ay) * acx) / area
            wc = (abx * (y - ay) - aby * (x - ax)) / area
            wa = (1 - wb - wc) / vertices[a, 2]  # perspective: weights over depth
            wb, wc = wb / vertices[b, 2], wc / vertices[c, 2]
            total = wa + wb + wc
            wa, wb, wc = wa / total, wb / total, wc / total
            length = np.float32(0)
            distance = np.float32(0)
            for k in range(3):
                normal[k] = wa * normals[a, k] + wb * normals[b, k] + wc * normals[c, k]
                position[k] = wa * vertices[a, k] + wb * vertices[b, k] + wc * vertices[c, k]
                length += normal[k] * normal[k]
                distance += position[k] * position[k]
            length, distance = np.sqrt(length) + np.float32(1e-9), np.sqrt(distance)
            facing = np.float32(0)
            for k in range(3):
                normal[k] /= length
                facing -= normal[k] * position[k] / distance
            if facing < 0:  # the inside of an open surface
                facing = -facing
                for k in range(3):
                    normal[k] = -normal[k]
            local = uv[face - face_range[0]]
            u = wa * local[0, 0] + wb * local[1, 0] + wc * local[2, 0]
            v = wa * local[0, 1] + wb * local[1, 1] + wc * local[2, 1]
            detail_row = min(max(int(v * detail.shape[0]), 0), detail.shape[0] - 1)
            detail_column = min(max(int(u * detail.shape[1]), 0), detail.shape[1] - 1)
            factor = 1 + strength * (detail[detail_row, detail_column] / np.float32(128) - 1)
            u, v = u * columns - np.float32(0.5), v * rows - np.float32(0.5)
            u0, v0 = int(np.floor(u)), int(np.floor(v))
            fu, fv = u - u0, v - v0
            u0, u1 = min(max(u0, 0), columns - 1), min(max(u0 + 1, 0), columns - 1)
            v0, v1 = min(max(v0, 0), rows - 1), min(max(v0 + 1, 0), rows - 1)
            for k in range(3):
                upper = (1 - fu) * table[texture[v0, u0, k]] + fu * table[texture[v0, u1, k]]
                lower = (1 - fu) * table[texture[v1, u0, k]] + fu * table[texture[v1, u1, k]]
                color[k] = ((1 - fv) * upper + fv * lower) * tint[k] * factor
            open_share = wa * light[a, 3] + wb * light[b, 3] + wc * light[c, 3]
            cosine = normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2]
            lit = np.float32(0)
            if cosine > -scatter:
                px, py, pz = position[0] - center[0], position[1] - center[1], position[2] - center[2]
                sx = frame[0, 0] * px + frame[0, 1] * py + frame[0, 2] * pz
                sy = frame[1, 0] * px + frame[1, 1] * py + frame[1, 2] * pz
                sz = frame[2, 0] * px + frame[2, 1] * py + frame[2, 2] * pz
                bias = bias_m * (2 - max(cosine, 0))
                lit = _lit(shadow, sx * shadow_scale + shadow_half, sy * shadow_scale + shadow_half,
                           light_distance_m - sz, bias)  # fmt: skip
            # Highlights: Blinn-Phong for the key light, what the vertices mirror for the rest.
            hx = direction[0] - position[0] / distance
            hy = direction[1] - position[1] / distance
            hz = direction[2] - position[2] / distance
            half = np.sqrt(hx * hx + hy * hy + hz * hz) + np.float32(1e-9)
            aligned = max((normal[0] * hx + normal[1] * hy + normal[2] * hz) / half, np.float32(0))
            highlight = lit * max(cosine, 0) * aligned**sharpness * (sharpness + 8) / 8
            fresnel = gloss * (np.float32(0.04) + np.float32(0.6) * (1 - facing) ** 5)
            mirrored = open_share * (wa * light[a, 4] + wb * light[b, 4] + wc * light[c, 4])
            for k in range(3):
                wrap = scatter * (np.float32(1) if k == 0 else np.float32(0.35) if k == 1 else np.float32(0.2))
                diffuse = max((cosine + wrap) / (1 + wrap), np.float32(0)) * lit
                ambient = wa * light[a, k] + wb * light[b, k] + wc * light[c, k]
                picture[y, x, k] = color[k] * (ambient + irradiance[k] * diffuse) + fresnel * (
                    mirrored + irradiance[k] * highlight
                )
