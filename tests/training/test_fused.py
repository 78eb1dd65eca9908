"""Batch normalization in one operation against that of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from conftest import small_template
from dltemplates.training.fused import FusedBatchNormalization, fuse
from dltemplates.training.prepare import prepare


def network(**options):
    """A convolution and its batch normalization, nested in a model as networks are."""
    inputs = keras.Input((6, 5, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.BatchNormalization(momentum=0.8, epsilon=2e-3, **options)(x)
    inner = keras.Model(inputs, layers.ReLU()(x), name="inner")
    image = keras.Input((6, 5, 3))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(inner(image))))
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    return model


def normalization_of(model):
    (layer,) = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    return layer


def batch(size=7):
    return np.random.default_rng(1).normal(3, 2, (size, 6, 5, 3)).astype("float32")


def step(model, x):
    """Outputs of a step of training, and the gradients of the sum of their squares."""
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = tf.reduce_sum(outputs**2)
    return outputs, tape.gradient(loss, [variable.value for variable in model.trainable_variables])


def relative_error(value, expected):
    expected = np.asarray(expected, "float64")
    assert np.isfinite(expected).all()
    assert np.ptp(expected) > 0
    difference = np.abs(np.asarray(value, "float64") - expected).max()
    assert np.isfinite(difference)
    return difference / np.abs(expected).max()


def test_it_computes_what_keras_computes():
    plain = network()
    fused = fuse(plain)
    assert type(normalization_of(fused)) is FusedBatchNormalization
    assert [weight.path for weight in fused.weights] == [weight.path for weight in plain.weights]
    (outputs, gradients), (expected, others) = step(fused, batch()), step(plain, batch())
    assert relative_error(outputs, expected) < 1e-5
    scale = max(np.abs(np.asarray(other)).max() for other in others)
    for gradient, other in zip(gradients, others, strict=True):
        assert np.abs(np.asarray(gradient) - np.asarray(other)).max() < 1e-5 * scale
    before = network().get_weights()
    for one, other, old in zip(fused.weights, plain.weights, before, strict=True):
        assert relative_error(one, other) < 1e-5
        assert one.trainable == np.array_equal(np.asarray(one), old)  # moving statistics have moved
    assert relative_error(fused(batch()), plain(batch())) < 1e-5


def test_a_frozen_layer_keeps_its_statistics():
    fused = fuse(network())
    normalization_of(fused).trainable = False
    before = fused.get_weights()
    x = batch()
    np.testing.assert_array_equal(fused(x, training=True), fused(x))
    for old, new in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("options", [{"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}])
def test_what_the_operation_does_not_know_stays_with_keras(options):
    model = network(**options)
    assert fuse(model) is model


def test_vectors_stay_with_keras():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.BatchNormalization()(inputs))
    assert fuse(model) is model


def test_a_training_is_fused_and_its_definition_is_not():
    training = prepare(small_template())
    trained = [layer for layer in training.algorithm.model._flatten_layers() if "norm" in layer.name]
    defined = [layer for layer in training.definition._flatten_layers() if "norm" in layer.name]
    assert {type(layer) for layer in trained} == {FusedBatchNormalization}
    assert {type(layer) for layer in defined} == {layers.BatchNormalization}


def test_half_precision_is_normalized_by_float32_statistics():
    inputs = keras.Input((6, 5, 3))
    outputs = layers.BatchNormalization(momentum=0.8, dtype="mixed_bfloat16")(inputs)
    plain = keras.Model(inputs, outputs)
    fused = fuse(plain)
    x = tf.cast(batch(64) + 100, "bfloat16")
    first, second = fused(x, training=True), plain(x, training=True)
    assert first.dtype == second.dtype == tf.bfloat16
    assert relative_error(tf.cast(first, "float32"), tf.cast(second, "float32")) < 1e-2
    for one, other in zip(fused.weights[2:], plain.weights[2:], strict=True):
        assert one.dtype == "float32"
        assert relative_error(one, other) < 1e-4
