#!/usr/bin/env python3
"""Write what the Python package says of a few hands, for the tests of the page in `web/`.

    python scripts/web_golden.py

Inputs are rounded before they are used, so that both see the same numbers.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import handmesh  # noqa: E402
from handmesh.camera import EXIF_FOLDER, FOCAL_LENGTH_35MM, find_camera  # noqa: E402
from handmesh.geometry import project  # noqa: E402
from handmesh.hand_files import write_hands  # noqa: E402
from handmesh.hand_model import load_hand_model, rotation_matrices  # noqa: E402
from handmesh.images import read_image  # noqa: E402
from handmesh.intrinsics import read_intrinsics  # noqa: E402
from handmesh.pose import HandPose, pose_of  # noqa: E402
from handmesh.skeleton import ANGLE_NAMES, BONES, FREE, LIMITS_DEGREES, PARENTS  # noqa: E402
from handmesh.smoothing import Build, PoseFilter  # noqa: E402
from handmesh.video import VideoFile  # noqa: E402

IMAGES, GOLDEN = ROOT / "images", ROOT / "web" / "tests" / "golden"
CLIP = ROOT / "web" / "samples" / "clip.mp4"
CAMERA_SIZE_PX, CAMERA_FRAMES, CAMERA_QUALITY = (320, 320), 40, 80  # of the clip that plays the camera
VERTEX_STEP = 50
FOCAL_35MM = 85
DIGITS = 7
SEEN = ("palm", "left", "pointing")
FRAMES = 40


def rounded(values: Any) -> Any:
    """Numbers as lists of `DIGITS` significant digits; the same in lists and dictionaries."""
    if isinstance(values, dict):
        return {name: rounded(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [rounded(value) for value in values]
    if isinstance(values, np.ndarray):
        return rounded(values.tolist())
    if isinstance(values, float | np.floating):
        return float(f"{values:.{DIGITS}g}")
    return values


def pose_numbers(pose: HandPose) -> dict[str, Any]:
    """The numbers that make a pose."""
    names = ("side", "angles", "angle_deviations", "shape", "size", "wrist_rotation", "wrist_position_m")
    return {name: getattr(pose, name) for name in names}


def fitted(side: str, **seen: np.ndarray) -> dict[str, Any]:
    """A hand that was seen, and its pose; arguments are those of `pose_of`."""
    seen = {name: np.array(rounded(value)) for name, value in seen.items()}
    pose = pose_of(side, **seen)
    told = pose_numbers(pose) | {"joints_m": pose.joints_m, "quaternions": pose.quaternions, "length_m": pose.length_m}
    return {"side": side, "seen": seen, "pose": told, "some_vertices_m": pose.vertices_m[::VERTEX_STEP]}


def seen_hands() -> dict[str, dict[str, Any]]:
    """Hands of the pictures in `images/` by name."""
    find, hands = handmesh.load(), {}
    for name in SEEN:
        image = read_image(IMAGES / f"{name}_img.jpg")
        K = read_intrinsics(IMAGES / f"{name}_K.json", *image.shape[:2])
        hand = find(image, K)[0]
        hands[name] = fitted(
            hand.side,
            vertices_m=hand.vertices_m,
            landmarks_px=hand.landmarks_px,
            landmark_confidence=hand.landmark_confidence,
            K=K,
        )
    return hands


def fist() -> dict[str, Any]:
    """A left fist, made by the model with some noise, which reaches beyond the limits of its joints."""
    rng, model = np.random.default_rng(0), load_hand_model()
    angles = np.deg2rad([LIMITS_DEGREES[bone, axis, 1] * (axis == 0) for bone, axis in FREE])
    turn = rotation_matrices(np.array([0.3, 2.6, -0.5]))
    deviations = np.zeros(len(ANGLE_NAMES))
    pose = HandPose("left", angles, deviations, model.shape_mean, 0.95, turn, np.array([-0.08, 0.05, 0.45]))
    K = np.array([[520.0, 0, 319.5], [0, 520, 239.5], [0, 0, 1]])
    return fitted(
        "left",
        vertices_m=pose.vertices_m + rng.normal(0, 0.003, pose.vertices_m.shape),
        landmarks_px=project(pose.joints_m, K) + rng.normal(0, 2, (21, 2)),
        landmark_confidence=rng.uniform(0, 1, 21),
        K=K,
    )


def pose_golden() -> dict[str, Any]:
    """Poses of hands, and how the skeleton is described."""
    limits = LIMITS_DEGREES[FREE[:, 0], FREE[:, 1]]
    skeleton = {"bones": BONES, "parents": PARENTS, "angle_names": ANGLE_NAMES, "limits_deg": limits}
    return {"skeleton": skeleton, "hands": seen_hands() | {"fist": fist()}}


def smoothing_golden() -> dict[str, Any]:
    """A walk of a hand, which also turns once around, and what the filters say of it."""
    rng, model = np.random.default_rng(0), load_hand_model()
    times = 1 + np.cumsum(rng.uniform(0.02, 0.05, FRAMES))
    pose = HandPose(
        "right", model.pose_mean, np.zeros(len(ANGLE_NAMES)), model.shape_mean, 1.0, np.eye(3), np.array([0, 0, 0.5])
    )
    build, smooth, frames = Build(), PoseFilter(), []
    for time_s in times.round(4):
        turn = rotation_matrices(rng.normal([0, 0.16, 0], 0.05))
        pose = replace(
            pose,
            angles=np.array(rounded(pose.angles + rng.normal(0, 0.03, pose.angles.shape))),
            shape=np.array(rounded(pose.shape + rng.normal(0, 0.05, pose.shape.shape))),
            size=rounded(pose.size * np.exp(rng.normal(0, 0.02))),
            wrist_rotation=np.array(rounded(turn @ pose.wrist_rotation)),
            wrist_position_m=np.array(rounded(pose.wrist_position_m + rng.normal(0, 0.01, 3))),
        )
        weight = rounded(rng.uniform(0.1, 1))
        build.learn(pose, weight)
        shown = smooth(build(pose), time_s)
        frame = {"time_s": time_s, "weight": weight, "pose": pose_numbers(pose), "shown": pose_numbers(shown)}
        for numbers in (frame["pose"], frame["shown"]):
            del numbers["angle_deviations"], numbers["side"]
        frames.append(frame)
    return {"frames": frames, "last_joints_m": shown.joints_m}


def write_exif() -> None:
    """A sample picture whose file states a focal length."""
    with Image.open(IMAGES / "left_img.jpg") as image:
        exif = image.getexif()
        exif.get_ifd(EXIF_FOLDER)[FOCAL_LENGTH_35MM] = FOCAL_35MM
        image.save(GOLDEN / "exif.jpg", exif=exif, quality=95)


def pictures_golden() -> dict[str, Any]:
    """What is written of the sample pictures, and some vertices of their hands."""
    write_exif()
    find, pictures = handmesh.load(), {}
    for path in (*sorted(IMAGES.glob("*_img.jpg")), GOLDEN / "exif.jpg"):
        name = path.stem.removesuffix("_img")
        image = read_image(path)
        camera = find_camera(path, *image.shape[:2])
        hands = find(image, camera if camera.approximate else camera.K)
        with tempfile.TemporaryDirectory() as folder:
            write_hands(Path(folder) / "hands.json", name, image.shape[:2], hands)
            written = json.loads((Path(folder) / "hands.json").read_text("utf-8"))
        pictures[name] = written | {"some_vertices_m": [hand.vertices_m[::VERTEX_STEP] for hand in hands]}
    return pictures


def write_camera() -> None:
    """The sample clip as motion JPEG, which Chromium takes for a camera."""
    frames = [frame.image for frame in VideoFile(CLIP)][:CAMERA_FRAMES]
    with (GOLDEN / "camera.mjpeg").open("wb") as file:
        for frame in frames:
            larger = cv2.resize(frame[..., ::-1], CAMERA_SIZE_PX, interpolation=cv2.INTER_CUBIC)
            file.write(cv2.imencode(".jpg", larger, [cv2.IMWRITE_JPEG_QUALITY, CAMERA_QUALITY])[1].tobytes())


GOLDEN_OF: dict[str, Callable[[], dict[str, Any]]] = {
    "pose": pose_golden,
    "smoothing": smoothing_golden,
    "pictures": pictures_golden,
}


def main() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, golden in GOLDEN_OF.items():
        text = json.dumps(rounded(golden()), separators=(",", ":"))
        (GOLDEN / f"{name}.json").write_text(text + "\n", "utf-8")
    write_camera()


if __name__ == "__main__":
    main()
