"""A machine small enough to enumerate, compared with sums over all its states."""

import itertools

import keras
import numpy as np
import pytest

from dltemplates.layers import RestrictedBoltzmann
from dltemplates.models.generative.rbm import gibbs_sample

VISIBLE = np.array(list(itertools.product((0, 1), repeat=3)), np.float32)  # (8, 3)
HIDDEN = np.array(list(itertools.product((0, 1), repeat=2)), np.float32)  # (4, 2)


@pytest.fixture(scope="module")
def machine():
    layer = RestrictedBoltzmann(2)
    layer.build((None, 3))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(scale=2, size=weight.shape) for weight in layer.get_weights()])
    return layer


@pytest.fixture(scope="module")
def energies(machine):
    """Return the energy of every state, (8, 4), by the formula of Hinton's section 2."""
    kernel, hidden_bias, visible_bias = (np.asarray(weight, np.float64) for weight in machine.get_weights())
    assert kernel.shape == (3, 2)
    return -(VISIBLE @ visible_bias)[:, None] - (HIDDEN @ hidden_bias)[None] - VISIBLE @ kernel @ HIDDEN.T


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_the_free_energy_sums_over_the_hidden_units(machine, energies):
    expected = -np.log(np.exp(-energies).sum(axis=1))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(numpy(machine.free_energy(VISIBLE)), expected, rtol=1e-5)


def test_each_layer_given_the_other_is_the_machines_conditional(machine, energies):
    joint = np.exp(-energies)
    of_hidden = (joint / joint.sum(axis=1, keepdims=True)) @ HIDDEN  # (8, 2)
    of_visible = (joint / joint.sum(axis=0)).T @ VISIBLE  # (4, 3)
    np.testing.assert_allclose(numpy(machine(VISIBLE)), of_hidden, rtol=1e-5)
    np.testing.assert_allclose(numpy(machine.hidden(VISIBLE)), of_hidden, rtol=1e-5)
    np.testing.assert_allclose(numpy(machine.visible(HIDDEN)), of_visible, rtol=1e-5)


def test_it_begins_with_small_weights_and_comes_back_from_its_config():
    layer = RestrictedBoltzmann(400)
    layer.build((None, 300))
    kernel, hidden_bias, visible_bias = layer.get_weights()
    assert np.std(kernel) == pytest.approx(0.01, rel=0.02)
    assert not hidden_bias.any()
    assert not visible_bias.any()
    assert RestrictedBoltzmann.from_config(layer.get_config()).units == 400


def test_gibbs_chains_reach_the_machines_own_distribution(machine, energies):
    """After enough steps the mean of the visible units no longer depends on the start."""
    joint = np.exp(-energies)
    shares = joint.sum(axis=1) / joint.sum()
    begun = np.zeros((20_000, 3), np.float32)
    seen = gibbs_sample(machine, begun, (0, 1, 12), seed=0)
    assert seen.shape == (20_000, 3, 3)
    assert not seen[:, 0].any()
    np.testing.assert_allclose(seen[:, 2].mean(axis=0), shares @ VISIBLE, atol=0.01)
    assert np.abs(seen[:, 1].mean(axis=0) - shares @ VISIBLE).max() > 0.1  # one step is not enough
    np.testing.assert_array_equal(seen, gibbs_sample(machine, begun, (0, 1, 12), seed=0))
    assert (seen != gibbs_sample(machine, begun, (0, 1, 12), seed=1)).any()
