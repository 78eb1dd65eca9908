"""Texts of converters and runtimes, translated: on real conversions, and on texts as they came."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from dltemplates.deploy.converters.messages import MAX_LENGTH, PATTERNS, find_layer, translate
from dltemplates.deploy.export import export_system

LAYERS = {"network": "Functional", "my_erfinv": "Erfinv", "dense_1": "Dense", "my_counter": "Counter"}
MLIR = """ConverterError: Could not translate MLIR to FlatBuffer.<unknown>:0: error: loc(callsite(fused["{op}:", \
"StatefulPartitionedCall/network_1/my_erfinv_1/erfinv/{op}@__inference_pruned_306"] at callsite(fused[\
"PartitionedCall:", "PartitionedCall@__inference_<lambda>_311"] at fused["PartitionedCall:", \
"PartitionedCall"]))): 'tf.{op}' op {end}
<unknown>:0: note: loc(fused["PartitionedCall:", "PartitionedCall"]): called from
"""
ONNX = """An exported file must be valid. Received: out.onnx ([ONNXRuntimeError] : 10 : INVALID_GRAPH : Load model \
from out.onnx failed:This is an invalid model. In Node, ("StatefulPartitionedCall/network_1/my_erfinv_1/erfinv/Erfinv"\
, Erfinv, "", -1) : ("x:0": tensor(float),) -> ("y:0",) , Error No Op registered for Erfinv with domain_version of 17)\
. Export it again."""
ASSIGN = """ValueError: Input 0 of node StatefulPartitionedCall/network_1/my_counter_1/AssignVariableOp was passed \
float from Func/StatefulPartitionedCall/input/_1:0 incompatible with expected resource."""
TEXTS = [
    ("tflite:float32", MLIR.format(op="Erfinv", end="is neither a custom op nor a flex op"), "my_erfinv", "Erfinv"),
    ("tflite:int8", "'tf.Erfinv' op is neither a custom op nor a flex op", None, "Erfinv"),
    ("onnx:float32", ONNX, "my_erfinv", "Erfinv"),
    ("onnx:int8", "Fatal error: No Op registered for Erfinv with domain_version of 17", None, "Erfinv"),
    ("tflite:float32", ASSIGN, "my_counter", "variables that change"),
    ("tflite:float32", "'tf.AssignVariableOp' op must have a resource", None, "variables that change"),
    ("tflite:float32", MLIR.format(op="TensorListReserve", end="requires element_shape"), "my_erfinv", "fixed sizes"),
    (
        "tflite:float16",
        "RuntimeError: failed to create XNNPACK runtimeNode number 3 failed",
        "tflite:float16",
        "XNNPACK",
    ),
    ("tflite:float32", "RuntimeError: x != y (6 != 4)Node number 2 (RESHAPE) failed to prepare.", None, "RESHAPE"),
]


@pytest.mark.parametrize(("key", "text", "layer", "words"), TEXTS)
def test_a_text_names_layer_and_format_and_a_way_out(key, text, layer, words):
    found = translate(text, key, LAYERS)
    for expected in (key, words, "Received: ", "saved_model", layer or ""):
        assert expected in found
    assert "\n" not in found
    for raw in ("loc(", "MLIR", "flex", "registered", "ONNXRuntimeError", "StatefulPartitionedCall", "Error"):
        assert raw not in found


def test_every_pattern_has_a_text():
    first = [next(p for p in PATTERNS if p.text.search(text)) for _, text, _, _ in TEXTS]
    assert set(first) == set(PATTERNS)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("StatefulPartitionedCall/network_1/my_erfinv_1/erfinv/Erfinv", "my_erfinv"),
        ("network/dense_1/MatMul", "dense_1"),
        ("network/dense_1_1/MatMul", "dense_1"),
        ("network/other/MatMul", "network"),
        ("MatMul", None),
        ("", None),
    ],
)
def test_the_innermost_layer_of_a_path_is_found(path, expected):
    assert find_layer(path, LAYERS) == expected


STACK = """InvalidArgumentError: Graph execution error:

Detected at node MatrixInverse defined at (most recent call last):
  File "/usr/lib/python3.11/threading.py", line 1002, in _bootstrap
