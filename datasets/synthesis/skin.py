"""Skin textures in the UV layout of the MakeHuman base mesh: from a folder, or made here from light to dark."""

from pathlib import Path

import cv2
import numpy as np

from datasets.synthesis.hand import OpenHand
from datasets.synthesis.rasterizer import NO_FACE, rasterize_texture
from datasets.synthesis.textures import smooth_noise
from handmesh.images import files_in, read_image
from handmesh.skeleton import BONE_INDEX, FINGERS

TEXTURE_SIZE = 768
NUM_TONES = 24
LARGEST_SIDE_PX = 2048  # larger textures are reduced; a hand is a small part of them

# Albedo of the back of the hand, sRGB, from very light to very dark (roughly the Monk skin tone scale).
TONES = np.array(
    [(242, 208, 188), (232, 188, 162), (219, 170, 139), (198, 146, 112), (168, 117, 84), (132, 88, 62), (94, 62, 46),
     (66, 45, 36)],
    np.float32,
) / 255  # fmt: skip
PALM = np.array([226, 172, 150], np.float32) / 255
NAIL = np.array([233, 190, 178], np.float32) / 255


def load_skins(folder: Path) -> list[np.ndarray]:
    """All textures (H, W, 3) uint8 of a folder, in the order of their names. Raises InputError if there is none."""
    skins = []
    for path in files_in(folder):
        skin = read_image(path)
        scale = min(1.0, LARGEST_SIDE_PX / max(skin.shape[:2]))
        skins.append(skin if scale == 1 else cv2.resize(skin, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return skins


def procedural_skins(hand: OpenHand, count: int = NUM_TONES) -> list[np.ndarray]:
    """Textures (768, 768, 3) uint8 from light to dark: tone, palm, knuckles, nails, veins and blotches."""
    covered, palm, knuckle, nail = _skin_maps(hand)
    skins = []
    for number in range(count):
        rng = np.random.default_rng((7919, number))
        darkness = (number + rng.uniform(0, 1)) / count
        place = darkness * (len(TONES) - 1)
        below = min(int(place), len(TONES) - 2)
        tone = TONES[below] + (place - below) * (TONES[below + 1] - TONES[below])
        tone = tone * rng.uniform(0.96, 1.04, 3).astype(np.float32)
        fine = smooth_noise(rng, TEXTURE_SIZE, (96, 192, 384), 0.8)
        blotches = smooth_noise(rng, TEXTURE_SIZE, (12, 30, 60))
        skin = np.empty((TEXTURE_SIZE, TEXTURE_SIZE, 3), np.float32)
        skin[:] = tone
        lighter = (0.25 + 0.45 * darkness) * palm
        skin += lighter[..., None] * (PALM * (0.55 + 0.45 * tone.mean() / PALM.mean()) - skin)
        skin *= (1 - (0.10 + 0.10 * darkness) * knuckle)[..., None]
        skin[..., 0] += 0.02 * (knuckle + palm * 0.5)
        skin *= (1 + 0.03 * fine)[..., None]
        skin *= 1 + blotches[..., None] * np.array([0.012, 0.03, 0.03], np.float32)
        polish = NAIL if rng.random() < 0.85 else rng.uniform(0.1, 0.9, 3).astype(np.float32)
        skin += (0.75 * nail)[..., None] * (polish * (0.6 + 0.4 * tone.mean() / NAIL.mean()) - skin)
        skin[~covered] = tone
        skins.append((skin.clip(0, 1) * 255).astype(np.uint8))
    return skins


def _skin_maps(hand: OpenHand) -> tuple[np.ndarray, ...]:
    """Maps (768, 768) over the texture: skin is there; on the palm's side; near a knuckle's back; on a nail."""
    face_index, _ = rasterize_texture(hand.uv, TEXTURE_SIZE)
    covered = face_index != NO_FACE
    normals = hand.face_normals
    centers = hand.vertices[hand.faces].mean(axis=1)
    palmar = normals[:, 2].copy()
    palmar[hand.num_hand_faces :] = -1
    knuckle, nail = np.zeros(len(centers)), np.zeros(len(centers))
    for number, finger in enumerate(FINGERS):
        chain = [hand.joints[BONE_INDEX[f"{finger}_{part}"]] for part in (1, 2, 3)] + [hand.tips[number]]
        across = hand.axes[BONE_INDEX[f"{finger}_3"], 0]
        direction = (chain[3] - chain[2]) / np.linalg.norm(chain[3] - chain[2])
        back = np.cross(direction, across)
        facing = normals @ back
        own = hand.weights[hand.faces][:, :, [BONE_INDEX[f"{finger}_{p}"] for p in (1, 2, 3)]].sum(2).mean(1) > 0.4
        palmar[own] = -facing[own]
        for joint in chain[:3]:
            near = np.exp(-((np.linalg.norm(centers - joint, axis=1) / 0.010) ** 2))
            knuckle = np.maximum(knuckle, near * np.clip(facing, 0, 1))
        middle = chain[2] + 0.68 * (chain[3] - chain[2])
        offset = centers - middle
        radius = 0.30 * np.linalg.norm(chain[3] - chain[2])
        inside = (offset @ direction / radius) ** 2 + (offset @ across / (0.75 * radius)) ** 2
        nail = np.maximum(nail, (inside < 1) * (facing > 0.55) * own)

    def spread(values: np.ndarray, blur: float) -> np.ndarray:
        picture = np.where(covered, values[face_index], 0).astype(np.float32)
        weight = cv2.GaussianBlur(covered.astype(np.float32), None, blur)
        return cv2.GaussianBlur(picture, None, blur) / np.maximum(weight, 1e-3)

    return covered, spread(np.clip(0.5 + palmar, 0, 1), 3), spread(knuckle, 3), spread(nail, 1)
