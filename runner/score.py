"""The score phase: an existing prediction, from any method, against ground truth."""

from pathlib import Path

from handmesh.errors import InputError
from handmesh.files import atomic_write
from options import Options
from runner.score_files import read_ground_truth, read_prediction
from runner.score_report import errors_text, pck_figure, score_text, table_text
from utils.metrics import FreiHANDScore, score_predictions


def score(options: Options) -> None:
    """Score `--pred` against `--gt` and write the report to `--out_dir`.

    Raises:
        InputError: a file cannot be used, or they do not fit each other.
    """
    xyz, vertices = read_ground_truth(Path(options.gt), options.gt_layout)
    predicted_xyz, predicted_vertices = read_prediction(Path(options.pred), options.pred_layout)
    if vertices is None or predicted_vertices is None:
        print(f"no meshes in {options.gt if vertices is None else options.pred}: joints are scored alone")
    try:
        result = score_predictions(xyz, vertices, predicted_xyz, predicted_vertices)
    except InputError as error:
        raise InputError(f"{options.pred}: {error}") from error
    write_report(result, options.results_dir)


def write_report(result: FreiHANDScore, folder: Path) -> None:
    """Print the score and write `scores.txt`, `joint_errors.txt` and `pck.png`."""
    text = score_text(result)
    print(text, *(f"{line}\n" for line in errors_text(result)), sep="", end="")
    for name, content in (("scores.txt", text), ("joint_errors.txt", table_text(result))):
        with atomic_write(folder / name, "w") as file:
            file.write(content)
    with atomic_write(folder / "pck.png") as file:
        pck_figure(result).savefig(file, format="png", dpi=130)
    print(f"report in {folder}")
