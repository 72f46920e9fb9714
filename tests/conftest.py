"""Small real parts that tests share: the open hand, a network of few channels, a rendered FreiHAND-layout folder."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from models import build_model
from tests.rendered_freihand import write_freihand
from utils.template import OPEN_HAND, load_template

SHARED = Path(os.environ.get("CMR_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SMALL_WIDTHS = (8, 8, 16, 16)
torch.set_num_threads(2)


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory):
    previous = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("XDG_CACHE_HOME")
    if previous is not None:
        os.environ["XDG_CACHE_HOME"] = previous


def pytest_collection_modifyitems(config, items):
    """Leave out what needs data that may not be distributed, where it is not there."""
    if SHARED.is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("shared_data")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def shared_file(*parts: str) -> Path:
    """A file of the data that may not be distributed, for tests marked `shared_data`."""
    return SHARED.joinpath(*parts)


@pytest.fixture(scope="session")
def template(_private_cache):
    return load_template(OPEN_HAND)


@pytest.fixture(scope="session")
def released_template(_private_cache):
    return load_template(shared_file("handmesh_template"))


@pytest.fixture(scope="session")
def small_model(template):
    torch.manual_seed(0)
    return build_model("cmr_g", "ResNet18", template, out_channels=SMALL_WIDTHS)


@pytest.fixture(scope="session")
def rendered_freihand(template, tmp_path_factory):
    """Eight training samples in two image versions, and five evaluation samples with ground truth."""
    root = tmp_path_factory.mktemp("freihand")
    write_freihand(root, template, annotations=8, versions=2, evaluations=5, seed=3)
    return root


@pytest.fixture
def rng():
    return np.random.default_rng(0)
