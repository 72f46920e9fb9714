"""FreiHAND (Zimmermann et al. 2019) as training and as evaluation data."""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from datasets.augmentation import HandSample
from datasets.augmented import REFERENCE, AugmentedHands, SampleSettings
from datasets.cache import CachedHands
from datasets.freihand_files import FreiHANDFiles, require_numbered
from datasets.freihand_rows import check_cameras, read_rows
from handmesh.geometry import (
    EVALUATION_HALF_PX,
    INPUT_MEAN,
    INPUT_SIZE_PX,
    INPUT_STD,
    crop_image,
    crop_intrinsics,
    to_network_input,
)
from handmesh.images import read_image


class FreiHANDTraining(AugmentedHands):
    """Augmented training samples. A sample is asked for by (epoch, index), which with `seed` fixes its augmentation.

    Args:
        root: folder of the data, see `FreiHANDFiles`.
        num_vertices: vertices of the template.
        settings: size, augmentation and seed of the samples.
        cache: folder of the decoded data, made if need be; None reads the files each time.

    Raises:
        InputError: a file is missing, damaged or does not fit the others; the message names it.
    """

    def __init__(
        self, root: str | Path, num_vertices: int, settings: SampleSettings, cache: str | Path | None = None
    ) -> None:
        super().__init__(settings)
        self.root = Path(root)
        if cache is None:
            self.source = FreiHANDFiles(self.root, num_vertices)
        else:
            self.source = CachedHands(Path(cache), self.root, num_vertices)
            self.in_threads = settings.pixels != REFERENCE

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, epoch: int = 0) -> HandSample:
        """Image `index` with its annotation as stored, in any epoch. Raises InputError if it cannot be read."""
        return self.source.read(index)


class FreiHANDEvaluation(Dataset):
    """The evaluation images under the fixed central crop, with the intrinsics of the crop.

    Args:
        root: folder with `evaluation/rgb` and `evaluation_K.json`.
        size: side of a sample in pixels.

    Raises:
        InputError: as `FreiHANDTraining`.
    """

    def __init__(
        self, root: str | Path, size: int = INPUT_SIZE_PX, mean: float = INPUT_MEAN, std: float = INPUT_STD
    ) -> None:
        self.root = Path(root)
        self.size, self.mean, self.std = size, mean, std
        self.K = read_rows(self.root / "evaluation_K.json", (3, 3))
        check_cameras(self.root / "evaluation_K.json", self.K)
        require_numbered(self.root / "evaluation/rgb", "jpg", len(self.K))

    def __len__(self) -> int:
        return len(self.K)

    def photo(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """An image (H, W, 3) RGB uint8 as it is, and its K (3, 3)."""
        return read_image(self.root / "evaluation/rgb" / f"{index:08d}.jpg"), self.K[index]

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """`image` (3, S, S) float32 and `K` (3, 3) float64 of the crop."""
        image, K = self.photo(index)
        center = np.array([image.shape[1], image.shape[0]]) / 2
        box = (center, EVALUATION_HALF_PX, self.size)
        return {
            "image": to_network_input(crop_image(image, *box), self.mean, self.std),
            "K": crop_intrinsics(K, *box),
        }
