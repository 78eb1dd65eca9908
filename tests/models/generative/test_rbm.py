"""Widths of the papers, and invalid arguments."""

import itertools

import keras
import numpy as np
import pytest

from dltemplates.models.generative.rbm import dbn, rbm


def test_a_machine_has_a_weight_for_each_pair_and_a_bias_for_each_unit():
    model = rbm((28, 28, 1))
    assert model.count_params() == 784 * 500 + 500 + 784
    outputs = keras.ops.convert_to_numpy(model(np.random.default_rng(0).random((2, 28, 28, 1), np.float32)))
    assert outputs.shape == (2, 500)
    assert 0 < outputs.min() < outputs.max() < 1


def test_the_network_is_the_papers_perceptron_with_visible_biases():
    """784-500-500-2000-10 (Hinton and Salakhutdinov 2006); fine-tuning does not use the visible biases."""
    widths = (784, 500, 500, 2000, 10)
    perceptron = sum(above * (below + 1) for below, above in itertools.pairwise(widths))
    assert perceptron == 1_665_010
    assert dbn((28, 28, 1), 10).count_params() == perceptron + 784 + 500 + 500


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: rbm((0,)), "`input_shape` must .*Received: "),
        (lambda: rbm((4,), units=0), "`units` must .*Received: units=0"),
        (lambda: dbn((), 2), "`input_shape` must .*Received: "),
        (lambda: dbn((4,), 0), "`num_outputs` must .*Received: num_outputs=0"),
        (lambda: dbn((4,), 2, units=()), "`units` must .*Received: "),
        (lambda: dbn((4,), 2, units=(3, -1)), "`units` must .*Received: "),
    ],
)
def test_wrong_sizes_are_refused(build, match):
    with pytest.raises(ValueError, match=match):
        build()
