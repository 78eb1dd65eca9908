"""The cache: it holds the written examples, is read by index, and is written again if incomplete."""

import errno
import os

import numpy as np
import pytest

from conftest import spec_of
from dltemplates.datasets.features import number_value
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.source import ArraySource
from dltemplates.datasets.splitting.hashes import hash_examples
from dltemplates.datasets.storage import cache
from dltemplates.datasets.storage.cache import Stored, convert, name_of, open_arrays, write_arrays

LAYOUT = {
    "sound": Stored("int16", (5,)),
    "boxes": Stored("float32", (4,), is_ragged=True, length=4, fill=-1),
    "a/b": Stored("int64", ()),
}
COUNTS = (2, 0, 3, 1, 4)


def examples():
    """Yield five examples, without random access."""
    rng = np.random.default_rng(0)
    for number, count in enumerate(COUNTS):
        sound = rng.integers(-99, 99, 5).astype(np.int16)
        yield {"sound": sound, "boxes": rng.random((count, 4), np.float32), "a/b": np.int64(number)}


def padded(boxes):
    return np.concatenate([boxes, np.full((4 - len(boxes), 4), -1, np.float32)])


def files(tmp_path):
    return sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())


def check(source):
    expected = list(examples())
    assert len(source) == len(expected)
    for indices in (np.arange(5), np.array([4, 1, 4]), np.array([2])):
        found = source.read(indices)
        assert set(found) == set(LAYOUT)
        np.testing.assert_array_equal(found["sound"], [expected[index]["sound"] for index in indices])
        np.testing.assert_array_equal(found["boxes"], [padded(expected[index]["boxes"]) for index in indices])
        np.testing.assert_array_equal(found["a/b"], indices)
        assert {name: array.dtype for name, array in found.items()} == {
            name: np.dtype(stored.dtype) for name, stored in LAYOUT.items()
        }


def test_a_converted_source_has_random_access_and_is_converted_once(tmp_path):
    check(convert(examples, LAYOUT, "five"))
    assert [path.name for path in files(tmp_path)] == ["a%2Fb.npy", "boxes+offsets.npy", "boxes.npy", "sound.npy"]
    check(convert(None, LAYOUT, "five"))  # it is not called again
    source = convert(None, LAYOUT, "five")
    assert isinstance(source.arrays["sound"], np.memmap)
    assert isinstance(source.arrays["boxes"].values, np.memmap)
    np.testing.assert_array_equal(source.column("boxes"), source.read(np.arange(5))["boxes"])


def test_another_key_or_layout_uses_another_cache():
    others = {**LAYOUT, "sound": Stored("int32", (5,))}
    assert len({name_of("a", LAYOUT), name_of("b", LAYOUT), name_of("a", others)}) == 3
    assert name_of("a", LAYOUT) == name_of("a", dict(reversed(LAYOUT.items())))


@pytest.mark.parametrize("name", ["sound.npy", "boxes.npy", "boxes+offsets.npy"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
        lambda path: np.save(path, np.load(path)[:-1]),
        lambda path: np.save(path, np.load(path).astype(np.float64)),
        lambda path: np.save(path, np.load(path)[::-1]) if "offsets" in path.name else path.unlink(),
    ],
    ids=["gone", "shorter", "longer", "empty", "fewer", "dtype", "falling offsets"],
)
def test_an_incomplete_cache_is_written_again(tmp_path, name, spoil):
    convert(examples, LAYOUT, "five")
    contents = {path: path.read_bytes() for path in files(tmp_path)}
    (path,) = [path for path in contents if path.name == name]
    spoil(path)
    assert open_arrays(path.parent, LAYOUT) is None
    check(convert(examples, LAYOUT, "five"))
    assert {path: path.read_bytes() for path in files(tmp_path)} == contents


def test_a_cache_with_another_number_of_examples_is_written_again(tmp_path):
    write_arrays(tmp_path / "some", {"a": Stored("int64", ())}, [{"a": np.arange(3)}, {"a": np.arange(2)}])
    assert len(open_arrays(tmp_path / "some", {"a": Stored("int64", ())}, 5)) == 5
    assert open_arrays(tmp_path / "some", {"a": Stored("int64", ())}, 4) is None


