import keras
import numpy as np
import pytest

from dltemplates.models.build import build_network
from dltemplates.models.recurrent.lstm import lstm


@pytest.mark.parametrize(("rows", "channels", "units"), [(48, 1, (32,)), (5, 3, (4,)), (7, 2, (6, 5, 4))])
def test_a_layer_has_4n_times_m_n_1_parameters_however_long_the_sequence_is(rows, channels, units):
    widths = (channels, *units)
    expected = sum(4 * n * (m + n + 1) for m, n in zip(widths, units, strict=False))
    assert lstm((rows, channels), 12, units=units).count_params() == expected + (units[-1] + 1) * 12
    assert lstm((2 * rows, channels), 12, units=units).count_params() == expected + (units[-1] + 1) * 12


def test_what_is_written_into_a_cell_can_stay():
    """With the forget gate open and the input gate closed after the first row, the output depends on that row alone."""
    network = lstm((300, 2), 1, units=(1,))
    kernel, recurrent, bias = np.zeros((2, 4)), np.zeros((1, 4)), np.array([-50.0, 50.0, 0.0, 50.0])
    kernel[1, 0] = 100.0  # the second channel opens the input gate
    kernel[0, 2] = 1.0
    network.set_weights([kernel, recurrent, bias, np.ones((1, 1)), np.zeros(1)])
    x = np.random.default_rng(0).normal(size=(4, 300, 2)).astype(np.float32)
    x[:, :, 1] = 0
    x[:, 0, 1] = 1
    np.testing.assert_allclose(np.asarray(network(x))[:, 0], np.tanh(np.tanh(x[:, 0, 0])), atol=1e-6)


def test_layers_and_dropout_are_as_they_are_asked_for():
    network = lstm((6, 2), 3, units=(4, 5), dropout_rate=0.5)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["InputLayer", "LSTM", "Dropout", "LSTM", "Dropout", "Dense"]
    assert [layer.output.shape for layer in network.layers if isinstance(layer, keras.layers.LSTM)] == [
        (None, 6, 4), (None, 5),
    ]  # fmt: skip
    x = np.ones((2, 6, 2), np.float32)
    assert not np.allclose(network(x, training=True), network(x, training=False))


@pytest.mark.parametrize("input_shape", [(), (4,), (4, 0), (8, 8, 3), (None, 0), (None,)])
def test_input_shape_must_be_that_of_a_sequence(input_shape):
    with pytest.raises(
        ValueError, match=r"`lstm` takes sequences, \(steps, channels\)\. Received: input_shape=.* Try \("
    ):
        lstm(input_shape, 2)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"units": ()}, "`units` must be one or more positive integers. Received: units="),
        ({"units": (4, 0)}, "`units` must be one or more positive integers. Received: units="),
        ({"dropout_rate": 1.0}, r"`dropout_rate` must lie in \[0, 1\)\. Received: dropout_rate=1.0"),
        ({"num_outputs": 0}, "`num_outputs` must be a positive number of classes or values. Received: num_outputs=0"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        lstm(**{"input_shape": (6, 2), "num_outputs": 3, **options})


def test_the_catalog_builds_it():
    assert build_network("lstm", {"input_shape": (6, 2), "num_outputs": 3}, {"units": [4]}).output_shape == (None, 3)
