"""Streaming forms: one row in, the states in and out, the same outputs as the network of whole sequences."""

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.datasets.source import ArraySource
from dltemplates.deploy import stream_check
from dltemplates.deploy.stream_check import STEPS, run_stream, stream_outputs
from dltemplates.features import ClassId, Image, Length, Number, Probabilities, Series
from dltemplates.layers import SequenceMask
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.serving.contract import Contract, ServingModel
from dltemplates.tasks.serving.stream import initial_states, over_windows, stream
from dltemplates.tasks.serving.streaming import _closed_lengths, with_state

WINDOW, UNITS = 6, 3
SERIES = Series(name="series", dtype="float32", shape=(WINDOW, 2), mean=(0.0, 1.0), std=(1.0, 2.0))
OUTPUT = Number(name="value", dtype="float32", shape=(2,))


def tcn(x):
    """Apply two residual blocks of causal convolutions, the second one dilated, and take the last step."""
    for dilation in (1, 2):
        y = layers.Conv1D(UNITS, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        y = layers.SpatialDropout1D(0.5)(y)
        x = layers.ReLU()(layers.Add()([layers.Conv1D(UNITS, 1, padding="same", use_bias=False)(x), y]))
    return layers.LayerNormalization()(x)[:, -1]


def stacked(layer):
    """Return a function that applies two recurrent layers, with dropout between them."""
    return lambda x: layer(UNITS)(layers.Dropout(0.5)(layer(UNITS, return_sequences=True)(x)))


NETWORKS = {
    "lstm": stacked(layers.LSTM),
    "gru": stacked(layers.GRU),
    "simple_rnn": stacked(layers.SimpleRNN),
    "tcn": tcn,
    "sequential": keras.Sequential([layers.Dense(3), layers.GRU(UNITS)]),
}
STATES = {
    "lstm": [(UNITS,)] * 4,
    "gru": [(UNITS,)] * 2,
    "simple_rnn": [(UNITS,)] * 2,
    "tcn": [(2, 2), (4, UNITS)],
    "sequential": [(UNITS,)],
}


def serving_of(network, contract_update=()):
    """Serve a nested network behind a standardization and before a scaling, with weights that are not small."""
    keras.utils.set_random_seed(0)
    inner = keras.Input((WINDOW, 2))
    nested = keras.Model(inner, layers.Dense(2)(network(inner)), name="network")
    inputs = keras.Input((WINDOW, 2), name="series")
    value = layers.Rescaling(2.0, name="value")(nested(layers.Rescaling([1.0, 0.5], [0.0, -0.5])(inputs)))
    random = np.random.default_rng(0)
    nested.set_weights([weight + random.normal(size=weight.shape) / 4 for weight in nested.get_weights()])
    contract = Contract(name="waves", task="regression", inputs=(SERIES,), outputs=(OUTPUT,), targets=())
    return ServingModel(keras.Model(inputs, {"value": value}), contract.model_copy(update=dict(contract_update)))


def _waves():
    return np.random.default_rng(1).normal(size=(30, WINDOW, 2)).astype("float32")


@pytest.fixture(scope="module")
def windows():
    """Return 30 windows of random waves."""
    return ArraySource({"series": _waves()})


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    """Return a network's name, its whole serving model, and its streaming form."""
    serving = serving_of(NETWORKS[request.param])
    return request.param, serving, with_state(serving, ArraySource({"series": _waves()}))


def test_one_row_goes_in_and_the_states_in_and_out(case):
    name, serving, step = case
    contract = step.contract
    row, *states = contract.inputs
    output, *after = contract.outputs
    assert (row.name, row.kind, row.shape, row.mean) == ("series", "series", (1, 2), SERIES.mean)
    assert [value.shape for value in states] == [value.shape for value in after] == STATES[name]
    assert [(state.input, state.output) for state in contract.state] == [
        (one.name, other.name) for one, other in zip(states, after, strict=True)
    ]
    assert output == OUTPUT
    assert (contract.signature, contract.name, contract.task) == ("decode", "waves-stateful", "parity")
    assert serving.contract.signature == "serving_default"
    whole = contract.of_system()
    assert (whole.inputs, whole.outputs, whole.task) == (serving.contract.inputs, (OUTPUT,), "regression")
    assert {variable.path for variable in step.model.weights} >= {v.path for v in serving.model.trainable_variables}


def test_500_steps_equal_the_network_of_whole_sequences(case, windows, monkeypatch):
    _, _, step = case
    monkeypatch.setattr(stream_check, "REPEATS", 1)
    reference = run_stream(step, windows)  # raises unless Keras's streaming form is within 1e-5
    assert reference.rows.shape == (1, STEPS, 2)
    assert len(np.unique(reference.rows[0, : 30 * WINDOW], axis=0)) == 30 * WINDOW  # the windows, joined
    assert list(reference.whole) == list(reference.streamed) == ["value"]
    assert reference.spreads["value"] > 0.1
    assert reference.error(reference.streamed) <= 1e-5
    wrong = reference.streamed["value"].copy()
    wrong[STEPS - 1] += 1e-3  # the last of them counts too
    assert reference.error({"value": wrong}) > 1e-5
    assert reference.rms_errors(reference.streamed) == (0.0, 0.0)


def test_a_window_fed_row_by_row_gives_the_output_of_the_network(case, windows):
    _, serving, step = case
    whole = KerasPredictor(serving.model, serving.contract)
    predictor = over_windows(KerasPredictor(step.model, step.contract))
    arrays = windows.read(np.arange(7))
    expected = whole(arrays)["value"]
    for count in (7, 1):  # each call begins with the initial states
        found = predictor({"series": arrays["series"][:count]})["value"]
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    assert over_windows(whole) is whole


def test_steps_are_examples_with_the_states_that_keras_computes(case, windows):
    _, _, step = case
    source = step.examples("validation", windows)
    assert len(source) == 30 * WINDOW
    indices = np.array([WINDOW + 2, 0, 3 * WINDOW + 5, WINDOW + 3])
    arrays = source.read(indices)
    rows = windows.read(np.array([1]))["series"]
    np.testing.assert_array_equal(arrays["series"][0], rows[0, 2:3])
    predictor = KerasPredictor(step.model, step.contract)
    outputs = predictor({name: array[:1] for name, array in arrays.items()})
    for state in step.contract.state:
        assert not arrays[state.input][1].any()  # the first step of a window
        np.testing.assert_allclose(arrays[state.input][3], outputs[state.output][0], atol=1e-6)


def test_calibration_gives_each_state_one_range_before_and_after_a_step(case, windows):
    name, _, step = case
    arrays = step.calibrate(windows, 20)
    outputs = KerasPredictor(step.model, step.contract)(arrays)
    assert 20 * (WINDOW - 2) < len(arrays["series"]) <= 20 * (WINDOW - 1) + 2
    for state in step.contract.state:
        before, after = arrays[state.input], outputs[state.output]
        assert np.ptp(before) > 0
        if name == "simple_rnn":  # its int8 scale is fixed: 1/128
            assert (before.min(), before.max()) == (-1, 127 / 128)
        else:
            assert min(after.min(), 0) == pytest.approx(before.min(), abs=1e-6)
            assert max(after.max(), 0) == pytest.approx(before.max(), abs=1e-6)


@pytest.mark.parametrize("use_bias", [True, False])
def test_each_unit_of_an_lstms_cell_state_is_divided_by_its_largest_value(windows, use_bias):
    serving = serving_of(layers.LSTM(5, use_bias=use_bias))
    layer = next(layer for layer in serving.model._flatten_layers() if isinstance(layer, layers.LSTM))
    layer.set_weights([weights * np.tile([0.1, 0.5, 1, 2, 4], 4) for weights in layer.get_weights()])
    plain, scaled = with_state(serving), with_state(serving, windows)
    hidden, cell = (state.input for state in plain.contract.state)
    assert [state.input for state in scaled.contract.state] == [hidden, cell]
    columns = []
    for step in (plain, scaled):
        steps = list(step.examples("train", windows).run(np.arange(30)))
        columns.append({name: np.stack([each[name] for each in steps]) for name in (hidden, cell)})
    largest = np.abs(columns[0][cell]).max(axis=(0, 1))
    assert largest.max() > 1.2
    assert largest.min() < 1
    np.testing.assert_allclose(columns[1][cell], columns[0][cell] / np.maximum(largest, 1), atol=1e-6)
    np.testing.assert_allclose(columns[1][hidden], columns[0][hidden], atol=1e-6)
    run_stream(scaled, windows)  # raises unless it is within 1e-5 of the whole network


def test_windows_are_shortened_until_their_last_states_are_in_range():
    states = np.array([[0, 1, 2, 9], [0, 3, 1, 2]], float)[..., None]
    assert _closed_lengths([states], np.array([3, 3])).tolist() == [2, 3]  # 9 comes after step 2 and before none
    assert _closed_lengths([states, -states], np.array([3, 3])).tolist() == [2, 3]
    growing = np.array([[0, 1, 2, 3]], float)[..., None]
    assert _closed_lengths([growing], np.array([3])).tolist() == [1]


def refused(network):
    return lambda: with_state(serving_of(network))


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (refused(layers.Bidirectional(layers.LSTM(2))), r"row by row.*Received: layer `bidirectional\w*` \(Bidirect"),
        (refused(layers.GlobalAveragePooling1D()), r"layer `global_average_pooling1d\w*` \(GlobalAverage"),
        (refused(lambda x: layers.GRU(2)(layers.Conv1D(2, 3, padding="same")(x))), r"layer `conv1d\w*` \(Conv1D\)"),
        (refused(lambda x: layers.GRU(2)(layers.Cropping1D((1, 0))(x))), r"layer `cropping1d\w*`.*Leave `--stateful`"),
        (refused(lambda x: layers.GRU(2, return_sequences=True)(x)[:, 0]), r"layer `get_item\w*` \(GetItem\)"),
        (refused(layers.GRU(2, go_backwards=True)), r"layer `gru\w*` \(GRU\)"),
        (refused(lambda x: layers.GRU(2)(layers.BatchNormalization(axis=1)(x))), r"layer `batch_normalization\w*`"),
        (refused(lambda x: layers.Dense(2)(x)[:, -1]), r"networks with states.*Received: waves without one\. Leave it"),
    ],
)
def test_other_layers_are_refused_in_one_line(build, match):
    with pytest.raises(ValueError, match=match) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_other_inputs_are_refused():
    image = Image(name="image", dtype="uint8", shape=(4, 4, 1), range=(0, 255), resize="stretch")
    known = Series(name="known", dtype="float32", shape=(3, 1))
    for inputs, kinds in (((image,), "image"), ((SERIES, known), "series, series")):
        serving = serving_of(layers.GRU(2), {"inputs": inputs})
        with pytest.raises(ValueError, match=f"one series as input. Received: waves, with inputs of kind {kinds}"):
            with_state(serving)


