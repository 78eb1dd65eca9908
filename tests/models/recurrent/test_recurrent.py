"""The recurrent networks: the formulas of their pages in NumPy, their sizes, and padding."""

import keras
import numpy as np
import pytest

from dltemplates.models.recurrent.bilstm import bilstm
from dltemplates.models.recurrent.gru import gru
from dltemplates.models.recurrent.lstm import lstm
from dltemplates.models.recurrent.simple_rnn import simple_rnn
from dltemplates.models.summary import multiply_accumulates, summarize

STEPS, CHANNELS, OUTPUTS = 6, 2, 3
BUILDERS = (simple_rnn, lstm, gru, bilstm)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn_step(x, state, kernel, recurrent, bias):
    (h,) = state
    return (np.tanh(x @ kernel + h @ recurrent + bias),)


def lstm_step(x, state, kernel, recurrent, bias):
    h, c = state
    input_gate, forget_gate, new, output_gate = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
    c = sigmoid(forget_gate) * c + sigmoid(input_gate) * np.tanh(new)
    return sigmoid(output_gate) * np.tanh(c), c


def gru_step(x, state, kernel, recurrent, bias):
    (h,) = state
    update, reset, candidate = np.split(x @ kernel + bias[0], 3, axis=1)
    from_update, from_reset, from_candidate = np.split(h @ recurrent + bias[1], 3, axis=1)
    z, r = sigmoid(update + from_update), sigmoid(reset + from_reset)
    return (z * h + (1 - z) * np.tanh(candidate + r * from_candidate),)


STEP_OF = {simple_rnn: (rnn_step, 1), lstm: (lstm_step, 2), gru: (gru_step, 1), bilstm: (lstm_step, 2)}


def outputs_of(step, count, x, weights):
    """Return the outputs of one layer in one direction, (batch, steps, units)."""
    units = weights[1].shape[0]
    state, outputs = tuple(np.zeros((len(x), units)) for _ in range(count)), []
    for row in x.swapaxes(0, 1):
        state = step(row, state, *weights)
        outputs.append(state[0])
    return np.stack(outputs, axis=1)


def randomized(network):
    """Give each weight a value of its own, the biases too."""
    rng = np.random.default_rng(0)
    network.set_weights([rng.normal(0, 0.5, weight.shape) for weight in network.get_weights()])
    return [weight.astype(np.float64) for weight in network.get_weights()]


def windows(count=5, steps=STEPS):
    return np.random.default_rng(1).normal(size=(count, steps, CHANNELS)).astype(np.float32)


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_a_network_of_three_layers_computes_the_formulas_of_its_page(builder):
    network = builder((STEPS, CHANNELS), OUTPUTS, units=(4, 3, 5))
    *weights, dense, offset = randomized(network)
    x = windows()
    values, (step, count) = x.astype(np.float64), STEP_OF[builder]
    last = None
    for _ in range(3):
        forward = outputs_of(step, count, values, weights[:3])
        if builder is bilstm:
            backward = outputs_of(step, count, values[:, ::-1], weights[3:6])
            values = np.concatenate([forward, backward[:, ::-1]], axis=2)
            last = np.concatenate([forward[:, -1], backward[:, -1]], axis=1)  # each after it has read everything
        else:
            values, last = forward, forward[:, -1]
        weights = weights[6 if builder is bilstm else 3 :]
    assert not weights
    np.testing.assert_allclose(np.asarray(network(x)), last @ dense + offset, atol=1e-5)


@pytest.mark.parametrize("builder", [lstm, bilstm], ids=lambda builder: builder.__name__)
def test_the_forget_gate_is_open_at_first_and_no_other_bias_is_set(builder):
    network = builder((STEPS, CHANNELS), OUTPUTS, units=(4,))
    biases = [weight.numpy() for weight in network.weights if weight.shape == (16,)]
    assert len(biases) == (2 if builder is bilstm else 1)
    for bias in biases:
        np.testing.assert_array_equal(bias, [0] * 4 + [1] * 4 + [0] * 8)


@pytest.mark.parametrize("builder", [lstm, gru], ids=lambda builder: builder.__name__)
def test_with_memory_a_state_lasts_up_to_so_many_steps_at_first(builder):
    network = builder((None, 1), 5, units=(5,), memory=21)
    network = keras.models.model_from_json(network.to_json())  # the biases come back with the definition
    _, _, bias = network.layers[1].get_weights()
    if builder is lstm:
        input_gate, forget_gate, *rest = bias.reshape(4, 5)
        np.testing.assert_allclose(input_gate, -forget_gate)
    else:
        (forget_gate, *rest), of_the_state = bias.reshape(2, 3, 5)
        assert not of_the_state.any()
    assert not np.any(rest)
    kept = sigmoid(forget_gate)
    np.testing.assert_allclose(1 / (1 - kept), np.linspace(1, 20, 5) + 1, rtol=1e-5)  # steps until 1/e is left


def test_a_memory_has_steps():
    with pytest.raises(ValueError, match="`memory` must be a positive integer. Received: memory=0"):
        lstm((6, 2), 3, memory=0)


@pytest.mark.parametrize(
    ("builder", "parameters"),
    [
        (simple_rnn, lambda n, m: n * (m + n + 1)),
        (lstm, lambda n, m: 4 * n * (m + n + 1)),
        (gru, lambda n, m: 3 * n * (m + n + 2)),
        (bilstm, lambda n, m: 8 * n * (m + n + 1)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_layer_has_the_parameters_of_its_page_however_long_the_sequence_is(builder, parameters):
    per_unit = 2 if builder is bilstm else 1
    expected = parameters(5, 2) + parameters(4, 5 * per_unit) + (4 * per_unit + 1) * 3
    for steps in (7, 14, None):
        assert builder((steps, 2), 3, units=(5, 4)).count_params() == expected


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_padding_does_not_change_the_output(builder):
    network = builder((None, CHANNELS), OUTPUTS, units=(4, 3))
    randomized(network)
    x = windows()
    padded = np.concatenate([x, np.zeros((5, 3, CHANNELS), np.float32)], axis=1)
    mask = np.arange(STEPS + 3)[None].repeat(5, axis=0) < STEPS
    expected = np.asarray(network(x))
    np.testing.assert_allclose(np.asarray(network(padded, mask=mask)), expected, atol=1e-6)
    assert not np.allclose(np.asarray(network(padded)), expected, atol=1e-3)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("SimpleRNN", 1)])
def test_each_row_meets_both_kernels(kind, gates):
    inputs = keras.Input((10, 3))
    layer = getattr(keras.layers, kind)(5)
    layer(inputs)
    assert multiply_accumulates(layer) == 10 * gates * 5 * (3 + 5)


def test_both_directions_count():
    assert summarize(bilstm((10, 3), 2, units=(5,))).macs == 2 * 10 * 4 * 5 * (3 + 5) + 10 * 2
