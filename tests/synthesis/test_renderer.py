"""The renderer against geometry, optics and labels that are known."""

import cv2
import numpy as np
import pytest
from scipy.stats import binom

from datasets.synthesis.environment import Environment, load_environments, procedural_environments
from datasets.synthesis.generator import EVALUATION, GeneratorSettings, HandGenerator
from datasets.synthesis.poses import HeldObject
from datasets.synthesis.rasterizer import NO_FACE, empty_buffers, rasterize
from datasets.synthesis.shading import (
    AMBIENT_DIRECTIONS,
    AMBIENT_FRAMES,
    SRGB_TO_LINEAR,
    ambient_light,
    frame_along,
    shade,
    shadow_map,
    vertex_normals,
)
from datasets.synthesis.skin import load_skins
from datasets.synthesis.surfaces import Surface, box_mesh, capsule_mesh, grid_mesh
from handmesh.drawing.mesh import silhouette
from handmesh.errors import InputError
from handmesh.geometry import crop_intrinsics, project
from handmesh.joints import NUM_JOINTS

INNER_JOINTS = [joint for joint in range(NUM_JOINTS) if joint % 4 or joint == 0]
SAMPLES = 30


@pytest.fixture(scope="module")
def generator():
    return HandGenerator(GeneratorSettings(seed=3, clear=True))


@pytest.fixture(scope="module")
def hand(generator):
    return generator.hand


@pytest.fixture(scope="module")
def samples(generator):
    return [generator.sample(EVALUATION, index) for index in range(SAMPLES)]


def test_rasterizer_against_brute_force(rng):
    size, faces = 24, rng.integers(0, 12, (9, 3)).astype(np.int32)
    points = rng.uniform(-4, size + 4, (12, 2)).astype(np.float32)
    depth = rng.uniform(0.5, 2, 12).astype(np.float32)
    index, inverse = empty_buffers(size, size)
    rasterize(points, depth, faces, index, inverse)
    for row in range(size):
        for column in range(size):
            nearest, expected = 0.0, NO_FACE
            for face, corners in enumerate(faces):
                system = np.vstack([points[corners].T, np.ones(3)]).astype(np.float64)
                if abs(np.linalg.det(system)) < 1e-6:
                    continue
                weights = np.linalg.solve(system, [column, row, 1])
                value = weights @ (1 / depth[corners])
                if weights.min() >= 0 and value > nearest:
                    nearest, expected = value, face
            assert index[row, column] == expected
            assert inverse[row, column] == pytest.approx(nearest, rel=1e-4)


def test_faces_at_the_camera_are_left_out(monkeypatch):
    index, inverse = empty_buffers(8, 8)
    points = np.array([[0, 0], [8, 0], [0, 8]], np.float32)
    face = (points, np.array([0.001, 1, 1], np.float32), np.array([[0, 1, 2]], np.int32), index, inverse)
    rasterize(*face)
    assert (index == NO_FACE).all()
    monkeypatch.setattr("datasets.synthesis.rasterizer.NEAR_M", 0.0)
    rasterize(*face)
    assert (index == 0).any()


def facing_plane(cells=76, side=0.3, distance=1.0):
    """A grid before the camera whose normals look at it."""
    steps = np.linspace(-side / 2, side / 2, cells)
    x, y = np.meshgrid(steps, steps)
    points = np.stack([x, -y, np.full_like(x, distance)], axis=-1)
    return grid_mesh(points, np.stack([x, y], axis=-1) / side + 0.5)


def test_an_open_plane_gets_all_the_light_of_its_side():
    vertices, faces, _ = facing_plane()
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(normals, np.broadcast_to([0, 0, -1], normals.shape), atol=1e-5)
    radiance = np.full((len(AMBIENT_DIRECTIONS), 3), 0.7, np.float32)
    light = ambient_light(vertices, normals, vertices.mean(axis=0), AMBIENT_FRAMES, radiance)
    inner = (np.abs(vertices[:, :2]) < 0.1).all(axis=1)
    np.testing.assert_allclose(light[inner, :3], 0.7, rtol=0.12)  # irradiance over pi of a constant sky is its radiance
    np.testing.assert_allclose(light[inner, 3], 1, atol=0.05)


def test_a_roof_takes_light_away():
    vertices, faces, _ = facing_plane()
    roof = vertices + np.float32([0, 0, -0.03])
    both = np.concatenate([vertices, roof])
    normals = np.tile(vertex_normals(vertices, faces), (2, 1))
    light = ambient_light(both, normals, both.mean(axis=0), AMBIENT_FRAMES, np.ones((20, 3), np.float32))
    center = np.argmin((vertices**2)[:, :2].sum(axis=1))
    assert light[center, 3] < 0.3 < 0.9 < light[len(vertices) + center, 3]


