"""What the early stages of the hand trunk make of augmented samples, computed once: what comes behind them then trains
at several times the speed."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from datasets.augmented import AugmentedHands
from datasets.batch import LABELS, finish_batch
from datasets.loading import load_batches
from datasets.store import Record, Store
from handmesh.files import content_digest

MADE_AT_A_TIME = 50  # samples


class FeatureSamples(Dataset):
    """Samples whose images have gone through the early stages. Made at the first start; a killed one goes on.

    Args:
        folder: where they are kept, 85 kB each.
        source: what is augmented. Sample i is that of (epoch, index) = divmod(i, len(source)).
        count: how many.
        trunk: whose early stages stay as they are: `early` takes images to a tuple with one map, and
            `early_parameters` lists what that depends on.
        workers: threads or processes that augment, see `load_batches`.

    Raises:
        InputError: the folder holds those of another trunk, of other data or of other settings, or there is no room.
    """

    in_threads = True

    def __init__(self, folder: Path, source: AugmentedHands, count: int, trunk: nn.Module, workers: int) -> None:
        self.count = count
        digest = content_digest(*(value.detach().cpu().numpy() for value in trunk.early_parameters()))
        recipe = {"samples": len(source), "settings": repr(asdict(source.settings)), "trunk": digest}
        recipe |= source.recipe
        self.store = Store(folder, "early maps", recipe)
        missing = self.store.missing(range(count))
        if missing:
            _fill(self.store, missing, source, trunk, workers)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: tuple[int, int]) -> Record:
        """Sample `index` of any epoch; `finish_batch` takes a batch of them."""
        _epoch, index = key
        return {name: np.array(value) for name, value in self.store.read(index).items()}


def _fill(store: Store, missing: list[int], source: AugmentedHands, trunk: nn.Module, workers: int) -> None:
    chunks = [missing[first : first + MADE_AT_A_TIME] for first in range(0, len(missing), MADE_AT_A_TIME)]
    batches = [[divmod(number, len(source)) for number in chunk] for chunk in chunks]
    with tqdm(total=len(missing), unit="sample", desc="features", dynamic_ncols=True) as bar:
        for chunk, batch in zip(chunks, load_batches(source, batches, workers), strict=True):
            records = _early_records(batch, source, trunk)
            if chunk is chunks[0]:
                store.reserve(len(missing), records[0])
            store.write(zip(chunk, records, strict=True))
            bar.update(len(chunk))


@torch.inference_mode()
def _early_records(batch: dict[str, Tensor], source: AugmentedHands, trunk: nn.Module) -> list[Record]:
    settings, device = source.settings, next(trunk.parameters()).device
    batch = {name: value.to(device) for name, value in batch.items()}
    batch = finish_batch(batch, settings.size, settings.mean, settings.std)
    images = batch["image"].contiguous(memory_format=torch.channels_last)
    parts = images.split(len(images) if device.type == "cuda" else 2)  # the large maps of many fit no processor's cache
    early = torch.cat([trunk.early(part)[0] for part in parts])
    arrays = {"early": early.permute(0, 2, 3, 1).half().cpu().numpy()}
    arrays |= {name: batch[name].cpu().numpy() for name in LABELS if name in batch}
    arrays["silhouette"] = (batch["silhouette"] * 255).round().byte().cpu().numpy()
    return [{name: array[row] for name, array in arrays.items()} for row in range(len(early))]
