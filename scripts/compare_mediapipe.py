#!/usr/bin/env python3
"""What MediaPipe says of photos, for `scripts/measure_photos.py --predictions`. Runs in an environment of its own:

python -m venv mediapipe_env && mediapipe_env/bin/pip install mediapipe==0.10.21
mediapipe_env/bin/python scripts/compare_mediapipe.py photos/ge_dev mediapipe.npz
"""

import argparse
import time
from pathlib import Path

import cv2
import mediapipe
import numpy as np


def predict(folder: Path, names: np.ndarray) -> dict[str, np.ndarray]:
    """The surest hand of each photo, its world landmarks as `xyz`; see `scripts.measure_photos.predict`."""
    found, xyz, side, seconds = [], [], [], []
    with mediapipe.solutions.hands.Hands(static_image_mode=True, model_complexity=1) as find:
        for name in names:
            image = cv2.imread(str(folder / str(name)))[..., ::-1].copy()
            started = time.perf_counter()
            hands = find.process(image)
            seconds.append(time.perf_counter() - started)
            found.append(bool(hands.multi_hand_landmarks))
            if found[-1]:
                scores = [one.classification[0].score for one in hands.multi_handedness]
                best = int(np.argmax(scores))
                points = hands.multi_hand_world_landmarks[best].landmark
                xyz.append([(point.x, point.y, point.z) for point in points])
                told = hands.multi_handedness[best].classification[0].label
                side.append({"Left": "right", "Right": "left"}[told])  # it takes pictures for mirrored ones
    rows = {"found": found, "xyz": xyz, "side": side, "seconds": seconds, "in_camera": False}
    return {name: np.array(value) for name, value in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.npz")
    parser.add_argument("predictions", type=Path, help="file to write")
    arguments = parser.parse_args()
    names = np.load(arguments.photos / "labels.npz")["names"]
    np.savez(arguments.predictions, **predict(arguments.photos, names))


if __name__ == "__main__":
    main()
