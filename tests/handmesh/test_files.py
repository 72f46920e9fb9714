"""Files are whole or absent."""

import os

import pytest

from handmesh.errors import InputError
from handmesh.files import atomic_write, read_json, remove_leftovers, write_json


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "deep/er/file.json"
    with atomic_write(path, "w") as file:
        file.write("half")
        assert not path.exists()
    assert path.read_text() == "half"
    with pytest.raises(TypeError), atomic_write(path, "w") as file:
        file.write(1)
    assert path.read_text() == "half"
    assert [item.name for item in path.parent.iterdir()] == ["file.json"]


def test_files_get_ordinary_permissions(tmp_path):
    write_json(tmp_path / "a.json", [1])
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o666 & ~mask


def test_folders_that_cannot_be_made_are_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="choose another"), atomic_write(tmp_path / "file/inside.json"):
        pass


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "cut short"), (b"\xff\xfe", "not valid"), (None, "no such file")]
)
def test_unreadable_json_is_named(content, message, tmp_path):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_json(tmp_path / "a.json", "a list of hands")
    assert "a list of hands" in str(error.value)


def test_old_leftovers_of_a_folder_go_and_nothing_else(tmp_path):
    for name, inside in ((".a.json.x1.tmp", "a.json"), (".b.json.x2.tmp", "b.json"), (".other.tmp", "state")):
        (tmp_path / name).mkdir()
        (tmp_path / name / inside).touch()
        if not name.startswith(".b"):  # which is being written
            for path in (tmp_path / name / inside, tmp_path / name):
                os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".b.json.x2.tmp", ".other.tmp"}
