"""Weights from one layer to another, with the values that layers compute from them."""

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.models.weights import refresh, set_weights
from dltemplates.training.importing.import_network import rebuilt
from dltemplates.training.importing.pretrained import Pretrained, take_weights
from dltemplates.training.workers.replicas import for_replicas

ROWS = np.array([[10.0, -3.0], [14.0, -5.0], [12.0, 1.0]], np.float32)


def network(*, is_adapted):
    """Return a network that standardizes in a nested model."""
    keras.utils.set_random_seed(0)
    normalization, inner = layers.Normalization(), keras.Input((2,))
    if is_adapted:
        normalization.adapt(ROWS)
    inputs = keras.Input((2,))
    return keras.Model(inputs, layers.Dense(1)(keras.Model(inner, normalization(inner), name="inner")(inputs)))


def by_weights(adapted):
    copy = keras.models.clone_model(adapted)
    set_weights(copy, adapted.get_weights())
    return copy


def by_pretraining(adapted):
    copy = network(is_adapted=False)
    assert take_weights(copy, Pretrained(adapted, None, "a run")) == []
    return copy


@pytest.mark.parametrize("rebuild", [by_weights, by_pretraining, for_replicas, rebuilt])
def test_an_adapted_normalization_is_kept_however_a_network_is_rebuilt(rebuild):
    adapted = network(is_adapted=True)
    copy = rebuild(adapted)
    np.testing.assert_allclose(copy(ROWS), adapted(ROWS), atol=1e-6)
    plain = keras.models.clone_model(adapted)
    plain.set_weights(adapted.get_weights())
    assert not np.allclose(plain(ROWS), adapted(ROWS), atol=0.1)  # Keras itself does not refresh it
    refresh(plain)
    np.testing.assert_allclose(plain(ROWS), adapted(ROWS), atol=1e-6)
