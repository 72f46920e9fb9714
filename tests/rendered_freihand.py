"""A small data set in FreiHAND's layout: the open hand, turned and placed at random, over smooth backgrounds."""

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from handmesh.drawing.mesh import draw_mesh, silhouette
from utils.template import Template

SIZE = 224
FOCAL_PX = 480.0


def write_freihand(
    root: Path, template: Template, annotations: int, versions: int, evaluations: int, seed: int
) -> None:
    """Write `training/` and `evaluation/` with all their JSON files, ground truth of the evaluation included."""
    rng = np.random.default_rng(seed)
    for name, count, copies in (("training", annotations, versions), ("evaluation", evaluations, 1)):
        (root / name / "rgb").mkdir(parents=True)
        (root / name / "mask").mkdir()
        hands = [place_hand(template, rng) for _ in range(count)]
        for index in range(count * copies):
            image, mask = render(*hands[index % count], template, rng)
            cv2.imwrite(str(root / name / "rgb" / f"{index:08d}.jpg"), image[..., ::-1])
            if index < count:
                cv2.imwrite(str(root / name / "mask" / f"{index:08d}.jpg"), mask)
        lists = {
            "K": [K for _, K in hands],
            "xyz": [template.joint_regressor @ vertices for vertices, _ in hands],
            "verts": [vertices for vertices, _ in hands],
        }
        for key, rows in lists.items():
            (root / f"{name}_{key}.json").write_text(json.dumps([row.tolist() for row in rows]))
        (root / f"{name}_scale.json").write_text(json.dumps([0.03] * count))


def place_hand(template: Template, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Camera-space vertices (V, 3) of a hand near the image centre, and K."""
    rotation = Rotation.random(rng=rng).as_matrix()
    vertices = (template.vertices - template.vertices.mean(axis=0)) @ rotation.T
    depth = rng.uniform(0.55, 0.75)
    K = np.array([[FOCAL_PX, 0, SIZE / 2], [0, FOCAL_PX, SIZE / 2], [0, 0, 1]])
    return vertices + np.array([*rng.uniform(-0.02, 0.02, 2), depth]), K


def render(
    vertices: np.ndarray, K: np.ndarray, template: Template, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """RGB image and mask of a hand."""
    image = cv2.resize(rng.integers(0, 200, (6, 6, 3), np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    faces = template.faces[0]
    draw_mesh(image, vertices, faces, K, rng.uniform(0.4, 0.95, 3))
    return image, silhouette(vertices, faces, K, SIZE, SIZE)
