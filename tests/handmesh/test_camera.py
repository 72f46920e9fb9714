"""Where intrinsics come from: a file, EXIF data, a field of view, in this order; and files that hold none."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from handmesh.camera import EXIF_FOLDER, FOCAL_LENGTH_35MM, find_camera, from_fov
from handmesh.errors import InputError


def write_photo(path, focal_35mm=None, orientation=None):
    exif = Image.Exif()
    if focal_35mm is not None:
        exif.get_ifd(EXIF_FOLDER)[FOCAL_LENGTH_35MM] = focal_35mm
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", (400, 300)).save(path, exif=exif)
    return path


def test_file_before_exif_before_field_of_view(tmp_path):
    photo = write_photo(tmp_path / "a.jpg", focal_35mm=26)
    camera = find_camera(photo, 300, 400)
    assert camera.source == "exif"
    assert camera.approximate
    assert camera.K[0, 0] == pytest.approx(26 / math.hypot(36, 24) * 500)
    np.testing.assert_allclose(camera.K[:2, 2], [199.5, 149.5])
    (tmp_path / "a_K.json").write_text(json.dumps({"K": [[500, 0, 200], [0, 500, 150], [0, 0, 1]]}))
    camera = find_camera(photo, 300, 400)
    assert camera.source == "file"
    assert not camera.approximate
    assert camera.K[0, 0] == 500
    guessed = find_camera(write_photo(tmp_path / "b.jpg"), 300, 400, fov_degrees=90)
    assert guessed.source == "fov"
    assert guessed.K[0, 0] == pytest.approx(200)


@pytest.mark.parametrize("focal", [0, 1, 65535])
def test_impossible_exif_is_as_good_as_none(tmp_path, focal):
    assert find_camera(write_photo(tmp_path / "a.jpg", focal_35mm=focal), 300, 400).source == "fov"


def test_field_of_view_is_that_of_the_longer_side():
    K = from_fov(400, 300, 65)
    edge = np.linalg.inv(K) @ [0, 199.5 - 200, 1]
    assert math.degrees(2 * math.atan(-edge[1])) == pytest.approx(65)


@pytest.mark.parametrize(
    "content",
    ["[[1, 2], [3, 4]]", "{}", "[[0, 0, 1], [0, 1, 1], [0, 0, 1]]", '"K"', "[[NaN, 0, 1], [0, 1, 1], [0, 0, 1]]"],
)
def test_a_file_without_intrinsics_is_named(tmp_path, content):
    photo = write_photo(tmp_path / "a.jpg", focal_35mm=26)
    (tmp_path / "a_K.json").write_text(content)
    with pytest.raises(InputError, match="a_K.json"):
        find_camera(photo, 300, 400)