@pytest.mark.parametrize(
    ("constant", "value"),
    [("OCCLUSION_CELL_M", 0.05), ("OCCLUSION_CELLS", 20), ("OCCLUSION_BIAS_M", 0.1), ("STEEPEST_SLOPE", 50.0)],
)
def test_another_constant_gives_other_ambient_light(hand, monkeypatch, constant, value):
    normals = vertex_normals(hand.vertices, hand.faces)
    scene = (hand.vertices, normals, hand.vertices.mean(axis=0), AMBIENT_FRAMES, np.ones((20, 3), np.float32))
    before = ambient_light(*scene)
    monkeypatch.setattr(f"datasets.synthesis.shading.{constant}", value)
    assert np.abs(ambient_light(*scene) - before).max() > 0.01


@pytest.mark.parametrize(("constant", "value"), [("SHADOW_BIAS_M", 0.2), ("LIGHT_DISTANCE_M", 8.0)])
def test_another_constant_gives_other_shadows(monkeypatch, constant, value):
    """A roof hides the plane from the light, unless the shadow is looked up elsewhere."""
    vertices, faces, uv = facing_plane(side=0.1)
    both = np.concatenate([vertices, vertices - np.float32([0, 0, 0.1])])
    direction = np.array([0, 0, -1], np.float32)
    center, frame = both.mean(axis=0), frame_along(direction)
    shadow = shadow_map(both, np.concatenate([faces, faces + len(vertices)]), center, frame)
    before = lit_picture(vertices, faces, uv, shadow, frame, center, direction)
    monkeypatch.setattr(f"datasets.synthesis.shading.{constant}", value)
    assert np.abs(lit_picture(vertices, faces, uv, shadow, frame, center, direction) - before).max() > 0.1


def lit_picture(vertices, faces, uv, shadow, frame, center, direction):
    """A matt grey mesh (64, 64, 3) in the light of one lamp and a little from all around."""
    points = project(vertices, np.array([[100, 0, 31.5], [0, 100, 31.5], [0, 0, 1.0]])).astype(np.float32)
    index, inverse = empty_buffers(64, 64)
    rasterize(points, vertices[:, 2], faces, index, inverse)
    picture, texture = np.zeros((64, 64, 3), np.float32), np.full((4, 4, 3), 188, np.uint8)
    light = np.full((len(vertices), 5), 0.25, np.float32)
    shade(
        picture,
        index,
        (0, len(faces)),
        (points, vertices, vertex_normals(vertices, faces), light, faces, uv),
        Surface(vertices, faces, uv, texture, gloss=0.0, sharpness=10.0).material(),
        (direction, np.ones(3, np.float32), shadow, frame, center),
    )
    return picture


@pytest.mark.parametrize("angle", [0, 35, 60])
def test_matt_surfaces_follow_lamberts_law(angle):
    vertices, faces, uv = facing_plane()
    direction = np.array([np.sin(np.deg2rad(angle)), 0, -np.cos(np.deg2rad(angle))], np.float32)
    center, frame = vertices.mean(axis=0), frame_along(direction)
    picture = lit_picture(vertices, faces, uv, shadow_map(vertices, faces, center, frame), frame, center, direction)
    expected = SRGB_TO_LINEAR[188] * (0.25 + np.cos(np.deg2rad(angle)))
    np.testing.assert_allclose(picture[28:36, 28:36], expected, rtol=1e-3)


def test_the_brightest_spot_is_the_key_light():
    radiance = np.full((64, 128, 3), 0.1, np.float32)
    radiance[20:24, 40:44] = 200.0
    environment = Environment(radiance)
    polar, turn = 22 / 64 * np.pi, 42 / 128 * 2 * np.pi
    towards = [np.sin(polar) * np.sin(turn), -np.cos(polar), np.sin(polar) * np.cos(turn)]
    direction, irradiance = environment.key_light
    assert direction @ towards > 0.99
    patch = 200 * np.sin(polar) * (4 * np.pi / 64) ** 2
    assert irradiance == pytest.approx(patch, rel=0.1)
    assert environment.ambient(AMBIENT_DIRECTIONS).max() < 0.1 * 200
    # A view along the light shows it in the middle.
    z = np.array(towards)
    x = np.cross([0, 1, 0], z) / np.linalg.norm(np.cross([0, 1, 0], z))
    view = environment.background(np.stack([x, np.cross(z, x), z], axis=1), 0.5, 65)
    assert np.unravel_index(view[..., 0].argmax(), (65, 65)) == pytest.approx((32, 32), abs=4)


@pytest.mark.parametrize("mesh", [
    box_mesh(np.zeros(3), np.array([1.0, 2, 3]), np.eye(3)),
    capsule_mesh(HeldObject(np.array([0, -1.0, 0]), np.array([0, 1.0, 0]), 0.5)),
    capsule_mesh(HeldObject(np.zeros(3), np.zeros(3), 0.5)),
])  # fmt: skip
def test_objects_face_outwards(mesh):
    vertices, faces, _ = mesh
    corners = vertices[faces].astype(np.float64)
    outward = (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * corners.mean(axis=1)).sum(1)
    assert (outward >= -1e-9).all()


