import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from dltemplates.datasets.source import ArraySource
from dltemplates.features import Category, Image, Number, Probabilities
from dltemplates.runtimes import Operator, Predictor, load_predictor, read_contract
from dltemplates.tasks.serving.contract import Contract

IMAGE = Image(name="image", dtype="float32", shape=(2, 2, 1), range=(0, 255))
CONTRACT = Contract(
    name="mean",
    task="image_regression",
    inputs=(IMAGE,),
    outputs=(Number(name="value", dtype="float32", shape=(1,)),),
    targets=(Number(name="target", dtype="float32", shape=(1,)),),
)


class Mean(Predictor):
    """Predictor of an image's mean, which records the sizes of its batches."""

    def __init__(self, contract=CONTRACT):
        super().__init__(contract)
        self.sizes = []

    def _run(self, encoded):
        self.sizes.append(len(encoded["image"]))
        return {"value": encoded["image"].mean(axis=(1, 2, 3))[:, None]}

    @property
    def graph(self):
        return [Operator("MEAN", (), ()), Operator("ADD", (), ()), Operator("MEAN", (), ())]


def images(count):
    return np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2, 1)


@pytest.mark.parametrize("batch", ["dynamic", 1, 3])
def test_any_number_of_examples_is_accepted(batch):
    predictor = Mean(CONTRACT.model_copy(update={"batch": batch}))
    outputs = predictor({"image": images(5)})
    np.testing.assert_array_equal(outputs["value"][:, 0], [1.5, 5.5, 9.5, 13.5, 17.5])
    assert outputs["value"].dtype == np.float32
    assert predictor.sizes == {"dynamic": [5], 1: [1] * 5, 3: [3, 3]}[batch]


def test_a_whole_split_is_predicted_in_order():
    targets = np.arange(5, dtype=np.float32)[:, None]
    source = ArraySource({"image": images(5), "target": targets, "other": targets})
    predictor = Mean()
    found, outputs = predictor.predict(source, batch_size=2)
    np.testing.assert_array_equal(found["target"], targets)
    np.testing.assert_array_equal(outputs["value"][:, 0], [1.5, 5.5, 9.5, 13.5, 17.5])
    assert predictor.sizes == [2, 2, 1]
    assert set(found) == {"target"}


def test_operators_are_counted():
    assert Mean().operators == {"ADD": 1, "MEAN": 2}


def test_latency_is_measured():
    predictor = Mean()
    assert 0 < predictor.latency({"image": images(1)}, seconds=0.01) < 100
    assert set(predictor.sizes) == {1}


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({}, "inputs must be image. Received: none"),
        ({"picture": images(1)}, "inputs must be image. Received: picture"),
        ({"image": images(0)}, r"at least 1.*Received: \[0\]"),
        ({"image": images(1)[0]}, r"`image`.*\(n, 2, 2, 1\).*Received: \(2, 2, 1\)"),
        ({"image": images(1)[..., 0]}, r"must have the shape \(n, 2, 2, 1\)"),
    ],
)
def test_wrong_inputs_are_refused(inputs, match):
    with pytest.raises(ValueError, match=match):
        Mean()(inputs)


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="examples.*Received: 0"):
        Mean().predict(ArraySource({"image": images(0), "target": images(0)}))


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        ("float32", None, [0.0, 7.0, 255.0]),
        ("uint8", (1.0, 0), [0, 7, 255]),
        ("int8", (1.0, -128), [-128, -121, 127]),
        ("uint8", (2.0, 10), [10, 14, 138]),
        ("int8", (0.5, 0), [0, 14, 127]),
    ],
)
@pytest.mark.parametrize("raw_dtype", [np.uint8, np.float32, np.int64])
def test_raw_values_are_encoded_in_the_dtype_of_the_file(dtype, quantization, expected, raw_dtype):
    value = IMAGE.model_copy(update={"dtype": dtype, "quantization": quantization})
    encoded = value.encode(np.array([0, 7, 255], raw_dtype))
    assert encoded.dtype == dtype
    np.testing.assert_array_equal(encoded, expected)


def test_raw_bytes_are_encoded_without_a_copy():
    value = IMAGE.model_copy(update={"dtype": "uint8", "quantization": (1.0, 0)})
    array = np.arange(256, dtype=np.uint8)
    assert np.shares_memory(value.encode(array), array)


def test_quantized_integers_are_decoded_to_floats():
    value = Probabilities(name="p", dtype="int8", shape=(3,), classes=("a", "b", "c"), quantization=(1 / 256, -128))
    decoded = value.decode(np.array([-128, 0, 127], np.int8))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, np.float32([0, 0.5, 255 / 256]))


def test_standardizing_subtracts_the_mean_and_divides_by_the_deviation():
    value = Number(name="rooms", dtype="float32", shape=(2,), mean=(1e6, 2.0), std=(1e5, 0.5), standardized=True)
    raw = np.float32([[1.1e6, 2.0], [8e5, 3.0]])
    encoded = value.encode(raw)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, [[1, 0], [-2, 2]], rtol=1e-6)
    np.testing.assert_allclose(value.decode(encoded), raw, rtol=1e-6)
    quantized = value.model_copy(update={"dtype": "int8", "quantization": (0.5, 0)})
    np.testing.assert_array_equal(quantized.encode(raw), np.int8([[2, 0], [-4, 4]]))
    np.testing.assert_allclose(quantized.decode(quantized.encode(raw)), raw, rtol=1e-6)


def test_text_is_encoded_as_utf_8():
    value = Category(name="categories", dtype="string", shape=(1,))
    assert value.encode(np.array([["Köln"], [""]])).tolist() == [["Köln".encode()], [b""]]


def test_files_that_are_not_exports_are_refused(tmp_path):
    (tmp_path / "model.h5").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain.tflite").write_bytes(b"TFL3" * 100)
    (tmp_path / "plain.onnx").write_bytes(b"nothing" * 100)
    (tmp_path / "bare" / "assets.extra").mkdir(parents=True)
    (tmp_path / "bare" / "saved_model.pb").touch()
    for name, match in {
        "missing.tflite": "must exist. Received: .*missing.tflite",
        "model.h5": "must end in .tflite or .onnx, or be a SavedModel folder",
        "folder": "must be a SavedModel. Received: .*without saved_model.pb",
        "plain.tflite": "must carry contract.json",
        "plain.onnx": "must be valid",
        "bare": "must carry contract.json",
    }.items():
        with pytest.raises(ValueError, match=match):
            load_predictor(tmp_path / name)


def test_broken_contents_are_refused(tmp_path):
    path = tmp_path / "odd.tflite"
    path.write_bytes(b"no network")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("contract.json", CONTRACT.model_dump_json())
    assert read_contract(path) == CONTRACT
    with pytest.raises(ValueError, match=r"Received: .*odd.tflite"):
        load_predictor(path)
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("contract.json", json.dumps({"format_version": 1}))
    with pytest.raises(ValueError, match=r"Received: .*odd.tflite"):
        load_predictor(path)


def test_importing_loads_no_runtime():
    program = (
        "import sys, dltemplates.runtimes; print({'tensorflow', 'keras', 'onnxruntime', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr
