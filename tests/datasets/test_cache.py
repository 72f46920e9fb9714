"""The cache of decoded data: equal to the files, made again when they change, and never half there."""

import json
import os
import shutil
from multiprocessing import get_context

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from datasets.augmented import SampleSettings
from datasets.cache import ARRAYS, open_cache
from datasets.freihand import FreiHANDTraining
from datasets.freihand_files import FreiHANDFiles
from datasets.loading import start_worker
from handmesh.errors import InputError


@pytest.fixture
def data(rendered_freihand, tmp_path):
    return shutil.copytree(rendered_freihand, tmp_path / "data")


def times(folder):
    return {name: (folder / f"{name}.npy").stat().st_mtime_ns for name in ARRAYS}


def test_samples_are_those_of_the_files(data, template, tmp_path):
    files = FreiHANDFiles(data, template.num_vertices[0])
    cached = open_cache(tmp_path / "cache", data, template.num_vertices[0])
    assert len(cached) == len(files)
    for index in range(len(files)):
        expected, found = files.read(index), cached.read(index)
        for name in ("image", "mask", "landmarks_px", "vertices_m", "K"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_data_workers_read_it(data, template, tmp_path):
    keys = [(0, index) for index in range(8)]
    batches = []
    for cache in (None, tmp_path / "cache"):
        samples = FreiHANDTraining(data, template.num_vertices[0], SampleSettings(size=64), cache)
        loader = DataLoader(
            samples, batch_sampler=[keys], num_workers=2, worker_init_fn=start_worker, multiprocessing_context="fork"
        )
        batches.append(next(iter(loader)))
    for name in batches[0]:
        np.testing.assert_array_equal(batches[0][name], batches[1][name])


def test_it_is_made_once_and_again_when_the_data_changes(data, template, tmp_path, capsys):
    folder, vertices = tmp_path / "cache", template.num_vertices[0]
    open_cache(folder, data, vertices)
    before = times(folder)
    open_cache(folder, data, vertices)
    assert times(folder) == before
    image = data / "training/rgb/00000003.jpg"
    cv2.imwrite(str(image), cv2.imread(str(image))[:, ::-1])
    changed = open_cache(folder, data, vertices)
    assert times(folder) != before
    assert "made anew" in capsys.readouterr().out
    np.testing.assert_array_equal(changed.read(3).image, FreiHANDFiles(data, vertices).read(3).image)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: cut(folder / "images.npy"),
        lambda folder: (folder / "masks.npy").unlink(),
        lambda folder: (folder / "cache.json").write_text("[1"),
        lambda folder: (folder / "cache.json").write_text("[]"),
        lambda folder: (folder / "xyz.npy").write_bytes(b"x" * (folder / "xyz.npy").stat().st_size),
    ],
)
def test_what_is_not_whole_is_made_again(data, template, tmp_path, damage):
    folder, vertices = tmp_path / "cache", template.num_vertices[0]
    open_cache(folder, data, vertices)
    damage(folder)
    leftover = tmp_path / ".cache.4711.tmp"  # of a build that was killed
    leftover.mkdir()
    cached = open_cache(folder, data, vertices)
    np.testing.assert_array_equal(cached.read(5).image, FreiHANDFiles(data, vertices).read(5).image)
    assert not leftover.exists()


def test_a_damaged_sample_is_an_error(data, template, tmp_path):
    folder, vertices = tmp_path / "cache", template.num_vertices[0]
    open_cache(folder, data, vertices)
    with (folder / "images.npy").open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"damage")
    cached = open_cache(folder, data, vertices)
    cached.read(0)
    with pytest.raises(InputError, match="damaged; delete"):
        cached.read(len(cached) - 1)


def test_unusable_data_is_an_error_and_leaves_nothing(data, template, tmp_path):
    path = data / "training/rgb/00000002.jpg"
    small, mask = cv2.imread(str(path))[:100, :100], data / "training/mask/00000002.jpg"
    cv2.imwrite(str(path), small)
    cv2.imwrite(str(mask), cv2.imread(str(mask), 0)[:100, :100])
    with pytest.raises(InputError, match="--cache none"):
        open_cache(tmp_path / "cache", data, template.num_vertices[0])
    with pytest.raises(InputError, match="template of 778"):
        open_cache(tmp_path / "cache", data, 778)
    (data / "training_K.json").write_text(json.dumps([[1, 2], [3]]))
    with pytest.raises(InputError, match="training_K"):
        open_cache(tmp_path / "cache", data, template.num_vertices[0])
    assert not (tmp_path / "cache").exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_two_processes_make_one(data, template, tmp_path):
    folder, vertices = tmp_path / "cache", template.num_vertices[0]
    processes = [get_context("fork").Process(target=open_cache, args=(folder, data, vertices)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert not list(tmp_path.glob(".cache.*.tmp"))
    before = times(folder)
    open_cache(folder, data, vertices)
    assert times(folder) == before
