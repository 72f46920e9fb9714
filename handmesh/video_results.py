"""What is written of a video: its hands as arrays, joint angles as a table and a picture, an animated rig, and the
video with the meshes over it."""

import csv
import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handmesh.bvh import bvh_text
from handmesh.drawing.angles import plot_angles
from handmesh.drawing.photo import draw_overlay
from handmesh.errors import InputError
from handmesh.files import atomic_write, remove_matching, replaced
from handmesh.hand import RIGHT
from handmesh.hand_model import load_hand_model
from handmesh.joints import JOINT_NAMES, NUM_JOINTS
from handmesh.rig import animated_glb, by_track
from handmesh.skeleton import ANGLE_NAMES, BONES, NUM_BONES
from handmesh.tracking import TrackedHand
from handmesh.video import Frame, VideoWriter


def row_type(num_vertices: int, num_shapes: int) -> np.dtype:
    """A hand in a frame, as `NAME_hands.npz` has it (docs/videos.md)."""
    number, names = "<f4", len(ANGLE_NAMES)
    return np.dtype(
        [
            ("frame", "<i4"),
            ("time_s", "<f8"),
            ("track", "<i4"),
            ("right", "?"),
            ("bridged", "?"),
            ("confidence", number),
            ("angles", number, names),
            ("angle_deviations", number, names),
            ("quaternions", number, (NUM_BONES, 4)),
            ("shape", number, num_shapes),
            ("size", number),
            ("wrist_pose", number, (4, 4)),
            ("joints_m", number, (NUM_JOINTS, 3)),
            ("vertices_m", number, (num_vertices, 3)),
            ("K", number, (3, 3)),
        ]
    )


class VideoResults:
    """The files of a video, one frame after the other. Rows wait on disk, so that memory does not grow with the video;
    files appear under their names when the block ends without an exception.

    Args:
        folder, name: files are `FOLDER/NAME_hands.npz`, `NAME_angles.csv`, `NAME_angles.png`, `NAME_overlay.mp4`,
            `NAME.glb` and, for each hand, `NAME_right_1.bvh`.
        faces: triangles of right and left hands.
    """

    def __init__(self, folder: Path, name: str, faces: dict[str, np.ndarray]) -> None:
        self.path, self.faces, self.frames = folder / name, faces, 0
        model = load_hand_model()
        self.row = np.zeros(1, row_type(len(model.vertices), len(model.shape_mean)))

    def __enter__(self) -> "VideoResults":
        self._stack = ExitStack()
        self._video = VideoWriter(self._stack.enter_context(replaced(self._file("overlay.mp4"))))
        self._rows = self._stack.enter_context(tempfile.TemporaryFile(dir=self.path.parent))
        self._stack.callback(self._video.close)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if kind is not None:  # the files stay as they were
            self._stack.__exit__(kind, *rest)
            return
        with self._stack:
            if not self.frames:
                raise InputError(f"{self.path.name}: no frame of it can be read")
            self._rows.flush()
            count = self._rows.tell() // self.row.itemsize
            rows: Any = np.memmap(self._rows, self.row.dtype, "r", shape=count) if count else self.row[:0]
            names = {"joint_names": JOINT_NAMES, "bone_names": BONES, "angle_names": ANGLE_NAMES}
            arrays: dict[str, Any] = {name: rows[name] for name in rows.dtype.names} | {
                k: np.array(v) for k, v in names.items()
            }
            with atomic_write(self._file("hands.npz")) as file:
                np.savez_compressed(file, **arrays, faces=self.faces[RIGHT])
            self._write_angles(rows)
            tracks = by_track(rows)
            with atomic_write(self._file("angles.png")) as file:
                file.write(cv2.imencode(".png", plot_angles(tracks)[..., ::-1])[1].tobytes())
            with atomic_write(self.path.with_name(f"{self.path.name}.glb")) as file:
                file.write(animated_glb(tracks, self.faces))
            remove_matching(self.path.parent, re.escape(self.path.name) + r"_(left|right)_\d+\.bvh")
            for name, own in tracks.items():
                with atomic_write(self._file(f"{name}.bvh"), "w") as text:
                    text.write(bvh_text(own))

    def add(self, frame: Frame, hands: Sequence[TrackedHand]) -> np.ndarray:
        """Write the hands of the next frame; returns it with their meshes over it."""
        for hand in hands:
            for name in ("angles", "angle_deviations", "quaternions", "shape", "size", "wrist_pose"):
                self.row[name] = getattr(hand.pose, name)
            for name in ("time_s", "track", "bridged", "confidence", "joints_m", "vertices_m"):
                self.row[name] = getattr(hand, name)
            self.row["frame"], self.row["right"], self.row["K"] = self.frames, hand.side == RIGHT, hand.camera.K
            self._rows.write(self.row.tobytes())
        overlay = draw_overlay(frame.image, hands, self.faces)
        self._video.write(overlay, frame.time_s)
        self.frames += 1
        return overlay

    def _file(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}_{ending}")

    def _write_angles(self, rows: np.ndarray) -> None:
        """`NAME_angles.csv`: degrees."""
        with atomic_write(self._file("angles.csv"), "w") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["frame", "time_s", "track", "side", "bridged", *ANGLE_NAMES])
            for row in rows:
                side = "right" if row["right"] else "left"
                place = [row["frame"], round(float(row["time_s"]), 4), row["track"], side, int(row["bridged"])]
                table.writerow(place + np.rad2deg(row["angles"].astype(float)).round(2).tolist())
