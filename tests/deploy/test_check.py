import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.deploy.converters.saved_model import with_float_images
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.parity import PARITY_EXAMPLES, CheckError, PartReference, compare, spread
from dltemplates.deploy.raw_bytes import check_input, leading_operators
from dltemplates.features import Binary, Boxes, Number
from dltemplates.runtimes import Operator, Predictor
from dltemplates.tasks.serving.contract import Contract, ServingModel


class Wrapped(Predictor):
    """A predictor that changes the raw outputs of another."""

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
def test_a_good_file_passes(predictor, reference, key, check):
    splits, remarks = check(load_format(key), predictor(key), reference)
    assert set(splits) == {"validation", "test"}
    assert remarks == ()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (constant, "must depend on the input. It is the same for all 256 inputs"),
        (one_is_nan, "must be finite"),
        (depends_on_its_batch, "the same output in a batch of 3 as in one of 33"),
        (slightly_off, "must be within 0.0001 of Keras's, relative to its range. It is 0.002 off"),
    ],
)
def test_a_wrong_output_fails(predictor, reference, change, match, check):
    with pytest.raises(CheckError, match=match):
        check(load_format("tflite:float32"), Wrapped(predictor("tflite:float32"), change), reference)


def test_a_file_of_other_weights_fails(predictor, serve, task, dataset, refer, check):
    keras.utils.set_random_seed(1)
    other = with_float_images(serve(layers.Flatten(), layers.Dense(10)))
    reference = refer(other, task, dataset)
    with pytest.raises(CheckError, match=r"must be within 0\.0001 of Keras's"):
        check(load_format("onnx:float32"), predictor("onnx:float32"), reference)
    splits, _ = check(load_format("tflite:int8"), predictor("tflite:int8"), reference)  # better than Keras passes
    assert splits["validation"].drop < -0.5


def test_a_file_worse_than_keras_fails(predictor, reference, check):
    wrong = Wrapped(predictor("tflite:int8"), lambda array: array[:, ::-1])
    with pytest.raises(
        CheckError, match=r"accuracy on validation: of 300 examples, \d+ are right only in Keras .* at most 3 is"
    ):
        check(load_format("tflite:int8"), wrong, reference)


def test_another_contract_fails(predictor, reference, check):
    good = predictor("tflite:float32")
    (output,) = good.contract.outputs
    renamed = good.contract.model_copy(update={"outputs": (output.model_copy(update={"name": "Identity"}),)})
    with pytest.raises(CheckError, match=r"outputs must be \[\('probabilities', \(10,\)\)\]"):
        check(load_format("tflite:float32"), Wrapped(good, contract=renamed), reference)


@pytest.mark.parametrize("name", ["FlexErf", "custom FlexErf", "custom mine"])
def test_foreign_operators_fail(predictor, reference, name, check):
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
def test_slow_files_are_checked_on_fewer_examples(predictor, reference, monkeypatch, key, operator, examples, check):
    monkeypatch.setattr("dltemplates.deploy.check.SLOW_EXAMPLES", 50)
    graph = [Operator(operator, ("0:0",), ("0:1",))]
    splits, remarks = check(load_format(key), Wrapped(predictor(key), graph=graph), reference)
    assert splits["validation"].examples == examples
    assert ("checked on 50 examples of validation" in " ".join(remarks)) == (examples == 50)


def test_few_examples_are_spread_and_keep_their_targets(reference, dataset):
    few, whole = reference.source("validation", 7), dataset.split("validation")
    places = [0, 50, 100, 150, 199, 249, 299]
    np.testing.assert_array_equal(few.read(np.arange(7))["label"], whole.read(np.array(places))["label"])
    assert len(reference.source("validation", 300)) == len(reference.source("validation")) == 300
    assert len(reference.evaluation("validation", 7)) == 7


def test_parity_uses_few_examples_and_the_score_all(predictor, reference, check):
    splits, _ = check(load_format("onnx:int8"), predictor("onnx:int8"), reference)
    assert len(reference.part("").source) == PARITY_EXAMPLES < splits["validation"].examples == 300


def test_changed_decisions_are_counted(predictor, reference, check):
    def swap_two_rows(array):
        return np.concatenate([np.roll(array[:2], 1, axis=1), array[2:]]) if len(array) == 44 else array

    # 300 examples are 4 batches of 64 and one of 44; parity, on 256 of them, skips those two rows.
    splits, _ = check(load_format("tflite:float32"), Wrapped(predictor("tflite:float32"), swap_two_rows), reference)
    assert (splits["validation"].changed, splits["validation"].agreement) == (2, pytest.approx(1 - 2 / 300))


def test_a_constant_network_of_keras_is_a_problem(serve, task, dataset, refer):
    serving = serve(layers.Flatten(), layers.Dense(10))
    serving.model.set_weights([np.zeros_like(array) for array in serving.model.get_weights()])
    found = refer(serving, task, dataset).part("")
    assert "Keras's own output `probabilities` must depend on the input" in found.problem


@pytest.fixture
def few(serving, task, dataset, refer):
    """Return a function that builds a reference of `count` equal examples."""

    def make(count):
        arrays = dataset.split("validation").read(np.zeros(count, int))
        one = Dataset(dataset.spec, {**dataset.splits, "validation": ArraySource(arrays)})
        return refer(serving, task, one)

    return make


@pytest.mark.parametrize("key", ["tflite:float32", "onnx:float32", "tflite:int8", "onnx:int8"])
@pytest.mark.parametrize("count", [1, 3])
def test_few_examples_are_enough(predictor, few, key, count, check):
    reference = few(count)
    assert reference.part("").problem is None
    splits, _ = check(load_format(key), predictor(key), reference)
    assert splits["validation"].examples == count