def test_silhouette_is_the_projected_mesh(generator, samples, template):
    overlaps = []
    for sample in samples:
        size = len(sample.mask)
        fine_K = crop_intrinsics(sample.K, np.full(2, size / 2), size / 2, 8 * size)
        fine = silhouette(sample.vertices_m, template.faces[0], fine_K, 8 * size, 8 * size)
        expected = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA) > 127
        overlaps.append((expected & (sample.mask > 0)).sum() / (expected | (sample.mask > 0)).sum())
    assert np.mean(overlaps) >= 0.97
    assert min(overlaps) > 0.9


def test_inner_joints_lie_inside_the_silhouette(samples):
    inside = []
    for sample in samples:
        columns, rows = np.rint(project(sample.joints_m[INNER_JOINTS], sample.K)).astype(int).T
        inside.append(sample.mask[rows, columns] > 0)
    inside = np.concatenate(inside)
    assert binom.cdf(inside.sum(), inside.size, 0.99) > 0.001  # not fewer than chance allows at 99 %


def test_the_picture_shows_the_hand_where_the_labels_say(samples):
    """The outline of the mask is an edge of the picture more often than lines elsewhere are."""
    on, off = [], []
    for sample in samples:
        grey = cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        outline = cv2.morphologyEx(sample.mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        on.append(edges[outline].mean())
        off.append(edges[~outline].mean())
    assert np.median(np.array(on) / np.array(off)) > 2


def test_hands_fill_the_crop_and_keep_their_distance(samples):
    for sample in samples:
        box = np.ptp(project(sample.vertices_m, sample.K), axis=0).max()
        assert 55 < box < 135
        assert 0.25 < sample.joints_m[0, 2] < 1.35
        assert 200 < sample.K[0, 0] == sample.K[1, 1] < 1100


def test_skin_tones_reach_from_light_to_dark(generator):
    levels = np.sort([skin.mean() for skin in generator.renderer.skins])
    assert levels[0] < 75 < 175 < levels[-1]
    assert np.diff(levels).max() < 25


def sibling(generator, **settings):
    """A generator of other settings with the same textures and lights."""
    other = HandGenerator(GeneratorSettings(clear=True, **settings))
    other.renderer = generator.renderer
    return other


def test_left_hands_are_mirror_images(generator, samples):
    left = sibling(generator, seed=3, left=True).sample(EVALUATION, 7)
    right = samples[7]
    np.testing.assert_array_equal(left.mask[:, ::-1], right.mask)
    np.testing.assert_allclose(left.vertices_m * [-1, 1, 1], right.vertices_m, atol=1e-12)
    mirrored = project(right.joints_m, right.K) * [-1, 1] + [right.mask.shape[1] - 1, 0]
    np.testing.assert_allclose(project(left.joints_m, left.K), mirrored, atol=1e-9)
    difference = np.abs(left.image[:, ::-1].astype(int) - right.image)
    assert np.median(difference) <= 2  # apart from what JPEG's blocks make of it


def test_each_sample_is_a_function_of_seed_stream_and_index(generator, samples):
    again = HandGenerator(GeneratorSettings(seed=3, clear=True)).sample(EVALUATION, 5)
    assert again.jpeg == samples[5].jpeg
    np.testing.assert_array_equal(again.vertices_m, samples[5].vertices_m)
    others = [generator.sample(0, 5), sibling(generator, seed=4).sample(EVALUATION, 5)]
    assert all(other.jpeg != samples[5].jpeg for other in others)


def test_folders_without_anything_usable_are_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_skins(tmp_path / "absent")
    with pytest.raises(InputError, match="no .jpg"):
        load_skins(tmp_path)
    with pytest.raises(InputError, match="no .hdr"):
        load_environments(tmp_path)
    for content in (
        b"#?RADIANCE\nbroken",
        cv2.imencode(".hdr", np.zeros((8, 16, 3), np.float32))[1].tobytes(),
        cv2.imencode(".hdr", np.ones((8, 8, 3), np.float32))[1].tobytes(),
        cv2.imencode(".jpg", np.full((8, 16, 3), 99, np.uint8))[1].tobytes(),
    ):
        (tmp_path / "a.hdr").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.hdr"):
            load_environments(tmp_path)


def test_maps_from_files_are_read(tmp_path):
    radiance = procedural_environments(1)[0].radiance
    cv2.imwrite(str(tmp_path / "room.hdr"), radiance[..., ::-1])
    read = load_environments(tmp_path)[0]
    assert read.radiance.shape == (512, 1024, 3)
    np.testing.assert_allclose(read.mean_radiance, Environment(radiance).mean_radiance, rtol=0.05)
