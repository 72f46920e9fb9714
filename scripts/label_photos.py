#!/usr/bin/env python3
"""Label photos of hands for training: landmarks, mesh and silhouette of the open hand, from networks that agree.

    python scripts/label_photos.py photos data/Mobile/Keypoints --calibration data/Mobile/Synthetic

`photos/index.csv` has a row for each crop of a hand: `file`, `source`, `split` (only `train` is labelled), and
`x0, y0 ... x20, y20`, about where the joints are, in pixels of the crop. What is written is the layout `Keypoints`
(docs/data.md) and `sheet.png` to look at.

A crop is labelled where MediaPipe's network agrees with itself over several looks. It gets a mesh where the open hand
can be fitted to its landmarks and to the mesh of `--network` at once, and landmarks alone where the two do not quite
agree. Where on the hand MediaPipe's joints are is measured on the evaluation part of generated data, `--calibration`.
Every source gets as many entries: small ones are repeated.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import trimesh
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.freihand_rows import read_rows  # noqa: E402
from datasets.keypoints import ANNOTATIONS  # noqa: E402
from datasets.synthesis.contact_sheet import contact_sheet, labelled  # noqa: E402
from datasets.teacher import TaughtHand, as_our_joints, averaged_landmarks, fit_offsets  # noqa: E402
from handmesh import SHIPPED, HandFinder, load  # noqa: E402
from handmesh.camera import centered  # noqa: E402
from handmesh.drawing.mesh import silhouette  # noqa: E402
from handmesh.files import atomic_write, write_json  # noqa: E402
from handmesh.geometry import project, to_network_input  # noqa: E402
from handmesh.hand_model import HandModel, load_hand_model  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from handmesh.joints import NUM_JOINTS  # noqa: E402
from handmesh.pose import fit_hands  # noqa: E402
from handmesh.view import view_of  # noqa: E402

FOCAL_SIDES = 1.7  # focal length over the side of a crop twice the hand's box: a hand half a metre away
LOOK_MARGINS = (1.45, 1.6, 1.8, 2.0)  # of the network's looks at a hand, see `handmesh.view`; meshes are averaged
MIN_PRESENCE, MAX_SPREAD, MIN_SIDE = 0.9, 0.025, 0.85
SIGMAS_M = (0.012, 0.04)  # how far a mesh may be off; the latter where it contradicts the landmarks
MESH_RESIDUAL, MAX_RESIDUAL = 0.02, 0.08  # mean distance of fitted joints from landmarks, of the hand's box: up to
# which the mesh is a label, and the landmarks
AT_A_TIME = 64
SHEET_STEP = 50  # labelled hands to one on the sheet


@dataclass(frozen=True)
class SeenHand:
    """A hand of a photo, mirrored if it is a left one.

    Attributes:
        row: of the index.
        image: (H, W, 3) RGB uint8.
        K: (3, 3), assumed.
        taught: what the teacher says.
        left: whether it is a left one.
        vertices_m: (V, 3), the network's mesh.
    """

    row: dict[str, str]
    image: np.ndarray
    K: np.ndarray
    taught: TaughtHand
    left: bool
    vertices_m: np.ndarray


@dataclass(frozen=True)
class HandLabels:
    """What is written of a hand.

    Attributes:
        points_px: (21, 2), our joints as the teacher sees them.
        vertices_m: (V, 3), the mesh that was fitted.
        residual: mean distance of its joints from the points, of the hand's box.
    """

    points_px: np.ndarray
    vertices_m: np.ndarray
    residual: float


def measured_offsets(find: HandFinder, root: Path, count: int = 500) -> np.ndarray:
    """Where MediaPipe's joints are, see `fit_offsets`, from generated images with an evaluation part."""
    K = np.array(read_rows(root / "evaluation_K.json", (3, 3)))[:count]
    joints = np.array(read_rows(root / "evaluation_xyz.json", (NUM_JOINTS, 3)))[:count]
    taught = []
    for index, (one, k) in enumerate(zip(joints, K, strict=True)):
        image = read_image(root / f"evaluation/rgb/{index:08d}.jpg")
        taught.append(averaged_landmarks(find.detector, image, project(one, k)))
    sure = np.array([hand.presence > MIN_PRESENCE and hand.spread < MAX_SPREAD for hand in taught])
    landmarks = np.array([hand.landmarks_px for hand in taught])
    return fit_offsets(landmarks[sure], joints[sure], K[sure])


