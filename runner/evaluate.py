"""The evaluation phase: the FreiHAND challenge file, and the score where the ground truth is at hand."""

import json
import zipfile
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm

from datasets.freihand import FreiHANDEvaluation
from datasets.freihand_files import check_equal_lengths
from options import Options
from runner.score import has_ground_truth, read_ground_truth, write_report
from runner.setup import make_predictor, prepare, start_worker
from utils.errors import InputError
from utils.files import atomic_write
from utils.metrics import score_predictions


def evaluate(options: Options) -> None:
    """Predict the evaluation set, write `EXP.json` and `EXP.zip`, and score them if annotations are there."""
    setup = prepare(options)
    options = setup.options
    data = FreiHANDEvaluation(options.data_root, options.size, options.img_mean, options.img_std)
    ground_truth = None
    if has_ground_truth(options.data_root):
        ground_truth = read_ground_truth(options.data_root)
        check_equal_lengths(options.data_root, {"evaluation_K.json": data, "evaluation_xyz.json": ground_truth[0]})
    predictor = make_predictor(setup)
    loader = DataLoader(data, batch_size=options.batch_size, num_workers=options.workers, worker_init_fn=start_worker)
    joints, vertices, failures = [], [], 0
    for batch in tqdm(loader, unit="batch", dynamic_ncols=True):
        hands = predictor.predict(batch["image"], batch["K"])
        joints.append(hands.joints_m)
        vertices.append(hands.vertices_m)
        failures += int((~hands.success).sum())
    xyz, verts = np.concatenate(joints), np.concatenate(vertices)
    if not (np.isfinite(xyz).all() and np.isfinite(verts).all()):
        raise InputError(f"{options.checkpoint}: the network predicts values that are not finite; nothing was written")
    print(f"{len(xyz)} hands; the registration of {failures} is flagged as unreliable")
    path = write_challenge_files(options.run_dir, options.exp_name, xyz, verts)
    print(f"wrote {path} and {path.with_suffix('.zip')}")
    if ground_truth is None:
        print(f"no evaluation_xyz.json and evaluation_verts.json in {options.data_root}: not scored here")
    else:
        write_report(score_predictions(*ground_truth, xyz, verts), options.run_dir)


def write_challenge_files(folder: Path, name: str, xyz: np.ndarray, vertices: np.ndarray) -> Path:
    """Write `NAME.json`, [xyz, verts] in metres, and `NAME.zip` with `pred.json` inside; returns the JSON's path."""
    text = json.dumps([xyz.tolist(), vertices.tolist()], allow_nan=False)
    path = folder / f"{name}.json"
    with atomic_write(path, "w") as file:
        file.write(text)
    with atomic_write(path.with_suffix(".zip")) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pred.json", text)
    return path