Input is not invertible.
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the converter crashed (SIGSEGV)", "the converter crashed (SIGSEGV)"),
        ("ValueError: odd\n\nin user code:\n    File ...", "ValueError: odd"),
        ("Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'x'", "g()"),
        ("Graph execution error:\n\n" + STACK.partition("\n")[2], "Input is not invertible."),
        ("", ""),
        ("<unknown>:0: error: loc(callsite(fused[\"A:\"])): 'tf.A' op is odd", "'tf.A' op is odd"),
        ("x" * 5000, "x" * MAX_LENGTH + "..."),
    ],
)
def test_an_unknown_text_keeps_its_telling_line(text, expected):
    assert translate(text, "tflite:float32", LAYERS) == expected


def test_the_text_as_it_came_is_for_debugging_alone(caplog):
    with caplog.at_level("DEBUG", logger="dltemplates"):
        translate(ONNX, "onnx:float32", LAYERS)
    assert caplog.messages == [f"onnx:float32: {ONNX}"]


def test_a_row_of_zeros_is_explained_for_tflite_alone():
    text = "output `y` must be finite. 50% of its values are not"
    names = {"norm": "UnitNormalization"}
    assert "Layer `norm` divides by the length of a row" in translate(text, "tflite:float16", names)
    assert translate(text, "onnx:float32", names) == translate(text, "tflite:float16", LAYERS) == text


class Erfinv(layers.Layer):
    def call(self, x):
        return ops.erfinv(ops.tanh(x))


class Counter(layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="ones", trainable=False)

    def call(self, x):
        self.count.assign_add(1.0)
        return x * self.count


class InPython(layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(np.sin, [x], tf.float32), x.shape)


@pytest.fixture
def export(serve, task, dataset, tmp_path, in_process):
    """Return a function that exports a network with one layer in front of a dense one."""

    def export(layer, *formats):
        keras.utils.set_random_seed(0)
        serving = serve(layers.Flatten(), layer, layers.Dense(10))
        return export_system({"": serving}, task, dataset, tmp_path / "exports", formats=formats, max_drop=0.5)

    return export


@pytest.mark.parametrize("key", ["tflite:float32", "tflite:float16", "tflite:int8", "onnx:float32", "onnx:float16"])
def test_an_operation_that_a_format_lacks(export, tmp_path, key):
    result = export(Erfinv(name="my_erfinv"), key).result(key)
    family = {"t": "TFLite", "o": "ONNX"}[key[0]]
    assert result.verdict == "failed"
    assert result.reason.startswith(f"{family} has no operation Erfinv. Received: layer `my_erfinv` in {key}. ")
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["export_report.json"]


@pytest.mark.parametrize("key", ["tflite:float32", "onnx:float32"])
def test_a_variable_that_changes_when_the_layer_is_called(export, key):
    result = export(Counter(name="my_counter"), key).result(key)
    assert result.verdict == "failed"
    assert "files keep no variables that change. Received: layer `my_counter` in" in result.reason


def test_a_row_of_zeros_in_tflite(export):
    report = export(layers.UnitNormalization(name="my_norm"), "tflite:float32", "onnx:float32")
    failed, passed = report.result("tflite:float32"), report.result("onnx:float32")
    assert passed.verdict == "passed"
    assert failed.verdict == "failed"
    assert failed.reason.startswith("the output `probabilities` must be finite for an input of zeros, as Keras's is. ")
    assert "Layer `my_norm` divides by the length of a row" in failed.reason


def test_python_code_is_refused_for_every_format(export, tmp_path):
    with pytest.raises(ValueError, match="must not run Python code. Received: layer `my_sine`, which calls"):
        export(InPython(name="my_sine"), "saved_model")
    assert not (tmp_path / "exports").exists()


def test_an_operation_between_layers_is_named(export):
    inputs = keras.Input((64,))
    block = keras.Model(inputs, ops.erfinv(ops.tanh(inputs)), name="block")
    reason = export(block, "tflite:float32").result("tflite:float32").reason
    assert "TFLite has no operation Erfinv. Received: layer `erfinv" in reason