def landmarks_of(row: dict[str, str]) -> np.ndarray:
    """About where the joints (21, 2) of a row of the index are."""
    return np.array([[float(row[f"{axis}{joint}"]) for axis in "xy"] for joint in range(NUM_JOINTS)])


def is_sure(taught: TaughtHand) -> bool:
    """Whether the teacher's looks agree on a hand and on its side."""
    side = max(taught.right, 1 - taught.right)
    return taught.presence > MIN_PRESENCE and taught.spread < MAX_SPREAD and side > MIN_SIDE


def assumed_intrinsics(height: int, width: int) -> np.ndarray:
    """K (3, 3) of a crop of a hand."""
    return centered(FOCAL_SIDES * max(height, width), height, width)


def see(find: HandFinder, folder: Path, row: dict[str, str]) -> SeenHand | None:
    """What teacher and network say of a crop; None where the teacher is not sure."""
    image = read_image(folder / row["file"])
    taught = averaged_landmarks(find.detector, image, landmarks_of(row))
    if not is_sure(taught):
        return None
    left, (height, width) = taught.right < 0.5, image.shape[:2]
    if left:
        image = np.ascontiguousarray(image[:, ::-1])
        taught = replace(taught, landmarks_px=taught.landmarks_px * [-1, 1] + [width - 1, 0])
    K = assumed_intrinsics(height, width)
    about = find.description
    views = [view_of(taught.landmarks_px, K, about.size_px, margin, mirrored=False) for margin in LOOK_MARGINS]
    crops = [to_network_input(view.cut(image, K), about.mean, about.std) for view in views]
    hands = find.predictor.predict(np.stack(crops), np.stack([view.K for view in views]))
    meshes = [view.to_picture_frame(vertices) for view, vertices in zip(views, hands.vertices_m, strict=True)]
    return SeenHand(row, image, K, taught, left, np.mean(meshes, axis=0))


def fitted(model: HandModel, offsets: np.ndarray, hands: Sequence[SeenHand]) -> list[HandLabels]:
    """The open hand fitted to hands."""
    K, meshes = np.stack([hand.K for hand in hands]), np.stack([hand.vertices_m for hand in hands])
    landmarks = np.stack([hand.taught.landmarks_px for hand in hands])
    size = np.ptp(landmarks, axis=1).max(axis=1)
    regressor, certain = model.joint_regressor, np.ones(landmarks.shape[:2])
    best, least, points = meshes, np.full(len(hands), np.inf), landmarks
    for sigma_m in SIGMAS_M:
        found = meshes
        for _ in range(2):  # where the teacher's joints are depends on how the hand is turned
            wanted = as_our_joints(landmarks, offsets, regressor @ found, K)
            found = fit_hands(model, meshes, wanted, certain, K, sigma_m).vertices_m
        seen = np.stack([project(regressor @ mesh, k) for mesh, k in zip(found, K, strict=True)])
        residual = np.linalg.norm(seen - wanted, axis=2).mean(axis=1) / size
        better = (least > MESH_RESIDUAL) & (residual < least)
        best, points = (np.where(better[:, None, None], *pair) for pair in ((found, best), (wanted, points)))
        least = np.where(better, residual, least)
    return [HandLabels(*labels) for labels in zip(points, best, least, strict=True)]


