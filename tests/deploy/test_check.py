import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.deploy.budget import Budget
from dltemplates.deploy.check import (
    CheckError,
    Expected,
    Reference,
    check,
    check_input,
    compare,
    leading_operators,
    max_error,
)
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.saved_model import with_float_images
from dltemplates.runtimes import Operator, Predictor
from dltemplates.tasks.contract import ServingModel


class Wrapped(Predictor):
    """A predictor whose raw outputs are changed on the way."""

    def __init__(self, predictor, change=lambda array: array, contract=None, graph=None):
        super().__init__(contract or predictor.contract)
        self.predictor = predictor
        self.change = change
        self.changed_graph = graph
        self.input_tensors = predictor.input_tensors

    @property
    def graph(self):
        return self.changed_graph or self.predictor.graph

    def _run(self, encoded):
        return {name: self.change(array) for name, array in self.predictor._run(encoded).items()}


def constant(array):
    return np.full_like(array, 0.1)


def one_is_nan(array):
    return np.where(len(array) == 64, np.float32(np.nan), array)


def depends_on_its_batch(array):
    return array + (0.01 if len(array) == 3 else 0)


def slightly_off(array):
    return array + 0.002


@pytest.mark.parametrize("key", ["tflite:float32", "onnx:float32", "tflite:int8", "onnx:int8"])
def test_a_good_file_passes(predictor, reference, key):
    splits, remarks = check(load_format(key), predictor(key), reference)
    assert set(splits) == {"validation", "test"}
    assert remarks == ()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (constant, "must depend on the input. It is the same for all 300 inputs"),
        (one_is_nan, "must be finite"),
        (depends_on_its_batch, "a batch of 3 must give the rows that one of 33 gives"),
        (slightly_off, "must be within 0.0001 of Keras's, relative to its range. It is 0.002 off"),
    ],
)
def test_a_wrong_output_fails(predictor, reference, change, match):
    with pytest.raises(CheckError, match=match):
        check(load_format("tflite:float32"), Wrapped(predictor("tflite:float32"), change), reference)


def test_a_file_of_other_weights_fails(predictor, serve, task, dataset):
    keras.utils.set_random_seed(1)
    other = with_float_images(serve(layers.Flatten(), layers.Dense(10)))
    reference = Reference(other, task, dataset, Budget("0.01", "max"))
    with pytest.raises(CheckError, match=r"must be within 0\.0001 of Keras's"):
        check(load_format("onnx:float32"), predictor("onnx:float32"), reference)
    with pytest.raises(CheckError, match="over budget: accuracy on validation"):
        check(load_format("tflite:int8"), predictor("tflite:int8"), Reversed(reference))


class Reversed:
    """A reference for which lower is better, so that a trained file loses against an untrained model."""

    def __init__(self, reference):
        self.__dict__.update(vars(reference))
        self.budget = Budget("0.01", "min")


def test_another_contract_fails(predictor, reference):
    good = predictor("tflite:float32")
    (output,) = good.contract.outputs
    renamed = good.contract.model_copy(update={"outputs": (output.model_copy(update={"name": "Identity"}),)})
    with pytest.raises(CheckError, match=r"outputs must be \[\('probabilities', \(10,\)\)\]"):
        check(load_format("tflite:float32"), Wrapped(good, contract=renamed), reference)


@pytest.mark.parametrize("name", ["FlexErf", "custom FlexErf", "custom mine"])
def test_foreign_operators_fail(predictor, reference, name):
    graph = [Operator(name, ("0:0",), ("0:1",))]
    with pytest.raises(CheckError, match=f"built-in operators only. It holds: {name}"):
        check(load_format("tflite:float32"), Wrapped(predictor("tflite:float32"), graph=graph), reference)


@pytest.mark.parametrize(
    ("key", "operator", "examples"),
    [
        ("tflite:int16x8", "CONV_2D", 50),
        ("tflite:dynamic", "TRANSPOSE_CONV", 50),
        ("tflite:dynamic", "CONV_2D", 300),
        ("tflite:int8", "TRANSPOSE_CONV", 300),
    ],
)
def test_slow_files_are_checked_on_fewer(predictor, reference, monkeypatch, key, operator, examples):
    monkeypatch.setattr("dltemplates.deploy.check.SLOW_EXAMPLES", 50)
    graph = [Operator(operator, ("0:0",), ("0:1",))]
    splits, remarks = check(load_format(key), Wrapped(predictor(key), graph=graph), reference)
    assert splits["validation"].examples == examples
    assert ("checked on 50 examples of validation" in " ".join(remarks)) == (examples == 50)


def test_thinned_examples_keep_their_targets(reference):
    expected = reference.splits["validation"]
    few = expected.thinned(7)
    whole = expected.source.read(np.arange(300))
    places = [0, 50, 100, 150, 199, 249, 299]
    np.testing.assert_array_equal(few.source.read(np.arange(7))["label"], whole["label"][places])
    np.testing.assert_array_equal(few.targets["label"], whole["label"][places])
    np.testing.assert_array_equal(few.outputs["probabilities"], expected.outputs["probabilities"][places])
    assert expected.thinned(300) is expected


