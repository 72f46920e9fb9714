#!/usr/bin/env python3
"""Label photos of hands for training: landmarks, mesh and silhouette of the open hand, from networks that agree.

    python scripts/label_photos.py photos data/Mobile/Keypoints

`photos/index.csv` has a row for each crop of a hand: `file`, `source`, `split` (only `train` is labelled), and
`x0, y0 ... x20, y20`, about where the joints are, in pixels of the crop. What is written is the layout `Keypoints`
(docs/data.md) and `sheet.png` to look at.

A crop is labelled where MediaPipe's network agrees with itself over several looks: with the mean of its joints and of
those of `--network`, whose mesh is bent to that mean. Where the two are far apart, landmarks alone are written.
Every source gets as many entries: small ones are repeated.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.crop_index import Crop, read_crops  # noqa: E402
from datasets.keypoints import ANNOTATIONS  # noqa: E402
from datasets.synthesis.contact_sheet import contact_sheet, labelled  # noqa: E402
from datasets.teacher import TaughtHand, averaged_landmarks, mean_joints  # noqa: E402
from handmesh import SHIPPED, HandFinder, load  # noqa: E402
from handmesh.camera import centered  # noqa: E402
from handmesh.drawing.mesh import silhouette  # noqa: E402
from handmesh.errors import InputError, without_traceback  # noqa: E402
from handmesh.files import atomic_write, write_json  # noqa: E402
from handmesh.geometry import project, to_network_input  # noqa: E402
from handmesh.hand_model import HandModel, load_hand_model  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from handmesh.view import view_of  # noqa: E402
from utils.mesh.deformation import smooth_movement  # noqa: E402

FOCAL_SIDES = 1.7  # focal length over the side of a crop twice the hand's box: a hand half a metre away
LOOK_MARGINS = (1.45, 1.6, 1.8, 2.0)  # of the network's looks at a hand, see `handmesh.view`; meshes are averaged
MIN_PRESENCE, MAX_SPREAD, MIN_SIDE = 0.9, 0.025, 0.85
# How far the joints of both networks may be apart in the mean, for the mesh to be a label, and for the landmarks. On
# photos with known joints the mean errs by about 6 mm below 8 mm, and by 8 mm at 12 mm.
MESH_APART_M, MOST_APART_M = 0.010, 0.020
MOST_OFF = 0.15  # that the labelled joints may be off MediaPipe's landmarks in the mean, of their box: turned otherwise
LEAST_HANDS = 20  # from which what the definitions of the joints differ by can be told
SHEET_STEP = 50  # labelled hands to one on the sheet


@dataclass(frozen=True)
class SeenHand:
    """A hand of a photo, mirrored if it is a left one.

    Attributes:
        crop: that it is in.
        K: (3, 3), assumed.
        taught: what the teacher says.
        left: whether it is a left one.
        vertices_m: (V, 3), the network's mesh.
    """

    crop: Crop
    K: np.ndarray
    taught: TaughtHand
    left: bool
    vertices_m: np.ndarray


@dataclass(frozen=True)
class HandLabels:
    """What is written of a hand.

    Attributes:
        joints_m: (21, 3), camera frame, and points_px (21, 2), these in the crop.
        vertices_m: (V, 3), the mesh that was bent to them.
        has_mesh: whether it is good enough for a label.
    """

    joints_m: np.ndarray
    points_px: np.ndarray
    vertices_m: np.ndarray
    has_mesh: bool


def is_sure(taught: TaughtHand) -> bool:
    """Whether the teacher's looks agree on a hand and on its side."""
    side = max(taught.right, 1 - taught.right)
    return taught.presence > MIN_PRESENCE and taught.spread < MAX_SPREAD and side > MIN_SIDE


def assumed_intrinsics(height: int, width: int) -> np.ndarray:
    """K (3, 3) of a crop of a hand."""
    return centered(FOCAL_SIDES * max(height, width), height, width)


def as_right(image: np.ndarray, left: bool) -> np.ndarray:
    """An image (H, W, 3), mirrored if it shows a left hand."""
    return np.ascontiguousarray(image[:, ::-1]) if left else image


def see(find: HandFinder, crop: Crop) -> SeenHand | None:
    """What teacher and network say of a crop; None where the teacher is not sure."""
    image = read_image(crop.path)
    taught = averaged_landmarks(find.detector, image, crop.landmarks_px)
    if not is_sure(taught):
        return None
    left, (height, width) = taught.right < 0.5, image.shape[:2]
    image, taught = as_right(image, left), taught.mirrored(width) if left else taught
    K = assumed_intrinsics(height, width)
    about = find.description
    views = [view_of(taught.landmarks_px, K, about.size_px, margin, mirrored=False) for margin in LOOK_MARGINS]
    crops = [to_network_input(view.cut(image, K), about.mean, about.std) for view in views]
    hands = find.predictor.predict(np.stack(crops), np.stack([view.K for view in views]))
    meshes = [view.to_picture_frame(vertices) for view, vertices in zip(views, hands.vertices_m, strict=True)]
    return SeenHand(crop, K, taught, left, np.mean(meshes, axis=0))


