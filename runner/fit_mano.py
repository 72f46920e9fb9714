"""The fit_mano phase: MANO's pose and shape of hands that are meshes, and the joints of FreiHAND's `mano` rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.freihand_rows import as_rows, check_cameras, check_equal_lengths, check_topology, read_rows
from handmesh.errors import InputError
from handmesh.files import write_json, write_json_rows
from handmesh.joints import MIDDLE_KNUCKLE
from options import Options
from runner.score_files import as_prediction, read_content
from utils.mano import NUM_ANGLES, NUM_SHAPES, Mano, fit_mano, read_mano

KEYS = ("pose", "shape", "translation_m", "error_mm")
BATCH = 16  # hands at a time
ROW = NUM_ANGLES + NUM_SHAPES + 3  # numbers of a `mano` row: pose, shape, pixel of the root, scale


def fit_or_pose(options: Options) -> None:
    """Fit the MANO model of `--template` to the meshes of `--pred`, to `mano.json` in `--out_dir`; or pose it as the
    `mano` rows of `--pred` say, to `joints.json`.

    Raises:
        InputError: a file cannot be used, or they do not fit each other.
    """
    model, path, folder = read_mano(Path(options.template)), Path(options.pred), options.results_dir
    content = read_content(path)
    if _holds_mano_rows(content):
        written, joints = folder / "joints.json", _posed(model, content, path)
        write_json(written, [joints.tolist()])
        print(f"joints of {len(joints)} hands in {written}")
        return
    _, vertices = as_prediction(content, path, options.pred_layout)
    if vertices is None:
        raise InputError(f"{path}: holds joints alone, and MANO is fitted to meshes; expected [xyz, verts]")
    check_topology(path, vertices.shape[1], len(model.vertices))
    rows = []
    for batch in _batches(len(vertices), "fit"):
        hands, errors_m = fit_mano(model, vertices[batch])
        for row in zip(model.pose(hands), hands.shape, hands.translation_m, 1000 * errors_m, strict=True):
            rows.append({key: part.tolist() for key, part in zip(KEYS, row, strict=True)})
    write_json_rows(folder / "mano.json", rows)
    mean_mm = np.mean([row["error_mm"] for row in rows])
    print(f"{len(rows)} hands, vertices {mean_mm:.2f} mm off on average, in {folder / 'mano.json'}")


def _batches(count: int, title: str) -> Iterator[slice]:
    for first in tqdm(range(0, count, BATCH), unit="batch", desc=title, dynamic_ncols=True):
        yield slice(first, first + BATCH)


def _holds_mano_rows(content: object) -> bool:
    """Whether this is a list of 1 x 61 matrices, as `training_mano.json` has them, rather than a prediction."""
    try:
        return len(content[0]) == 1 and len(content[0][0]) == ROW
    except (TypeError, KeyError, IndexError):
        return False


def _posed(model: Mano, content: object, path: Path) -> np.ndarray:
    """Joints (N, 21, 3) of `mano` rows, metres, camera space; the cameras are in `SPLIT_K.json` beside the rows.

    FreiHAND's rows say where the middle knuckle is: its pixel, and a scale, by which the focal length is divided for
    the depth in metres (`recover_root` in github.com/lmb-freiburg/freihand, with the mean of both focal lengths).
    """
    rows, cameras = as_rows(content, path, (1, ROW))[:, 0], path.with_name(path.name.replace("_mano", "_K"))
    if cameras == path:
        raise InputError(
            f"{path}: holds mano rows; name it SPLIT_mano.json, with the cameras in SPLIT_K.json beside it"
        )
    K = read_rows(cameras, (3, 3))
    check_cameras(cameras, K)
    check_equal_lengths(path.parent, {path.name: rows, cameras.name: K})
    pose, shape, root_px, scale = np.split(rows, np.cumsum([NUM_ANGLES, NUM_SHAPES, 2]), axis=1)
    if not (scale > 0).all():
        raise InputError(
            f"{path}: entry {int((scale <= 0).argmax())} has a scale of 0 or below; expected pixels a metre"
        )
    focal_px = K[:, [0, 1], [0, 1]].mean(axis=1, keepdims=True)
    root_m = np.concatenate([root_px - K[:, :2, 2], focal_px], axis=1) / scale
    joints = [model.freihand_joints(model.hands(pose[batch], shape[batch])) for batch in _batches(len(rows), "pose")]
    placed = np.concatenate(joints)
    return placed + (root_m - placed[:, MIDDLE_KNUCKLE])[:, None]