def test_changed_decisions_are_counted(task):
    targets = {"label": np.array([0, 1, 2, 3])}
    before = np.eye(10, dtype=np.float32)[[0, 1, 2, 4]]
    after = np.eye(10, dtype=np.float32)[[0, 1, 5, 3]]
    expected = Expected(None, targets, {"probabilities": before})
    figures = compare(expected, {"probabilities": after}, task, Budget("0.01", "max"))
    assert (figures.float_score, figures.score, figures.drop) == (0.75, 0.75, 0.0)
    assert (figures.changed, figures.agreement, figures.max_error) == (2, 0.5, 1.0)


def test_the_error_keeps_a_nan():
    expected = {"a": np.array([0.0, 2.0]), "b": np.array([0.0, 1.0])}
    assert max_error(expected, {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 1.0])}) == 0.5
    assert np.isnan(max_error(expected, {"a": np.array([np.nan, 2.0]), "b": np.array([0.0, 1.0])}))


def test_the_references_own_faults_are_seen(serve, task, dataset):
    serving = serve(layers.Flatten(), layers.Dense(10))
    serving.model.set_weights([np.zeros_like(array) for array in serving.model.get_weights()])
    found = Reference(with_float_images(serving), task, dataset, Budget("0.01", "max"))
    assert "Keras's own output `probabilities` must depend on the input" in found.problem


@pytest.fixture
def few(serving, task, dataset):
    """References of `count` examples, all the same one."""

    def make(count):
        arrays = dataset.split("validation").read(np.zeros(count, int))
        one = Dataset(dataset.spec, {**dataset.splits, "validation": ArraySource(arrays)})
        return Reference(with_float_images(serving), task, one, Budget("0.01", "max"))

    return make


@pytest.mark.parametrize("key", ["tflite:float32", "onnx:float32", "tflite:int8", "onnx:int8"])
@pytest.mark.parametrize("count", [1, 3])
def test_few_examples_are_enough(predictor, few, key, count):
    reference = few(count)
    assert reference.problem is None
    splits, _ = check(load_format(key), predictor(key), reference)
    assert splits["validation"].examples == count


@pytest.mark.parametrize("change", [constant, depends_on_its_batch, slightly_off])
def test_a_wrong_output_fails_on_one_example_too(predictor, few, change):
    with pytest.raises(CheckError, match=r"must depend on the input|a batch of 3|must be within 0\.0001"):
        check(load_format("tflite:float32"), Wrapped(predictor("tflite:float32"), change), few(1))


def test_a_constant_network_is_seen_on_one_example(serve, task, dataset, few):
    serving = serve(layers.Flatten(), layers.Dense(10))
    serving.model.set_weights([np.zeros_like(array) for array in serving.model.get_weights()])
    data = Dataset(dataset.spec, {"validation": few(1).splits["validation"].source})
    found = Reference(with_float_images(serving), task, data, Budget("0.01", "max"))
    assert "`probabilities` must depend on the input. It is the same for all 20 inputs" in found.problem


def test_the_error_of_a_single_number_is_relative_to_it():
    assert max_error({"value": np.array([[4.0]])}, {"value": np.array([[5.0]])}) == 0.25
    assert max_error({"value": np.array([[0.0]])}, {"value": np.array([[0.0]])}) == 0.0


def test_the_input_must_be_raw_bytes(predictor):
    good = predictor("tflite:int8")
    assert check_input(good, {}) == ()
    (image,) = good.contract.inputs
    other = image.model_copy(update={"quantization": (0.937, 0)})
    contract = good.contract.model_copy(update={"inputs": (other,)})
    with pytest.raises(CheckError, match=r"must take raw bytes. It is uint8 at \(0.937, 0\)"):
        check_input(Wrapped(good, contract=contract), {})


def test_arithmetic_in_front_is_seen(predictor):
    good = predictor("tflite:int8")
    source = good.input_tensors["image"]
    graph = [Operator("MUL", (source, "0:90"), ("0:91",)), Operator("CONV_2D", ("0:91",), ("0:92",))]
    graph.append(Operator("ADD", ("0:92",), ("0:93",)))
    found = Wrapped(good, graph=graph)
    assert leading_operators(found, "image") == ["MUL"]
    with pytest.raises(CheckError, match=r"must be folded away\. In front of it stand: MUL"):
        check_input(found, {})
    assert check_input(found, {"image": "Sub of the input by 1"}) == (
        "MUL stays in front of the first layer (Sub of the input by 1)",
    )


def test_a_model_that_takes_bytes_is_given_floats(serve):
    serving = serve(layers.Flatten(), layers.Dense(10))
    assert serving.model.inputs[0].dtype == "uint8"
    floats = with_float_images(serving)
    assert floats.model.inputs[0].dtype == floats.contract.inputs[0].dtype == "float32"
    image = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    expected = serving.model(image)["probabilities"]
    np.testing.assert_array_equal(floats.model(image.astype("float32"))["probabilities"], expected)
    again = with_float_images(ServingModel(floats.model, floats.contract))
    assert again.model is floats.model