def test_a_state_of_another_size_is_refused(case):
    _, _, step = case
    predictor = KerasPredictor(step.model, step.contract)
    inputs = {"series": np.zeros((1, 1, 2), "float32"), **initial_states(step.contract, 1)}
    name, *_ = (state.input for state in step.contract.state)
    inputs[name] = np.zeros((1, *(size + 1 for size in inputs[name].shape[1:])), "float32")
    with pytest.raises(ValueError, match=rf"Input `{name}` must have the shape \(n, .*Received: \(1, ") as caught:
        predictor(inputs)
    assert "\n" not in str(caught.value)


def test_probabilities_of_a_sequence_stream_too(windows):
    keras.utils.set_random_seed(0)
    label = ClassId(name="label", dtype="int64", shape=(), classes=("a", "b"))
    output = Probabilities(name="probabilities", dtype="float32", shape=(2,), range=(0, 1), classes=("a", "b"))
    inputs = keras.Input((WINDOW, 2), name="series")
    model = keras.Model(inputs, {"probabilities": layers.Softmax()(layers.Dense(2)(layers.LSTM(3)(inputs)))})
    contract = Contract(
        name="beats", task="classification", inputs=(SERIES,), outputs=(output,), targets=(label,), reading_rules=4
    )
    step = with_state(ServingModel(model, contract))
    assert (step.contract.of_system().targets, step.contract.of_system().reading_rules) == ((label,), 4)
    rows = windows.read(np.arange(3))["series"].reshape(1, -1, 2)
    streamed = stream_outputs(KerasPredictor(step.model, step.contract), rows, ["probabilities"])["probabilities"]
    np.testing.assert_allclose(streamed.sum(axis=1), 1, atol=1e-6)
    assert len(list(stream(KerasPredictor(step.model, step.contract), rows))) == 3 * WINDOW


