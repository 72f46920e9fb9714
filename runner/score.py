"""The score phase: an existing prediction, from any method, against the FreiHAND ground truth."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from datasets.freihand_files import as_rows, check_equal_lengths, read_rows
from handmesh.errors import InputError
from handmesh.files import atomic_write, read_json
from handmesh.joints import NUM_JOINTS
from options import Options
from runner.score_report import pck_figure, score_text, table_text
from utils.metrics import FreiHANDScore, score_predictions

MAX_UNZIPPED_BYTES = 4 << 30  # 3,960 meshes are about 0.2 GB of text; guards against zip bombs
EXPECTED = "[xyz, verts]: a list of 21 x 3 joints and a list of V x 3 vertices per sample, metres, camera space"


def score(options: Options) -> None:
    """Score `--pred` against `--gt` and write the report to `--out_dir`."""
    xyz, vertices = read_ground_truth(Path(options.gt))
    predicted_xyz, predicted_vertices = read_prediction(Path(options.pred))
    write_report(score_predictions(xyz, vertices, predicted_xyz, predicted_vertices), options.results_dir)


def write_report(result: FreiHANDScore, folder: Path) -> None:
    """Print the score and write `scores.txt`, `joint_errors.txt` and `pck.png`."""
    text = score_text(result)
    print(text, end="")
    for name, value in result.camera_space_mm.items():
        print(f"{name}: " + ("not comparable" if value is None else f"{value:.2f} mm"))
    for name, content in (("scores.txt", text), ("joint_errors.txt", table_text(result))):
        with atomic_write(folder / name, "w") as file:
            file.write(content)
    with atomic_write(folder / "pck.png") as file:
        pck_figure(result).savefig(file, format="png", dpi=130)
    print(f"report in {folder}")


def has_ground_truth(root: Path) -> bool:
    """Whether the evaluation annotations are there."""
    return all((root / f"evaluation_{name}.json").is_file() for name in ("xyz", "verts"))


def read_ground_truth(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 21, 3) and vertices (N, V, 3) of the evaluation set. Raises InputError."""
    xyz = read_rows(root / "evaluation_xyz.json", (NUM_JOINTS, 3))
    vertices = read_rows(root / "evaluation_verts.json", (None, 3))
    check_equal_lengths(root, {"evaluation_xyz.json": xyz, "evaluation_verts.json": vertices})
    return xyz, vertices


def read_prediction(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Joints and vertices of a prediction: a .json, or a .zip with one .json inside. Raises InputError."""
    content = _read_zip(path) if path.suffix == ".zip" else read_json(path, EXPECTED)
    if not isinstance(content, list) or len(content) != 2:
        raise InputError(f"{path}: expected {EXPECTED}")
    return as_rows(content[0], path, (NUM_JOINTS, 3)), as_rows(content[1], path, (None, 3))


def _read_zip(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            files = [info for info in archive.infolist() if not info.filename.startswith("__MACOSX/")]
            inside = [info for info in files if info.filename.endswith(".json")]
            if len(inside) != 1:
                raise InputError(f"{path}: holds {len(inside)} .json files, expected one")
            if inside[0].file_size > MAX_UNZIPPED_BYTES:
                raise InputError(f"{path}: {inside[0].filename} unpacks to {inside[0].file_size >> 20} MiB")
            with archive.open(inside[0]) as file:
                return json.load(io.TextIOWrapper(file, "utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected {EXPECTED}") from error
    except InputError:
        raise
    except Exception as error:  # a damaged archive may raise almost anything
        raise InputError(f"{path}: cannot be read as a zip with a JSON file ({error})") from error
