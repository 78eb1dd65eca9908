import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.deploy import files
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.converters.saved_model import with_float_images
from dltemplates.deploy.formats.format import load_format
from dltemplates.tasks.serving.file_digest import path_digest


def test_names_are_readable_and_distinct():
    names = {key: files.file_name("resnet8_digits", load_format(key)) for key in catalog.FORMATS}
    assert names["tflite:int8"] == "resnet8_digits-int8.tflite"
    assert names["onnx:int8"] == "resnet8_digits-int8.onnx"
    assert names["saved_model"] == "resnet8_digits-saved_model"
    assert len(set(names.values())) == len(names)


def test_the_digest_of_a_folder_changes_with_every_file(tmp_path):
    folder = tmp_path / "a"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("one")
    first = path_digest(folder)
    assert files.size(folder) == 3
    (folder / "inner" / "file").write_text("two")
    second = path_digest(folder)
    (folder / "inner" / "file").rename(folder / "inner" / "other")
    assert len({first, second, path_digest(folder)}) == 3


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_existing_target_is_replaced(tmp_path, kind):
    written, target = tmp_path / "work" / "written", tmp_path / "target"
    for path, text in ((written, "new"), (target, "old")):
        if kind == "folder":
            path.mkdir(parents=True)
            (path / text).touch()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    files.put_in_place(written, target)
    assert not written.exists()
    assert ([path.name for path in target.iterdir()] == ["new"]) if kind == "folder" else target.read_text() == "new"
    files.remove(target)
    files.remove(target)
    assert not target.exists()


def test_the_work_folder_is_removed_after_an_error(tmp_path):
    exports = tmp_path / "exports"
    with contextlib.suppress(KeyboardInterrupt), files.work_folder(exports) as work:
        (work / "half").touch()
        raise KeyboardInterrupt
    assert not exports.exists()
    with files.work_folder(exports) as work:
        (work / "whole").touch()
        files.put_in_place(work / "whole", exports / "whole")
    assert [path.name for path in exports.iterdir()] == ["whole"]


def test_files_of_killed_processes_are_removed(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left = [f".partial-{killed.pid}-abc", f".partial-{os.getpid()}-abc", f".partial-{'9' * 30}-abc"]
    others = [f".partial-{os.getppid()}-abc", ".partial-mine", "other"]
    for name in left + others:
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    (tmp_path / f".partial-{killed.pid}-export_report.json").touch()
    with files.work_folder(tmp_path) as work:
        assert {path.name for path in tmp_path.iterdir()} == {*others, work.name}
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_calibration_covers_the_training_split_and_the_range(serving, dataset):
    contract = with_float_images(serving).contract
    images = calibration(contract, dataset.split("train"), 10)["image"]
    train = dataset.split("train").arrays["image"]
    assert images.shape == (12, 8, 8, 1)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[[0, 9]], train[[0, -1]])
    assert (images.min(), images.max()) == (0, 255)
    assert (images[-2, 0, 0], images[-1, 0, 0]) == (0, 255)
    np.testing.assert_array_equal(images[-1, 1:], train[-1, 1:])
    assert len(calibration(contract, dataset.split("train"), 10_000)["image"]) == 1202
