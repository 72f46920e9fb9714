"""The store: what goes in comes out, whoever reads and writes, and what is not its own or not whole is named."""

import os
import shutil
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from datasets.store import Store, locked
from handmesh.errors import InputError

RECIPE = {"seed": 3, "sizes": (4, 5)}


def numbered(number):
    image = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
    return {"image": image, "K": number * np.eye(3), "mirrored": np.bool_(number % 2)}


def new_store(folder, recipe=RECIPE, renew=False):
    return Store(folder, "numbers", recipe, renew)


@pytest.fixture
def store(tmp_path):
    made = new_store(tmp_path / "store")
    made.reserve(10, numbered(0))
    made.write((number, numbered(number)) for number in range(5))
    yield made
    made.close()


def assert_is(record, expected):
    assert record.keys() == expected.keys()
    for name, value in expected.items():
        assert np.result_type(record[name]) == np.result_type(value)  # but for the order of bytes
        np.testing.assert_array_equal(record[name], value)


@settings(max_examples=20, deadline=None)
@given(value=arrays(scalar_dtypes(), array_shapes(min_dims=0)))
def test_any_array_comes_back(tmp_path_factory, value):
    store = new_store(tmp_path_factory.mktemp("any") / "store")
    store.write([(2**40, {"first": value, "second": np.float64(1)})])
    assert_is(store.read(2**40), {"first": value, "second": np.float64(1)})
    store.close()


def test_what_is_missing_is_known_and_kept_apart(store):
    assert store.missing(range(8)) == [5, 6, 7]
    assert store.missing([9, 2, 7], limit=1) == [9]
    store.write([(6, numbered(6))])
    again = new_store(store.folder)
    assert again.missing(range(8)) == [5, 7]
    assert_is(again.read(6), numbered(6))
    with pytest.raises(InputError, match="record 5"):
        again.read(5)


def test_processes_read_it_while_this_one_does(store):
    store.read(0)
    with get_context("fork").Pool(2) as pool:
        for number, record in enumerate(pool.map(store.read, range(5))):
            assert_is(record, numbered(number))
    store.read(1)


def fill(store, numbers):
    for number in numbers:
        store.write([(number, numbered(number))])


def test_processes_fill_it_together(tmp_path):
    store = new_store(tmp_path)
    store.reserve(40, numbered(0))
    context = get_context("fork")
    shares = (range(40), range(10, 40), range(20))
    processes = [context.Process(target=fill, args=(store, share)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert store.missing(range(41)) == [40]
    for number in range(40):
        assert_is(store.read(number), numbered(number))


def test_a_killed_writer_leaves_whole_records_and_no_lock(tmp_path):
    store = new_store(tmp_path)
    store.reserve(100_000, numbered(0))
    process = get_context("fork").Process(target=fill, args=(store, range(100_000)))
    process.start()
    while store.missing([50]):
        pass
    process.kill()
    process.join()
    missing = store.missing(range(100_000))
    assert missing == list(range(missing[0], 100_000))
    store.write([(99_999, numbered(99_999))])
    for number in (*range(missing[0]), 99_999):
        assert_is(store.read(number), numbered(number))


def test_other_recipes_are_named_and_made_anew_only_where_wanted(store, capsys):
    with pytest.raises(InputError, match="another seed"):
        new_store(store.folder, RECIPE | {"seed": 4})
    with pytest.raises(InputError, match="another more"):
        new_store(store.folder, RECIPE | {"more": 1})
    assert store.missing(range(5)) == []
    anew = new_store(store.folder, RECIPE | {"seed": 4}, renew=True)
    assert anew.missing(range(5)) == [0, 1, 2, 3, 4]
    assert "made anew" in capsys.readouterr().out


def test_folders_of_others_are_left_alone(store, tmp_path):
    with pytest.raises(InputError, match="holds numbers, not letters"):
        Store(store.folder, "letters", RECIPE, renew=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "data.mdb").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        new_store(other, renew=True)
    assert [path.name for path in other.iterdir()] == ["data.mdb"]
    with pytest.raises(InputError, match="cannot be written"):
        new_store(other / "data.mdb")
    (other / "store.json").write_text('{"width": 3}')
    with pytest.raises(InputError, match="something else"):
        new_store(other, renew=True)
    assert (other / "data.mdb").read_text() == "mine"


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [
    cut,
    lambda path: os.truncate(path, 100),
    lambda path: path.write_bytes(b"x" * path.stat().st_size),
])  # fmt: skip
def test_a_damaged_file_is_named_or_made_anew(store, damage):
    store.close()
    damage(store.folder / "data.mdb")
    with pytest.raises(InputError, match="damaged"):
        new_store(store.folder)
    with pytest.raises(InputError, match="cannot be read"):
        store.read(0)
    assert new_store(store.folder, renew=True).missing(range(5)) == [0, 1, 2, 3, 4]


def test_a_damaged_record_is_named(store):
    store.close()
    path = store.folder / "data.mdb"
    content = path.read_bytes()
    place = content.index(numbered(3)["image"].tobytes()[:64])
    path.write_bytes(content[:place] + b"damage" + content[place + 6 :])
    again = new_store(store.folder)
    again.read(2)
    with pytest.raises(InputError, match="record 3 is damaged"):
        again.read(3)


def test_a_full_disk_is_known_before_it_is(store):
    free = shutil.disk_usage(store.folder).free
    with pytest.raises(InputError, match=r"GB are free"):
        store.reserve(free // 4096, numbered(0))


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    folder = tmp_path / "store"
    with locked(folder):
        written = folder / ".store.json.abc.tmp"
        written.mkdir()
        other = get_context("spawn").Process(target=new_store, args=(folder,))
        other.start()
        other.join(5)
        assert other.is_alive()  # it waits
        assert written.exists()
    other.join(60)
    assert other.exitcode == 0
    assert not written.exists()