def test_empty_examples_are_cached(tmp_path):
    layout = {"boxes": Stored("float32", (4,), is_ragged=True, length=2, fill=-1)}
    source = write_arrays(tmp_path / "some", layout, [{"boxes": [np.zeros((0, 4), np.float32)] * 3}])
    assert (source.read(np.arange(3))["boxes"] == np.full((3, 2, 4), -1)).all()
    assert len(open_arrays(tmp_path / "some", layout)) == 3


def fail_after(count, error):
    def some():
        for number, example in enumerate(examples()):
            if number == count:
                raise error
            yield example

    return some


@pytest.mark.parametrize("error", [RuntimeError("stopped"), FileNotFoundError(errno.ENOENT, "no such", "their.wav")])
def test_an_interrupted_conversion_leaves_nothing_and_raises_its_error(tmp_path, error):
    with pytest.raises(type(error)) as raised:
        convert(fail_after(3, error), LAYOUT, "five")
    assert raised.value is error
    assert not [*(tmp_path / "cache").glob("*/*")]


def test_a_full_disk_is_a_one_line_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 79}))
    layout = {"a": Stored("int64", (2,))}
    with pytest.raises(OSError, match="space.*No space left on device.*DLT_CACHE") as raised:
        write_arrays(tmp_path / "cache/some", layout, [{"a": np.zeros((5, 2), np.int64)}], examples=5)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "cache")
    assert not [*(tmp_path / "cache").iterdir()]
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 80}))
    write_arrays(tmp_path / "cache/some", layout, [{"a": np.zeros((5, 2), np.int64)}], examples=5)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_disk_that_fills_up_during_writing(tmp_path, monkeypatch):
    full = cache._values

    def on_full_device(path, name):
        if path.name.endswith(".partial") and not full(path, name).is_symlink():
            full(path, name).symlink_to("/dev/full")
        return full(path, name)

    monkeypatch.setattr(cache, "_values", on_full_device)
    with pytest.raises(OSError, match="No space left on device.*DLT_CACHE") as raised:
        convert(examples, LAYOUT, "five")
    assert raised.value.errno == errno.ENOSPC
    assert not [*(tmp_path / "cache").glob("*/*")]


def test_a_cache_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match="DLT_CACHE"):
        convert(examples, LAYOUT, "five")
    (tmp_path / "cache").unlink()


def test_a_cache_written_by_another_process_meanwhile_is_kept(tmp_path):
    def slow():
        yield from examples()
        convert(examples, LAYOUT, "five")

    check(convert(slow, LAYOUT, "five"))
    check(convert(None, LAYOUT, "five"))
    assert len(files(tmp_path)) == 4


def change(**arrays):
    return lambda: ({**example, **arrays} for example in examples())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: iter(()), "at least one example.*none"),
        (change(sound=np.zeros(6, np.int16)), r"`sound`.*int16.*\(5,\).*Received: int16 of shape \(6,\)"),
        (change(sound=np.zeros(5, np.float32)), r"`sound`.*Received: float32 of shape \(5,\)"),
        (change(boxes=np.zeros((2, 3), np.float32)), r"`boxes`.*Received: float32 of shape \(3,\)"),
        (change(boxes=np.zeros((5, 4), np.float32)), r"`boxes`.*at most 4 rows.*Received: 5"),
    ],
)
def test_examples_that_do_not_fit_the_layout_are_refused(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        convert(given, LAYOUT, "five")
    assert not [*(tmp_path / "cache").glob("*/*")]


def test_arrays_of_different_lengths_are_refused(tmp_path):
    layout = {"a": Stored("int64", ()), "b": Stored("int64", ())}
    with pytest.raises(ValueError, match="Received: 3 of `a`.*b"):
        write_arrays(tmp_path / "some", layout, [{"a": np.arange(3), "b": np.arange(2)}])
    assert not [*tmp_path.iterdir()]


def test_objects_are_refused():
    with pytest.raises(ValueError, match="Received: dtype object"):
        Stored("object", ())


def test_added_rows_do_not_change_the_hash_of_an_example():
    boxes = number_value(4).model_copy(update={"name": "boxes"})
    arrays = [example["boxes"] for example in examples()]
    hashes = [
        hash_examples(ArraySource({"boxes": Ragged.of(arrays, length=length)}), spec_of(inputs=[boxes]))
        for length in (4, 7)
    ]
    assert len(set(hashes[0])) == 5
    np.testing.assert_array_equal(*hashes)