def test_padding_is_no_step(windows):
    """Sequences of different lengths have a second input, their length; the output is that of the last real step."""
    keras.utils.set_random_seed(0)
    inputs = {"series": keras.Input((None, 2), name="series"), "length": keras.Input((), name="length", dtype="int32")}
    x = SequenceMask()([inputs["series"], inputs["length"]])
    model = keras.Model(inputs, {"value": layers.Dense(2)(layers.GRU(3)(x))})
    length = Length(name="length", dtype="int32", shape=(), range=(1, WINDOW))
    contract = Contract(name="waves", task="regression", inputs=(SERIES, length), outputs=(OUTPUT,), targets=())
    serving = ServingModel(model, contract)
    step = with_state(serving)
    assert [value.name for value in step.contract.inputs] == ["series", step.contract.state[0].input]
    lengths = np.array([1, 4, WINDOW], np.int32)
    arrays = {**windows.read(np.arange(3)), "length": lengths}
    expected = KerasPredictor(model, contract)(arrays)["value"]
    streamed = over_windows(KerasPredictor(step.model, step.contract))(arrays)["value"]
    np.testing.assert_allclose(streamed, expected, atol=1e-5)
    source = step.examples("train", ArraySource(arrays))
    rows = source.read(np.arange(len(source)))["series"].reshape(3, WINDOW, 2)
    assert (rows[0] == arrays["series"][0, :1]).all()  # the only step of the first sequence, again and again
    assert len(step.calibrate(ArraySource(arrays), 3)["series"]) <= 1 + 3 + WINDOW - 1
