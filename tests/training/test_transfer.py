"""The template `transfer_folder`: EfficientNet-Lite0 with ImageNet weights, on photographs."""

import numpy as np
import pytest
from PIL import Image

from dltemplates.deploy.export_run import export
from dltemplates.deploy.raw_bytes import ARITHMETIC, check_input, leading_operators
from dltemplates.runtimes import load_predictor
from dltemplates.template import load_template
from dltemplates.training.prepare import prepare
from dltemplates.training.train import train

SMALL = {"dataset.images.size": [64, 64], "train.epochs": 15, "export.calibration": 24}
SIX = ("saved_model", "tflite:float32", "tflite:float16", "tflite:int8", "onnx:float32", "onnx:int8")


def draw(folder, counts):
    """Write photographs of disks and squares on noise, so many of each class."""
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(60, 120, (80, 96, 3), np.uint8)
            y, x = np.mgrid[:80, :96] - random.integers([[[30]], [[38]]], [[[50]], [[58]]])
            shape = x**2 + y**2 < 24**2 if name == "disk" else np.maximum(abs(x), abs(y)) < 20
            pixels[shape] = random.integers(150, 256, 3)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return str(folder)


def take_bytes(path):
    """Check that an int8 file takes the bytes of a camera; return the operations before its first layer."""
    predictor = load_predictor(path)
    (image,) = predictor.contract.inputs
    assert (image.dtype, image.quantization) == ("uint8", (1 / 128, 127))
    assert (image.mean, image.scale) == (127, 1 / 128)
    assert check_input(predictor, {}) == ()
    before = leading_operators(predictor, "image")
    assert not set(before) & ARITHMETIC
    return before


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("shapes"), {"disk": 40, "square": 40})


def test_the_template_exports_six_formats():
    assert load_template("transfer_folder").export.formats == SIX


@pytest.mark.slow
def test_a_few_images_give_a_good_int8_file(shapes, tmp_path, in_process):
    run = train(load_template("transfer_folder", {**SMALL, "dataset.name": shapes}), output=tmp_path / "run")
    assert run.record.scores["test"]["accuracy"] > 0.8
    report = export(run, formats=("tflite:int8",))
    result = report.result("tflite:int8")
    assert result.verdict == "passed"
    assert result.splits["validation"].drop <= 0.01
    assert take_bytes(run.exports_path / result.file) == ["QUANTIZE"]


@pytest.mark.slow
@pytest.mark.data
def test_ants_and_bees(data_folder, tmp_path):
    """Less than `tools/bench_transfer.py` measures, since this is one seed."""
    data = str(data_folder / "hymenoptera" / "hymenoptera_data")
    run = train(load_template("transfer_folder", {"dataset.name": data, "dataset.test": 0.01}), output=tmp_path / "run")
    assert run.record.scores["validation"]["accuracy"] > 0.92
    report = export(run)
    assert not report.failed
    for key in SIX:
        assert report.result(key).splits["validation"].drop <= 0.01, key
    assert take_bytes(run.exports_path / report.result("tflite:int8").file) == ["QUANTIZE"]
    take_bytes(run.exports_path / report.result("onnx:int8").file)


def test_one_class_is_refused(tmp_path):
    data = draw(tmp_path / "data", {"disk": 6})
    with pytest.raises(ValueError, match="needs at least two classes. Received: one"):
        prepare(load_template("transfer_folder", {**SMALL, "dataset.name": data}))


def test_two_images_of_each_class_train(tmp_path):
    data = draw(tmp_path / "data", {"disk": 2, "square": 2})
    settings = {**SMALL, "dataset.name": data, "train.epochs": 1, "train.batch_size": 1}
    run = train(load_template("transfer_folder", settings), output=tmp_path / "run")
    assert run.record.state == "done"
    assert run.record.spec.sizes == {"train": 2, "validation": 1, "test": 1}


def test_another_architecture_is_refused_before_its_weights_are_read(shapes, monkeypatch):
    monkeypatch.setattr("dltemplates.models.pinned_weights.PinnedFile.read", lambda _: pytest.fail("read"))
    with pytest.raises(ValueError, match="must be of the same architecture. Received: imagenet"):
        prepare(load_template("transfer_folder", {**SMALL, "dataset.name": shapes, "model.width": 0.5}))
