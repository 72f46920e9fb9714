"""What the early stages of the hand trunk make of augmented samples, computed once: what comes behind them then trains
at several times the speed."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from datasets.augmented import AugmentedHands
from datasets.device import finish_batch, landmark_heatmaps
from datasets.loading import load_batches
from handmesh.errors import InputError
from handmesh.files import atomic_write, read_json, write_json
from models.hand_trunk import EarlyMap, HandTrunk

CHUNK = 1000  # samples in a file
LOADED = 50  # samples that come from the workers at a time
RECIPE = "features.json"


class FeatureSamples(Dataset):
    """Samples whose images have gone through the early stages. Made at the first start; a killed one goes on.

    Args:
        folder: where they are kept, 84 kB each.
        source: what is augmented. Sample i is that of (epoch, index) = divmod(i, len(source)).
        count: how many.
        trunk: whose early stages stay as they are.
        workers: threads or processes that augment, see `load_batches`.
        chunk: samples in a file.

    Raises:
        InputError: the folder holds those of another trunk, of other data or of other settings.
    """

    in_threads = True

    def __init__(
        self, folder: Path, source: AugmentedHands, count: int, trunk: HandTrunk, workers: int, chunk: int = CHUNK
    ) -> None:
        self.count, self.chunk = count, chunk
        recipe = {"samples": len(source), "settings": repr(asdict(source.settings)), "trunk": _digest(trunk)}
        path = folder / RECIPE
        if path.is_file() and read_json(path, "the recipe of features") != recipe:
            raise InputError(f"{folder} holds features of another trunk or of other data: delete it")
        write_json(path, recipe)
        chunks = [folder / f"{first:08d}.npy" for first in range(0, count, chunk)]
        missing = [number for number, path in enumerate(chunks) if not path.is_file()]
        for number in tqdm(missing, unit="file", desc="features", disable=not missing, dynamic_ncols=True):
            keys = [divmod(number * chunk + index, len(source)) for index in range(chunk)]
            _make_chunk(chunks[number], keys, source, trunk, workers)
        self.chunks = [np.load(path, mmap_mode="r", allow_pickle=False) for path in chunks]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
        """Sample `index` of any epoch; `finish_features` takes a batch of them."""
        _epoch, index = key
        row = self.chunks[index // self.chunk][index % self.chunk]
        return {name: np.array(row[name]) for name in row.dtype.names}


def finish_features(batch: dict[str, Tensor], size: int) -> dict:
    """From a batch of `FeatureSamples` to what a training step takes; `image` is an `EarlyMap`."""
    return {
        "image": EarlyMap(batch["early"].float().permute(0, 3, 1, 2)),
        **{name: batch[name] for name in ("mesh", "landmarks_px", "mirrored")},
        "heatmaps": landmark_heatmaps(batch["landmarks_px"], size),
        "silhouette": batch["silhouette"].float() / 255,
    }


def _make_chunk(
    path: Path, keys: list[tuple[int, int]], source: AugmentedHands, trunk: HandTrunk, workers: int
) -> None:
    settings = source.settings
    device = next(trunk.parameters()).device
    per_pass = LOADED if device.type == "cuda" else 2  # on a CPU the large maps of many do not stay in the caches
    rows = []
    batches = [keys[first : first + LOADED] for first in range(0, len(keys), LOADED)]
    for loaded in load_batches(source, batches, workers):
        batch = {name: value.to(device) for name, value in loaded.items()}
        batch = finish_batch(batch, settings.size, settings.mean, settings.std)
        with torch.inference_mode():
            parts = batch["image"].contiguous(memory_format=torch.channels_last).split(per_pass)
            early = torch.cat([trunk.early(part).map for part in parts])
        arrays = {"early": early.permute(0, 2, 3, 1).half().cpu().numpy()}
        arrays |= {name: batch[name].float().cpu().numpy() for name in ("mesh", "landmarks_px")}
        arrays["mirrored"] = batch["mirrored"].cpu().numpy()
        arrays["silhouette"] = (batch["silhouette"] * 255).round().byte().cpu().numpy()
        rows.append(_records(arrays))
    with atomic_write(path) as file:
        np.save(file, np.concatenate(rows))


def _records(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Arrays of equal length as one array of records."""
    kinds = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in arrays.items()])
    records = np.empty(len(next(iter(arrays.values()))), kinds)
    for name, array in arrays.items():
        records[name] = array
    return records


def _digest(trunk: HandTrunk) -> str:
    digest = hashlib.sha256()
    for value in trunk.early_parameters():
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
