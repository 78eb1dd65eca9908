"""Integer files take raw image bytes, whatever the first layer is."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from dltemplates.datasets.source import ArraySource
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.converters.conversion_job import ConversionJob
from dltemplates.deploy.converters.saved_model import save_serving, with_float_images
from dltemplates.deploy.raw_bytes import ARITHMETIC, check_input, leading_operators
from dltemplates.deploy.worker import convert
from dltemplates.features import Image
from dltemplates.runtimes import load_predictor

SPREAD = keras.initializers.RandomNormal(stddev=0.5)
NETWORKS = {
    "same padding": lambda: [layers.Conv2D(4, 3, padding="same", activation="relu")],
    "zero padding": lambda: [layers.ZeroPadding2D(2), layers.Conv2D(4, 5, activation="tanh")],
    "dense": lambda: [layers.Flatten(), layers.Dense(16, activation="relu")],
    "batch norm": lambda: [
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
    ],
    "strided": lambda: [layers.Conv2D(4, 3, strides=2, padding="same"), layers.ReLU()],
    "depthwise": lambda: [layers.DepthwiseConv2D(3, padding="same"), layers.ReLU()],
    "pooling": lambda: [layers.AveragePooling2D(2), layers.Conv2D(4, 3, padding="same")],
}


@pytest.fixture
def converted(serve, dataset, tmp_path):
    """Return a function that converts a network in this process and opens the file."""

    def make(network, key, integer="uint8", channels=1, preprocessing=None):
        keras.utils.set_random_seed(0)
        image = Image(name="image", dtype="uint8", shape=(8, 8, channels), range=(0, 255))
        serving = with_float_images(
            serve(
                *network,
                layers.Flatten(),
                layers.Dense(10, kernel_initializer=SPREAD),
                image=image,
                preprocessing=preprocessing,
            )
        )
        arrays = {"image": np.repeat(dataset.split("train").arrays["image"], channels, axis=-1)}
        save_serving(serving, tmp_path / "serving")
        examples = calibration(serving.contract, ArraySource(arrays), 32)
        np.savez(tmp_path / "calibration.npz", **examples)
        job = ConversionJob(tmp_path / "serving", tmp_path, serving.contract, integer)
        out = tmp_path / ("file." + key.partition(":")[0])
        reply = convert(job, key, out)
        return serving, load_predictor(out), reply.get("unfolded", {}), arrays

    return make


@pytest.mark.parametrize(
    ("channels", "integer"),
    [(1, "int8"), (3, "uint8"), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((1, "uint8"), (3, "int8")))],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_tflite_int8_takes_raw_bytes(converted, name, channels, integer):
    serving, predictor, unfolded_inputs, arrays = converted(NETWORKS[name](), "tflite:int8", integer, channels)
    (image,), (output,) = predictor.contract.inputs, predictor.contract.outputs
    zero_point = 0 if integer == "uint8" else -128
    assert (image.dtype, image.quantization) == (integer, (1.0, zero_point))
    assert (output.dtype, output.quantization) == (integer, (1 / 256, zero_point))
    assert unfolded_inputs == {}
    assert check_input(predictor, unfolded_inputs) == ()
    found = leading_operators(predictor, "image")
    assert found.count("QUANTIZE") == (integer == "uint8")
    assert not set(found) & ARITHMETIC
    _close(serving, predictor, arrays)


@pytest.mark.parametrize("key", ["tflite:int8", "tflite:int16x8"])
def test_a_tensor_is_named_by_one_layer(converted, key):
    merged = [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    _, predictor, _, _ = converted(merged, key)
    names = [tensor["name"] for tensor in Interpreter(str(predictor.path)).get_tensor_details()]
    assert any("conv2d" in name for name in names)
    assert not [name for name in names if ";" in name]


@pytest.mark.parametrize("integer", ["uint8", "int8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_int8_takes_raw_bytes(converted, name, integer):
    serving, predictor, unfolded_inputs, arrays = converted(NETWORKS[name](), "onnx:int8", integer, 3)
    (image,) = predictor.contract.inputs
    assert (image.dtype, image.quantization) == (integer, (1.0, 0 if integer == "uint8" else -128))
    assert predictor._session.get_inputs()[0].type == f"tensor({integer})"
    assert check_input(predictor, unfolded_inputs) == ()
    assert predictor.contract.outputs[0].dtype == "float32"
    _close(serving, predictor, arrays)


@pytest.mark.parametrize("integer", ["uint8", "int8"])
@pytest.mark.parametrize("key", ["tflite:int8", "onnx:int8"])
@pytest.mark.parametrize("name", ["same padding", "batch norm", "dense"])
def test_the_input_tensor_holds_a_whole_numbered_center(converted, name, key, integer):
    """Zero padding stays exact: it is the zero point, which is the center."""
    centered = layers.Rescaling(1 / 255, offset=[-127 / 255] * 3, dtype="float32")
    serving, predictor, unfolded_inputs, arrays = converted(NETWORKS[name](), key, integer, 3, centered)
    (image,) = predictor.contract.inputs
    assert (image.dtype, image.quantization) == (integer, (1 / 128, 127 if integer == "uint8" else -1))
    assert (image.mean, image.scale) == (127, 1 / 128)
    pixels = np.array([0, 127, 255], np.uint8).reshape(1, 1, 1, 3)
    offset = 0 if integer == "uint8" else 128
    np.testing.assert_array_equal(image.encode(pixels).astype(int) + offset, pixels)  # bytes go in as they are
    assert unfolded_inputs == {}
    assert check_input(predictor, unfolded_inputs) == ()
    found = leading_operators(predictor, "image")
    assert not set(found) & ARITHMETIC
    assert found.count("QUANTIZE") == (key == "tflite:int8" and integer == "uint8")
    _close(serving, predictor, arrays)


def test_an_int16_file_takes_pixels_as_they_are(converted):
    centered = layers.Rescaling(1 / 255, offset=[-127 / 255] * 3, dtype="float32")
    serving, predictor, _, arrays = converted(NETWORKS["same padding"](), "tflite:int16x8", "uint8", 3, centered)
    (image,) = predictor.contract.inputs
    assert (image.dtype, image.mean, image.scale) == ("float32", None, None)
    _close(serving, predictor, arrays)


@pytest.mark.parametrize("key", ["tflite:int8", "onnx:int8"])
@pytest.mark.parametrize(
    ("preprocessing", "reason"),
    [
        (lambda: layers.Rescaling(1 / 127.5, offset=-1, dtype="float32"), "of the input by -1"),
        (
            lambda: layers.Normalization(mean=[100, 110, 120], variance=[900, 800, 700], dtype="float32"),
            "one constant number",
        ),
    ],
)
def test_an_offset_gives_a_remark(converted, key, preprocessing, reason):
    network = [layers.Conv2D(4, 3, padding="same", activation="relu")]
    serving, predictor, unfolded_inputs, arrays = converted(network, key, channels=3, preprocessing=preprocessing())
    assert predictor.contract.inputs[0].quantization == (1.0, 0)
    assert reason in unfolded_inputs["image"]
    (remark,) = check_input(predictor, unfolded_inputs)
    assert reason in remark
    _close(serving, predictor, arrays)


def test_int8_input_is_the_byte_minus_128(converted):
    _, predictor, _, _ = converted(NETWORKS["dense"](), "tflite:int8", "int8")
    inputs = {}
    predictor._run = lambda encoded: inputs.update(encoded) or {"probabilities": np.zeros((1, 10), np.int8)}
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) * 4
    predictor({"image": image})
    np.testing.assert_array_equal(inputs["image"], (image.astype(np.int16) - 128).astype(np.int8))


def _close(serving, predictor, arrays):
    images = arrays["image"][:40]
    expected = serving.model.predict(images.astype("float32"), verbose=0)["probabilities"]
    assert np.ptp(expected) > 0.1
    # Compare means: without training, single examples lie far outside the calibrated ranges.
    assert np.abs(predictor({"image": images})["probabilities"] - expected).mean() < 0.02 * np.ptp(expected)
