"""Damaged exports: a changed byte is refused, or changes no output."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import pytest

from dltemplates import catalog
from dltemplates.runtimes import load_predictor, read_contract
from dltemplates.tasks.serving.file_digest import CONTRACT_FILE, DamagedFileError, read_parts

FLIPS = 150


@pytest.fixture
def copied(exported, tmp_path):
    """Return a function that copies a format's file, without the report beside it."""
    report, folder = exported

    def copy(key):
        source = folder / report.result(key).file
        target = tmp_path / source.name
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
        return target

    return copy


@pytest.fixture
def images(dataset):
    return {"image": dataset.split("test").arrays["image"][:8]}


def files_of(path):
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def flip(file, position, bits):
    with file.open("r+b") as opened:
        opened.seek(position)
        byte = opened.read(1)[0]
        opened.seek(position)
        opened.write(bytes([byte ^ bits]))


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_a_flipped_byte_is_refused_or_changes_nothing(copied, images, key):
    path = copied(key)
    files = files_of(path)
    bounds = np.cumsum([file.stat().st_size for file in files])
    random = np.random.default_rng(0)
    offsets = np.unique(np.append(np.linspace(0, bounds[-1] - 1, FLIPS // 2), random.integers(bounds[-1], size=FLIPS)))
    expected = load_predictor(path)(images)
    errors = []
    for offset in offsets.astype(int):
        place = int(np.searchsorted(bounds, offset, side="right"))
        position, bits = int(offset - bounds[place]) + files[place].stat().st_size, int(random.integers(1, 256))
        flip(files[place], position, bits)
        try:
            outputs = load_predictor(path)(images)
        except ValueError as error:
            errors.append(str(error))
        else:
            for name, array in expected.items():
                np.testing.assert_array_equal(outputs[name], array, err_msg=f"{files[place]} byte {position}")
        flip(files[place], position, bits)
    assert len(errors) > 0.75 * len(offsets)
    assert all("Received: " in error and "\n" not in error for error in errors)
    np.testing.assert_array_equal(load_predictor(path)(images)["probabilities"], expected["probabilities"])


@pytest.mark.parametrize("key", ["tflite:float32", "tflite:int8", "onnx:float32", "onnx:int8", "saved_model"])
def test_every_byte_of_the_weights_counts(copied, key):
    path = copied(key)
    large = max(files_of(path), key=lambda file: file.stat().st_size)
    middle = large.stat().st_size // 2
    for position in range(middle, middle + 64):
        flip(large, position, 1)
        with pytest.raises(ValueError, match=r"must stay as it was written. Received: .* Copy it again, or export"):
            load_predictor(path)
        flip(large, position, 1)
    load_predictor(path)


def rewrite_contract(path, change):
    """Change the contract inside a file by a function of its table."""
    if path.is_dir():
        file = path / "assets.extra" / CONTRACT_FILE
        table = json.loads(file.read_text())
        change(table)
        file.write_text(json.dumps(table))
    elif path.suffix == ".onnx":
        model = onnx.load(path)
        (entry,) = [entry for entry in model.metadata_props if entry.key == CONTRACT_FILE]
        table = json.loads(entry.value)
        change(table)
        entry.value = json.dumps(table)
        path.write_bytes(model.SerializeToString())
    else:
        with zipfile.ZipFile(path) as archive:
            start = min(entry.header_offset for entry in archive.infolist())
            texts = {name: archive.read(name).decode() for name in archive.namelist()}
        table = json.loads(texts[CONTRACT_FILE])
        change(table)
        path.write_bytes(path.read_bytes()[:start])
        with zipfile.ZipFile(path, "a") as archive:
            for name, text in (texts | {CONTRACT_FILE: json.dumps(table)}).items():
                archive.writestr(name, text)


one_of_each = pytest.mark.parametrize("key", ["tflite:float32", "onnx:float32", "saved_model"])


@one_of_each
def test_a_changed_contract_is_refused(copied, key):
    path = copied(key)
    rewrite_contract(path, lambda table: None)  # another layout of the same table
    assert read_contract(path).sha256
    rewrite_contract(path, lambda table: table["outputs"][0].update(classes=list("1023456789")))
    with pytest.raises(ValueError, match="whose sha256 differs from its contract"):
        read_contract(path)


@one_of_each
def test_a_field_of_a_later_version_stays_under_the_digest(copied, key):
    path = copied(key)
    rewrite_contract(path, lambda table: table.update(later="field"))
    with pytest.raises(ValueError, match="whose sha256 differs"):
        read_contract(path)


@one_of_each
def test_a_file_without_a_digest_is_compared_with_the_report_beside_it(exported, copied, key):
    path = copied(key)
    rewrite_contract(path, lambda table: table.pop("sha256"))
    assert load_predictor(path).contract.sha256 is None  # no report beside it: taken as before
    report, _ = exported
    result = report.result(key).model_dump(mode="json")
    report_path = path.parent / "export_report.json"
    report_path.write_text(json.dumps({"results": [{"file": None}, result]}))
    with pytest.raises(ValueError, match="whose sha256 differs from the export report beside it. Copy it again"):
        load_predictor(path)
    for other in ("no json", "[]", "{}", '{"results": [{"file": "another", "sha256": "0"}]}'):
        report_path.write_text(other)
        load_predictor(path)


@pytest.mark.parametrize("key", ["tflite:int8", "onnx:float32"])
def test_the_digest_is_compared_without_tensorflow(copied, key):
    path = copied(key)
    program = (
        "import sys; from pathlib import Path; from dltemplates.runtimes import read_contract; "
        f"read_contract(Path({str(path)!r})); "
        "print({'tensorflow', 'keras', 'onnx', 'onnxruntime', 'ai_edge_litert'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout.strip() == "set()", done.stderr


def test_parts_of_the_file_are_read_without_its_runtime(copied):
    path = copied("onnx:float32")
    model = onnx.load(path)
    del model.metadata_props[:]
    parts = read_parts(path)
    assert b"".join(parts.network) == model.SerializeToString()
    assert set(parts.texts) == {CONTRACT_FILE, "labels.txt"}


@pytest.mark.parametrize("content", [b"\x0f", b"\x0a\x7f", b"\x0a", b"\x80"])
def test_a_broken_protocol_buffer_is_refused(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        read_parts(path)
    with pytest.raises(ValueError, match=r"must be valid. Received: .*broken.onnx"):
        load_predictor(path)
