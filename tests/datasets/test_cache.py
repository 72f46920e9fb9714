"""The cache of decoded data: equal to the files, filled once, and made again when they change."""

import json
import os
import shutil
from multiprocessing import get_context

import cv2
import numpy as np
import pytest

from datasets.cache import CachedHands
from datasets.freihand_files import FreiHANDFiles
from handmesh.errors import InputError


@pytest.fixture
def data(rendered_freihand, tmp_path):
    return shutil.copytree(rendered_freihand, tmp_path / "data")


def cache(data, template):
    return CachedHands(data.parent / "cache", data, template.num_vertices[0])


def written(data):
    return (data.parent / "cache/data.mdb").stat().st_mtime_ns


def test_samples_are_those_of_the_files(data, template):
    files = FreiHANDFiles(data, template.num_vertices[0])
    cached = cache(data, template)
    assert len(cached) == len(files)
    for index in range(len(files)):
        expected, found = files.read(index), cached.read(index)
        for name in ("image", "mask", "landmarks_px", "vertices_m", "K"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_it_is_filled_once_and_again_when_the_data_changes(data, template, capsys):
    cache(data, template)
    before = written(data)
    cache(data, template)
    assert written(data) == before
    image = data / "training/rgb/00000003.jpg"
    cv2.imwrite(str(image), cv2.imread(str(image))[:, ::-1])
    changed = cache(data, template)
    assert "another source" in capsys.readouterr().out
    expected = FreiHANDFiles(data, template.num_vertices[0]).read(3)
    np.testing.assert_array_equal(changed.read(3).image, expected.image)


def test_what_is_cut_short_is_made_again(data, template):
    cache(data, template).store.close()
    path = data.parent / "cache/data.mdb"
    os.truncate(path, path.stat().st_size // 2)
    expected = FreiHANDFiles(data, template.num_vertices[0]).read(5)
    np.testing.assert_array_equal(cache(data, template).read(5).image, expected.image)


def test_unusable_data_is_an_error(data, template):
    path, mask = data / "training/rgb/00000002.jpg", data / "training/mask/00000002.jpg"
    images = {file: cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in (path, mask)}
    for file, image in images.items():
        cv2.imwrite(str(file), image[:100, :100])
    with pytest.raises(InputError, match="100 x 100 px; expected squares of 224 px"):
        cache(data, template)
    for file, image in images.items():
        cv2.imwrite(str(file), image)
    assert len(cache(data, template)) == 16
    before = written(data)
    with pytest.raises(InputError, match="template of 778"):
        CachedHands(data.parent / "cache", data, 778)
    cache(data, template)
    assert written(data) == before
    (data / "training_K.json").write_text(json.dumps([[1, 2], [3]]))
    with pytest.raises(InputError, match="training_K"):
        cache(data, template)


def test_two_processes_fill_one(data, template):
    processes = [get_context("fork").Process(target=cache, args=(data, template)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    before = written(data)
    cache(data, template)
    assert written(data) == before