def write_hand(folder: Path, number: int, hand: SeenHand, labels: HandLabels, model: HandModel) -> dict:
    """Write image, mask and mesh of a hand; returns its entry of the annotations."""
    contents = {
        "image": (".jpg", cv2.imencode(".jpg", hand.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 96])[1].tobytes())
    }
    entry: dict = {"points": labels.points_px.round(2).tolist()}
    if labels.residual < MESH_RESIDUAL:
        vertices = labels.vertices_m
        mask = silhouette(vertices, model.faces, hand.K, *hand.image.shape[:2])
        contents["mask"] = (".png", cv2.imencode(".png", mask)[1].tobytes())
        mesh = trimesh.Trimesh(vertices, model.faces, process=False).export(file_type="ply")
        contents["mesh"] = (".ply", mesh)
        entry = {"K": hand.K.tolist(), "xyz": (model.joint_regressor @ vertices).round(6).tolist()}
    for suffix, content in contents.values():
        (folder / f"{number:05d}{suffix}").write_bytes(content)
    return entry | {name: f"{number:05d}{suffix}" for name, (suffix, _) in contents.items()}


def evenly(entries: dict[str, list[dict]]) -> list[dict]:
    """As many entries of every source, mixed: those of small sources several times."""
    most = max(map(len, entries.values()))
    mixed = [entry for several in entries.values() for entry in (several * (most // len(several) + 1))[:most]]
    return [mixed[index] for index in np.random.default_rng(0).permutation(len(mixed))]


def label(photos: Path, folder: Path, find: HandFinder, calibration: Path) -> None:
    """Write the labels of all crops of an index that can be labelled."""
    with (photos / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    model, offsets = load_hand_model(), measured_offsets(find, calibration)
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, list[int]] = {}
    entries: dict[str, list[dict]] = {}
    pictures, waiting = [], []
    for number, row in enumerate(tqdm(rows, unit="photo", dynamic_ncols=True)):
        count = counts.setdefault(row["source"], [0, 0, 0, 0])
        count[0] += 1
        hand = see(find, photos, row)
        waiting += [] if hand is None else [hand]
        if not waiting or (len(waiting) < AT_A_TIME and number + 1 < len(rows)):
            continue
        for hand, labels in zip(waiting, fitted(model, offsets, waiting), strict=True):
            count = counts[hand.row["source"]]
            count[1] += 1
            if labels.residual < MAX_RESIDUAL:
                count[2] += 1
                count[3] += int(labels.residual < MESH_RESIDUAL)
                written = sum(map(len, entries.values()))
                entries.setdefault(hand.row["source"], []).append(write_hand(folder, written, hand, labels, model))
                if written % SHEET_STEP == 0:
                    pictures.append(pictured(hand, labels, model))
        waiting = []
    write_json(folder / ANNOTATIONS, evenly(entries))
    with atomic_write(folder / "sheet.png") as file:
        file.write(cv2.imencode(".png", contact_sheet(pictures)[..., ::-1])[1].tobytes())
    for source, (all_, sure, good, meshes) in counts.items():
        print(f"{source}: {all_} crops, the teacher is sure of {sure}, {good} labelled, {meshes} of them with a mesh")


def pictured(hand: SeenHand, labels: HandLabels, model: HandModel) -> np.ndarray:
    """A hand with its labels, for the sheet; without a silhouette where its mesh is none."""
    mask = silhouette(labels.vertices_m, model.faces, hand.K, *hand.image.shape[:2])
    if labels.residual >= MESH_RESIDUAL:
        mask = np.zeros_like(mask)
    scale = 224 / max(mask.shape)
    return labelled(_resized(hand.image), np.uint8(_resized(mask) > 127), labels.points_px * scale)


def _resized(picture: np.ndarray) -> np.ndarray:
    """In the upper left of a square of 224 pixels."""
    scale = 224 / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    square = np.zeros((224, 224, *picture.shape[2:]), np.uint8)
    square[: small.shape[0], : small.shape[1]] = small[:224, :224]
    return square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with index.csv and crops")
    parser.add_argument("labels", type=Path, help="folder to write")
    parser.add_argument("--calibration", type=Path, required=True, help="generated data with an evaluation part")
    parser.add_argument("--network", type=Path, default=SHIPPED, help="mobile network whose meshes take part")
    arguments = parser.parse_args()
    label(arguments.photos, arguments.labels, load(arguments.network), arguments.calibration)


if __name__ == "__main__":
    main()