def labels_of(hands: Sequence[SeenHand], model: HandModel) -> list[HandLabels | None]:
    """Labels of hands; None where teacher and network contradict each other."""
    if len(hands) < LEAST_HANDS:
        raise InputError(
            f"the teacher is sure of {len(hands)} crops; expected at least {LEAST_HANDS} in the split train"
        )
    meshes = np.stack([hand.vertices_m for hand in hands])
    seen = model.joint_regressor @ meshes
    joints, apart_m = mean_joints(seen, np.stack([hand.taught.shapes for hand in hands]))
    meshes = meshes + smooth_movement(model.faces, model.joint_regressor) @ (joints - seen)
    labels: list[HandLabels | None] = []
    for hand, own, mesh, apart in zip(hands, joints, meshes, apart_m, strict=True):
        points, landmarks = project(own, hand.K), hand.taught.landmarks_px
        off = np.linalg.norm(points - landmarks, axis=1).mean() / np.ptp(landmarks, axis=0).max()
        agree = apart < MOST_APART_M and off < MOST_OFF
        labels.append(HandLabels(own, points, mesh, has_mesh=apart < MESH_APART_M) if agree else None)
    return labels


def write_hand(
    folder: Path, number: int, image: np.ndarray, K: np.ndarray, labels: HandLabels, faces: np.ndarray
) -> dict:
    """Write image, mask and mesh of a hand; returns its entry of the annotations."""
    contents = {"image": (".jpg", cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 96])[1].tobytes())}
    entry: dict = {"points": labels.points_px.round(2).tolist()}
    if labels.has_mesh:
        mask = silhouette(labels.vertices_m, faces, K, *image.shape[:2])
        contents["mask"] = (".png", cv2.imencode(".png", mask)[1].tobytes())
        mesh = trimesh.Trimesh(labels.vertices_m, faces, process=False).export(file_type="ply")
        contents["mesh"] = (".ply", mesh)
        entry = {"K": K.tolist(), "xyz": labels.joints_m.round(6).tolist()}
    for suffix, content in contents.values():
        (folder / f"{number:05d}{suffix}").write_bytes(content)
    return entry | {name: f"{number:05d}{suffix}" for name, (suffix, _) in contents.items()}


def evenly(entries: dict[str, list[dict]]) -> list[dict]:
    """As many entries of every source, mixed: those of small sources several times."""
    most = max(map(len, entries.values()))
    mixed = [entry for several in entries.values() for entry in (several * (most // len(several) + 1))[:most]]
    return [mixed[index] for index in np.random.default_rng(0).permutation(len(mixed))]


def label(photos: Path, folder: Path, find: HandFinder) -> None:
    """Write the labels of all crops of an index that can be labelled."""
    crops = read_crops(photos, "train")
    folder.mkdir(parents=True, exist_ok=True)
    model = load_hand_model()
    looks = (see(find, crop) for crop in tqdm(crops, unit="photo", dynamic_ncols=True))
    hands = [hand for hand in looks if hand is not None]
    all_labels = labels_of(hands, model)
    (folder / ANNOTATIONS).unlink(missing_ok=True)  # those of an earlier run are not of the images that follow
    entries: dict[str, list[dict]] = {}
    meshes: Counter[str] = Counter()
    pictures = []
    for hand, labels in zip(hands, all_labels, strict=True):
        if labels is None:
            continue
        source, written = hand.crop.source, sum(map(len, entries.values()))
        image = as_right(read_image(hand.crop.path), hand.left)
        entries.setdefault(source, []).append(write_hand(folder, written, image, hand.K, labels, model.faces))
        meshes[source] += labels.has_mesh
        if written % SHEET_STEP == 0:
            pictures.append(pictured(image, hand.K, labels, model.faces))
    if not entries:
        raise InputError(f"{photos}: teacher and network contradict each other on all {len(hands)} crops")
    write_json(folder / ANNOTATIONS, evenly(entries))
    with atomic_write(folder / "sheet.png") as file:
        file.write(cv2.imencode(".png", contact_sheet(pictures)[..., ::-1])[1].tobytes())
    sure = Counter(hand.crop.source for hand in hands)
    for source, count in Counter(crop.source for crop in crops).items():
        kept = f"{len(entries.get(source, ()))} labelled, {meshes[source]} of them with a mesh"
        print(f"{source}: {count} crops, the teacher is sure of {sure[source]}, {kept}")


def pictured(image: np.ndarray, K: np.ndarray, labels: HandLabels, faces: np.ndarray) -> np.ndarray:
    """A hand with its labels, for the sheet; without a silhouette where its mesh is none."""
    shape = image.shape[:2]
    mask = silhouette(labels.vertices_m, faces, K, *shape) if labels.has_mesh else np.zeros(shape, np.uint8)
    scale = 224 / max(mask.shape)
    return labelled(_resized(image), np.uint8(_resized(mask) > 127), labels.points_px * scale)


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
    parser.add_argument("--network", type=Path, default=SHIPPED, help="mobile network whose meshes take part")
    arguments = parser.parse_args()
    label(arguments.photos, arguments.labels, load(arguments.network))


if __name__ == "__main__":
    with without_traceback():
        main()
