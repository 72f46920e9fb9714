"""A posed hand in a scene to a picture: geometry, light, background, and the picture's layers put together."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datasets.synthesis.camera import IMAGE_SIZE_PX, View
from datasets.synthesis.environment import LUMINANCE, Environment, load_environments, procedural_environments
from datasets.synthesis.hand import OpenHand
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
from datasets.synthesis.skin import load_skins, procedural_skins
from datasets.synthesis.skin_detail import skin_detail
from datasets.synthesis.surfaces import Surface, capsule_mesh, sample_obstacle
from datasets.synthesis.textures import clutter, material
from handmesh.geometry import project
from handmesh.images import files_in, read_image

SUPERSAMPLING = 2
NUM_MATERIALS, NUM_CLUTTER = 48, 48
BACKGROUND_SIDE_PX = 480  # pictures from a folder are kept at about this size
SLEEVE_CHANCE, OBSTACLE_CHANCE, LAMP_CHANCE = 0.42, 0.22, 0.3
HELD_CHANCE = 0.75  # that what a grasp closes around is there
ENVIRONMENT_BACKGROUND_CHANCE = 0.7  # where maps were given and pictures were not


@dataclass(frozen=True)
class Rendering:
    """What a camera would see.

    Attributes:
        light: (S, S, 3) float32, exposed linear RGB.
        mask: (S, S) uint8, 255 where the hand is, also where something is before it.
        visible: share of the hand's pixels in which it is the nearest.
        tone: brightness of the skin, 0 to 1, sRGB.
    """

    light: np.ndarray
    mask: np.ndarray
    visible: float
    tone: float


@dataclass(frozen=True)
class Arm:
    """The skin of one posed hand and arm.

    Attributes:
        vertices: (V, 3) float32, camera frame, metres.
        rest_vertices: (V, 3) of the same person at rest.
    """

    vertices: np.ndarray
    rest_vertices: np.ndarray


class Renderer:
    """Everything that scenes are made of, read or made once.

    Args:
        hand: the open hand.
        skins: folder of body textures in the MakeHuman layout, or None for procedural ones.
        environments: folder of .hdr maps, or None for procedural ones.
        backgrounds: folder of pictures, or None for the environment and noise.

    Raises:
        InputError: a folder holds nothing that can be used.
    """

    def __init__(
        self,
        hand: OpenHand,
        skins: Path | None = None,
        environments: Path | None = None,
        backgrounds: Path | None = None,
    ) -> None:
        self.hand = hand
        self.skins = procedural_skins(hand) if skins is None else load_skins(skins)
        self.tones = [_tone(skin, hand) for skin in self.skins]
        self.detail = skin_detail(hand)
        self.mapped = environments is not None
        self.environments = procedural_environments() if environments is None else load_environments(environments)
        rng = np.random.default_rng(32452843)
        self.materials = [material(rng) for _ in range(NUM_MATERIALS)]
        self.pictures = (
            [clutter(rng) for _ in range(NUM_CLUTTER)] if backgrounds is None else _read_pictures(backgrounds)
        )
        self.has_photographs = backgrounds is not None
        arm_faces = hand.faces[hand.num_hand_faces :]
        self.arm_reach = -hand.vertices[arm_faces][..., 1].max(axis=1)  # (F',) metres behind the wrist

    def render(
        self, arm: Arm, view: View, held: HeldObject | None, rng: np.random.Generator, clear: bool = False
    ) -> Rendering:
        """Draw one picture; `clear` leaves out everything that could hide the hand."""
        occluders = [] if clear else self._occluders(arm, view, held, rng)
        skin_and_sleeve, tone = self._skin_and_sleeve(arm, rng)
        surfaces = [*skin_and_sleeve, *occluders]
        environment = self.environments[rng.integers(len(self.environments))]
        to_world = _camera_attitude(rng)
        light, face_index, gain = self._light(surfaces, view.K, environment, to_world, rng)
        background = self._background(environment, to_world, gain, rng)
        size = (IMAGE_SIZE_PX, IMAGE_SIZE_PX)
        front = cv2.resize(light, size, interpolation=cv2.INTER_AREA) * gain
        share = cv2.resize((face_index != NO_FACE).astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
        mask = self._mask(arm, view.K)
        visible = ((face_index >= 0) & (face_index < self.hand.num_hand_faces)).sum() / SUPERSAMPLING**2
        visible = float(visible / max((mask > 0).sum(), 1))
        return Rendering(front + (1 - share) * background, mask, visible, tone)

    def _skin_and_sleeve(self, arm: Arm, rng: np.random.Generator) -> tuple[list[Surface], float]:
        """The arm, perhaps with a sleeve, and the tone of its skin."""
        hand = self.hand
        number = rng.integers(len(self.skins))
        skin = self.skins[number]
        tint = (rng.uniform(0.82, 1.12) * rng.normal(1, 0.025, 3)).astype(np.float32)
        gloss, sharpness = rng.uniform(0.3, 1.0), rng.uniform(12, 45)
        surfaces = [
            Surface(
                arm.vertices,
                hand.faces,
                hand.uv,
                skin,
                gloss,
                sharpness,
                rng.uniform(0.1, 0.3),
                tint,
                self.detail,
                rng.uniform(0.7, 1.5),
            )
        ]
        if rng.random() < SLEEVE_CHANCE:
            surfaces.append(self._sleeve(arm, rng))
        return surfaces, self.tones[number] * float(tint.mean())

    def _sleeve(self, arm: Arm, rng: np.random.Generator) -> Surface:
        """Cloth that follows the arm from some way behind the wrist, wider towards its opening."""
        hand = self.hand
        opening = rng.choice([rng.uniform(0.02, 0.05), rng.uniform(0.05, 0.14)])
        chosen = np.flatnonzero(self.arm_reach > opening)
        used, faces = np.unique(hand.faces[hand.num_hand_faces :][chosen], return_inverse=True)
        normals = vertex_normals(arm.vertices, hand.faces)[used]
        behind = -arm.rest_vertices[used, 1:2] - opening
        width = rng.uniform(0.003, 0.008) + rng.uniform(0, 0.008) * np.exp(-np.maximum(behind, 0) / 0.03)
        folds = rng.uniform(0, 0.0025) * np.sin(behind * rng.uniform(150, 400) + 4 * normals[:, :1])
        uv = hand.uv[hand.num_hand_faces :][chosen] * np.float32(rng.uniform(0.3, 1))
        texture = self.materials[rng.integers(len(self.materials))]
        vertices = (arm.vertices[used] + (width + folds) * normals).astype(np.float32)
        return Surface(vertices, faces.reshape(-1, 3).astype(np.int32), uv, texture, 0.1, 6.0)

    def _occluders(self, arm: Arm, view: View, held: HeldObject | None, rng: np.random.Generator) -> list[Surface]:
        meshes = []
        if held is not None and rng.random() < HELD_CHANCE:
            placed = HeldObject(view.to_camera(held.start), view.to_camera(held.end), held.radius)
            meshes.append(capsule_mesh(placed))
        if rng.random() < OBSTACLE_CHANCE:
            meshes.append(sample_obstacle(rng, arm.vertices[: self.hand.num_hand_vertices], view.K))
        return [
            Surface(
                *mesh,
                self.materials[rng.integers(len(self.materials))],
                rng.uniform(0, 2),
                rng.uniform(5, 80),
            )
            for mesh in meshes
        ]

    def _light(
        self,
        surfaces: list[Surface],
        K: np.ndarray,
        environment: Environment,
        to_world: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Light (2S, 2S, 3) of all surfaces, the visible faces (2S, 2S), and the gain (3,) of the exposure."""
        vertices = np.concatenate([surface.vertices for surface in surfaces])
        offsets = np.cumsum([0] + [len(surface.vertices) for surface in surfaces])
        faces = np.concatenate([s.faces + np.int32(o) for s, o in zip(surfaces, offsets[:-1], strict=True)])
        normals = vertex_normals(vertices, faces)
        center = surfaces[0].vertices[: self.hand.num_hand_vertices].mean(axis=0)

        ambient = environment.ambient(AMBIENT_DIRECTIONS @ to_world.T).astype(np.float32)
        world_direction, irradiance = environment.key_light
        direction = (world_direction @ to_world).astype(np.float32)
        average = ambient.mean(axis=0)
        if rng.random() < LAMP_CHANCE or (irradiance @ LUMINANCE) < 0.2 * (average @ LUMINANCE):
            direction = rng.normal(size=3) * [1, 1, 0.7] + [0, -0.5, -0.4]  # a lamp of its own
            direction = (direction / np.linalg.norm(direction)).astype(np.float32)
            irradiance = (
                average * np.pi * rng.uniform(0.2, 2.5) * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.7, 1)])
            )
        key = (irradiance / np.pi).astype(np.float32)
        light = ambient_light(vertices, normals, center, AMBIENT_FRAMES, ambient)
        frame = frame_along(direction)
        shadow = shadow_map(vertices, faces, center, frame)

        points, face_index = _visible_faces(vertices, faces, K)
        picture = np.zeros((*face_index.shape, 3), np.float32)
        first = 0
        for surface in surfaces:
            last = first + len(surface.faces)
            shade(
                picture,
                face_index,
                (first, last),
                (points, vertices, normals, light, faces, surface.uv),
                surface.material(),
                (direction, key, shadow, frame, center),
            )
            first = last
        # Exposed for a grey card in the hand, with the error that automatic exposure makes; half way to grey-world.
        facing = np.maximum(normals[: self.hand.num_hand_vertices] @ direction, 0).mean()
        arriving = light[: self.hand.num_hand_vertices, :3].mean(axis=0) + facing * key
        balance = (arriving / (arriving @ LUMINANCE)) ** -rng.uniform(0.5, 0.95)
        exposure = 0.5 * np.exp(rng.normal(0.05, 0.24)) / (arriving @ LUMINANCE)
        return picture, face_index, (exposure * balance).astype(np.float32)

    def _background(
        self, environment: Environment, to_world: np.ndarray, gain: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Exposed light (S, S, 3) from behind."""
        if self.mapped and not self.has_photographs and rng.random() < ENVIRONMENT_BACKGROUND_CHANCE:
            picture = environment.background(to_world, rng.uniform(0.3, 0.7), IMAGE_SIZE_PX) * gain
            level = float(picture.mean())
            return picture * (np.float32(np.clip(level, 0.04, 0.7) / max(level, 1e-6)))
        picture = self.pictures[rng.integers(len(self.pictures))]
        height, width = picture.shape[:2]
        side = rng.uniform(0.5, 1.0) * min(height, width)
        corner = rng.uniform(0, 1, 2) * [width - side, height - side]
        scale = side / IMAGE_SIZE_PX
        flip = rng.random() < 0.5
        affine = np.array([[-scale if flip else scale, 0, corner[0] + (side if flip else 0)], [0, scale, corner[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (IMAGE_SIZE_PX, IMAGE_SIZE_PX)
        crop = cv2.warpAffine(picture, affine, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
        return SRGB_TO_LINEAR[crop] * np.float32(np.exp(rng.normal(-0.1, 0.35)))

    def _mask(self, arm: Arm, K: np.ndarray) -> np.ndarray:
        hand = self.hand
        _, face_index = _visible_faces(arm.vertices[: hand.num_hand_vertices], hand.faces[: hand.num_hand_faces], K)
        covered = np.where(face_index != NO_FACE, np.uint8(255), np.uint8(0))
        covered = cv2.resize(covered, (IMAGE_SIZE_PX, IMAGE_SIZE_PX), interpolation=cv2.INTER_AREA)
        return np.where(covered > 127, np.uint8(255), np.uint8(0))


def _visible_faces(vertices: np.ndarray, faces: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where vertices lie in the supersampled picture (V, 2), and the face that each of its pixels sees (2S, 2S)."""
    size = SUPERSAMPLING * IMAGE_SIZE_PX
    points = (SUPERSAMPLING * (project(vertices, K) + 0.5) - 0.5).astype(np.float32)
    face_index, inverse_depth = empty_buffers(size, size)
    rasterize(points, vertices[:, 2], faces, face_index, inverse_depth)
    return points, face_index


def _camera_attitude(rng: np.random.Generator) -> np.ndarray:
    """Rotation (3, 3) from camera to world: any heading, not too steep, roughly upright."""
    heading, pitch, roll = rng.uniform(-np.pi, np.pi), rng.normal(-0.15, 0.3), rng.normal(0, 0.12)
    pitch = np.clip(pitch, -0.75, 0.6)
    around_y = np.array([[np.cos(heading), 0, np.sin(heading)], [0, 1, 0], [-np.sin(heading), 0, np.cos(heading)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    around_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return (around_y @ around_x @ around_z).astype(np.float32)


def _tone(skin: np.ndarray, hand: OpenHand) -> float:
    """Mean brightness, 0 to 1, of a texture (H, W, 3) on the hand."""
    height, width = skin.shape[:2]
    x, y = hand.uv[: hand.num_hand_faces].reshape(-1, 2).T
    return float(skin[(y * (height - 1)).astype(int), (x * (width - 1)).astype(int)].mean() / 255)


def _read_pictures(folder: Path) -> list[np.ndarray]:
    """Pictures at a common size; of very long ones the middle."""
    pictures = []
    for path in files_in(folder):
        picture = read_image(path)
        side = min(picture.shape[:2])
        top, left = (max(0, (length - 2 * side) // 2) for length in picture.shape[:2])
        picture = picture[top : top + 2 * side, left : left + 2 * side]
        scale = BACKGROUND_SIDE_PX / side
        pictures.append(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return pictures
