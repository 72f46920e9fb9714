"""Data sets by the name of their layout. A new one is a reader in a file of its own, and a line here."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from datasets.augmented import AugmentedHands, SampleSettings
from datasets.freihand import FreiHANDTraining
from datasets.hand_files import HandsOfFiles
from datasets.ho3d import HO3DFiles
from datasets.keypoints import KeypointFiles
from datasets.rhd import RHDFiles

# Called with the folder of the data, the number of vertices of the template, and how samples are made.
TRAINING_SETS: Mapping[str, Callable[[Path, int, SampleSettings], AugmentedHands]] = {
    "FreiHAND": FreiHANDTraining,
    "Synthetic": FreiHANDTraining,  # what the generator writes
    "RHD": partial(HandsOfFiles, RHDFiles),
    "HO3D": partial(HandsOfFiles, HO3DFiles),
    "Keypoints": partial(HandsOfFiles, KeypointFiles),
}
