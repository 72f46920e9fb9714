"""The evaluation phase: the FreiHAND challenge file, and the score where the ground truth is at hand."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from datasets.freihand import FreiHANDEvaluation
from datasets.freihand_rows import check_equal_lengths
from datasets.loading import start_worker
from handmesh.errors import InputError
from handmesh.files import atomic_write
from handmesh.finder import HandFinder
from handmesh.hand import RIGHT, Hand
from handmesh.network import Network
from handmesh.predictor import CropPredictor
from options import Options
from runner.prediction import network_for_prediction
from runner.ranks import Ranks, joined_ranks
from runner.score import write_report
from runner.score_files import has_ground_truth, read_ground_truth
from runner.setup import select_device
from utils.metrics import score_predictions


def evaluate(options: Options) -> None:
    """Predict the evaluation set, write `EXP.json` and `EXP.zip`, and score them if annotations are there.

    Under torchrun every process predicts its share, and the first one writes.
    """
    with joined_ranks(select_device(options)) as ranks:
        data = FreiHANDEvaluation(options.data_root)  # says what is missing before a network is prepared
        if not ranks.first:
            ranks.wait()  # for the file that the first one may have to make of the checkpoint
        network = network_for_prediction(options)
        if ranks.first:
            ranks.wait()
        about = network.description
        data.size, data.mean, data.std = about.size_px, about.mean, about.std
        ground_truth = None
        if has_ground_truth(options.data_root) and ranks.first:
            ground_truth = read_ground_truth(options.data_root)
            check_equal_lengths(options.data_root, {"evaluation_K.json": data, "evaluation_xyz.json": ground_truth[0]})
        shares = ranks.gather(predict(network, data, options, ranks))
    if not ranks.first:
        return
    xyz, vertices, success = (in_order(parts) for parts in zip(*shares, strict=True))
    if not (np.isfinite(xyz).all() and np.isfinite(vertices).all()):
        raise InputError(f"{options.checkpoint}: the network predicts values that are not finite; nothing was written")
    print(f"{len(xyz)} hands; the registration of {int((~success).sum())} is flagged as unreliable")
    path = write_challenge_files(options.run_dir, options.exp_name, xyz, vertices)
    print(f"wrote {path} and {path.with_suffix('.zip')}")
    if ground_truth is None:
        print(f"no evaluation_xyz.json in {options.data_root}: not scored here")
    else:
        write_report(score_predictions(*ground_truth, xyz, vertices), options.run_dir)


def predict(
    network: Network, data: FreiHANDEvaluation, options: Options, ranks: Ranks
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """This process's share, every `ranks.count`-th sample: joints (n, 21, 3), vertices (n, V, 3), success (n,)."""
    share = range(ranks.rank, len(data), ranks.count)
    if not len(share):
        raise InputError(f"{options.data_root}: {len(data)} images for {ranks.count} processes; use fewer")
    shown = {"dynamic_ncols": True, "disable": not ranks.first}
    if network.description.traits.upright:
        find = HandFinder(network, options.n_threads or None)
        hands = [right_hand(find, *data.photo(index)) for index in tqdm(share, unit="image", **shown)]
        rows = ([getattr(hand, name) for hand in hands] for name in ("joints_m", "vertices_m", "success"))
        return tuple(map(np.array, rows))  # type: ignore[return-value]
    predictor, crops = CropPredictor(network), Subset(data, share)
    loader = DataLoader(crops, batch_size=options.batch_size, num_workers=options.workers, worker_init_fn=start_worker)
    found = []
    for batch in tqdm(loader, unit="batch", **shown):
        several = predictor.predict(batch["image"].numpy(), batch["K"].numpy())
        found.append((several.joints_m, several.vertices_m, several.success))
    joints, vertices, success = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return joints, vertices, success


def right_hand(find: HandFinder, image: np.ndarray, K: np.ndarray) -> Hand:
    """The right hand that an image of FreiHAND shows, found as in any photo; the whole image where none is."""
    hands = find(image, K, hand=RIGHT) or find(image, K, hand=RIGHT, detect="never")
    return max(hands, key=lambda hand: hand.confidence)


def in_order(shares: Sequence[np.ndarray]) -> np.ndarray:
    """The whole again from the shares of all processes."""
    whole = np.empty((sum(map(len, shares)), *shares[0].shape[1:]), shares[0].dtype)
    for rank, share in enumerate(shares):
        whole[rank :: len(shares)] = share
    return whole


def write_challenge_files(folder: Path, name: str, xyz: np.ndarray, vertices: np.ndarray) -> Path:
    """Write `NAME.json`, [xyz, verts] in metres, and `NAME.zip` with `pred.json` inside; returns the JSON's path."""
    text = json.dumps([xyz.tolist(), vertices.tolist()], allow_nan=False)
    path = folder / f"{name}.json"
    with atomic_write(path, "w") as file:
        file.write(text)
    with atomic_write(path.with_suffix(".zip")) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pred.json", text)
    return path