@pytest.mark.parametrize(("share", "passes"), [(0.02, True), (0.5, False)])
def test_integer_files_with_few_examples_are_held_to_the_rms_error(predictor, few, check, share, passes):
    def shrink(array):
        return array * (1 - share)

    key = "tflite:int8"
    if passes:
        _, (remark,) = check(load_format(key), Wrapped(predictor(key), shrink), few(3))
        assert "holds only 3 independent examples" in remark
        return
    with pytest.raises(CheckError, match=r"only 3 independent examples.*at most 0\.05 of the range.*It is 0\.[1-4]"):
        check(load_format(key), Wrapped(predictor(key), shrink), few(3))


@pytest.mark.parametrize("change", [constant, depends_on_its_batch, slightly_off])
def test_a_wrong_output_fails_on_one_example_too(predictor, few, change, check):
    with pytest.raises(CheckError, match=r"must depend on the input|a batch of 3|must be within 0\.0001"):
        check(load_format("tflite:float32"), Wrapped(predictor("tflite:float32"), change), few(1))


def test_a_constant_network_is_found_with_one_example(serve, task, dataset, few, refer):
    serving = serve(layers.Flatten(), layers.Dense(10))
    serving.model.set_weights([np.zeros_like(array) for array in serving.model.get_weights()])
    found = refer(serving, task, Dataset(dataset.spec, {"validation": few(1).source("validation")})).part("")
    assert "`probabilities` must depend on the input. It is the same for all 20 inputs" in found.problem


@pytest.fixture
def compared(tmp_path):
    """Return a function that compares outputs with those of Keras."""

    def compare_with(expected, found, kind=Number):
        value = kind(name="value", dtype="float32", shape=np.shape(expected)[1:])
        contract = Contract(name="n", task="regression", inputs=(value,), outputs=(value,), targets=())
        return compare(Echo(contract), PartReference(contract, ArraySource({"value": found}), {"value": expected}))

    return compare_with


class Echo(Predictor):
    """A predictor that returns its input."""

    def _run(self, encoded):
        return encoded


def test_the_error_is_relative_to_the_range_of_keras_and_keeps_a_nan(compared):
    expected = np.linspace(0, 2, 20, dtype=np.float32)[:, None]
    off = expected + np.float32(0.5) * (np.arange(20) == 3)[:, None]
    parity = compared(expected, off)
    assert (parity.max_error, parity.examples) == (pytest.approx(0.25), 20)
    assert parity.rms_error == pytest.approx(0.25 / np.sqrt(20))
    with pytest.raises(CheckError, match="must be finite"):
        compared(expected, np.where(np.arange(20)[:, None] == 5, np.float32(np.nan), expected))


def test_an_output_is_compared_by_its_kind(compared):
    random = np.random.default_rng(0)
    expected = random.uniform(0, 1, (20, 5, 4)).astype(np.float32)
    shuffled = random.permuted(expected, axis=1)
    assert compared(expected, expected[:, ::-1]).max_error > 0.1
    assert compared(expected, expected[:, ::-1], Boxes).max_error == 0
    assert compared(expected, shuffled, Boxes).max_error > 0.1  # the coordinates were shuffled, not the boxes
    padded = np.where(np.arange(5)[:, None] < 1, expected, -1)  # relative to the image, however many rows are empty
    assert compared(padded, np.where(padded < 0, padded, padded + 0.25), Boxes).max_error == pytest.approx(0.25)
    decisions = (np.arange(20) % 2).astype(np.float32)
    parity = compared(decisions, np.where(np.arange(20) < 3, 1 - decisions, decisions), Binary)
    assert (parity.changed, parity.max_error, parity.rms_error) == (3, 0.15, 0)


def test_the_range_of_a_single_number_is_its_size():
    assert spread(np.array([[4.0]])) == 4.0
    assert spread(np.array([[0.0]])) == 1.0
    assert spread(np.array([1.0, 3.0])) == 2.0


def test_the_input_must_be_raw_bytes(predictor):
    good = predictor("tflite:int8")
    assert check_input(good, {}) == ()
    (image,) = good.contract.inputs
    other = image.model_copy(update={"quantization": (0.937, 0)})
    contract = good.contract.model_copy(update={"inputs": (other,)})
    with pytest.raises(CheckError, match=r"must take raw bytes. It is uint8 with .* \(0.937, 0\)"):
        check_input(Wrapped(good, contract=contract), {})


def test_arithmetic_before_the_first_layer_is_found(predictor):
    good = predictor("tflite:int8")
    source = good.input_tensors["image"]
    graph = [Operator("MUL", (source, "0:90"), ("0:91",)), Operator("CONV_2D", ("0:91",), ("0:92",))]
    graph.append(Operator("ADD", ("0:92",), ("0:93",)))
    found = Wrapped(good, graph=graph)
    assert leading_operators(found, "image") == ["MUL"]
    with pytest.raises(CheckError, match=r"must be folded into the first layer\. Before that layer: MUL"):
        check_input(found, {})
    assert check_input(found, {"image": "Sub of the input by 1"}) == (
        "MUL stays before the first layer: the input's scaling cannot be folded into the weights "
        "(Sub of the input by 1)",
    )


def test_a_model_with_byte_input_gets_float_input(serve):
    serving = serve(layers.Flatten(), layers.Dense(10))
    assert serving.model.inputs[0].dtype == "uint8"
    floats = with_float_images(serving)
    assert floats.model.inputs[0].dtype == floats.contract.inputs[0].dtype == "float32"
    image = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    expected = serving.model(image)["probabilities"]
    np.testing.assert_array_equal(floats.model(image.astype("float32"))["probabilities"], expected)
    again = with_float_images(ServingModel(floats.model, floats.contract))
    assert again.model is floats.model
