"""Weighted sums, and the layers that a deep feedforward network adds."""

import numpy as np
import pytest

from dltemplates.models.dense.mlp import dfn
from dltemplates.models.dense.perceptron import perceptron
from dltemplates.models.dense.regression import linear_regression, logistic_regression, softmax_regression


@pytest.mark.parametrize("builder", [perceptron, linear_regression, logistic_regression, softmax_regression])
def test_an_output_is_one_weighted_sum(builder):
    network = builder((3, 2), 4)
    assert network.count_params() == 6 * 4 + 4
    kernel, bias = network.get_weights()
    rows = np.random.default_rng(0).normal(size=(5, 3, 2)).astype("float32")
    np.testing.assert_allclose(network.predict(rows, verbose=0), rows.reshape(5, 6) @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("builder", [perceptron, linear_regression, logistic_regression, softmax_regression, dfn])
def test_what_no_network_can_be_made_of_is_refused(builder):
    with pytest.raises(ValueError, match=r"`input_shape` must be one or more positive integers\. Received"):
        builder((), 1)
    with pytest.raises(ValueError, match=r"`num_outputs` must be a positive number.*Received: num_outputs=0"):
        builder((3,), 0)


def test_each_layer_of_a_dfn_is_normalized_and_dropped_out():
    network = dfn((10,), 2, units=(8, 4))
    # kernels, then scale, shift and two moving averages of each unit, then the outputs
    assert network.count_params() == 10 * 8 + 8 * 4 + 4 * (8 + 4) + 4 * 2 + 2
    assert [type(layer).__name__ for layer in network.layers].count("Dropout") == 2
    with pytest.raises(ValueError, match="`units`"):
        dfn((10,), 2, units=())
    with pytest.raises(ValueError, match="`dropout_rate` must lie in"):
        dfn((10,), 2, dropout_rate=1.0)
