"""Layers in one fused operation, against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from conftest import small_template
from dltemplates.compat import flatten_layers
from dltemplates.models.weights import set_weights
from dltemplates.training.prepare import prepare
from dltemplates.training.speed.fused import FusedBatchNormalization, FusedLSTM, fuse
from dltemplates.training.speed.loop import pays_to_compile


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A layer that holds batch normalization, and some that it never calls."""

    def __init__(self, **options):
        super().__init__()
        self.normalization = layers.BatchNormalization(momentum=0.8, epsilon=2e-3, **options)
        self.unused = layers.BatchNormalization()

    def build(self, shape):
        self.normalization.build(shape)

    def call(self, inputs, training=False):
        return self.normalization(inputs, training=training)


def network(normalization=layers.BatchNormalization, **options):
    """Return a convolution and its batch normalization, nested in a model."""
    inputs = keras.Input((6, 5, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    own = {} if normalization is Block else {"momentum": 0.8, "epsilon": 2e-3}
    x = normalization(**own, **options)(x)
    inner = keras.Model(inputs, layers.ReLU()(x), name="inner")
    image = keras.Input((6, 5, 3))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(inner(image))))
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    return model


def normalization_of(model):
    found = [layer for layer in flatten_layers(model) if isinstance(layer, layers.BatchNormalization)]
    (layer,) = [layer for layer in found if layer.built]
    return layer


def batch(size=7):
    return np.random.default_rng(1).normal(3, 2, (size, 6, 5, 3)).astype("float32")


def step(model, x):
    """Return the outputs of a training step, and the gradients of their sum of squares."""
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


@pytest.mark.parametrize("normalization", [layers.BatchNormalization, Block])
def test_fused_batch_normalization_matches_keras(normalization):
    plain, fused = network(normalization), network(normalization)
    before = plain.get_weights()
    fuse(fused)
    assert type(normalization_of(fused)) is FusedBatchNormalization
    (outputs, gradients), (expected, others) = step(fused, batch()), step(plain, batch())
    assert relative_error(outputs, expected) < 1e-5
    scale = max(np.abs(np.asarray(other)).max() for other in others)
    for gradient, other in zip(gradients, others, strict=True):
        assert np.abs(np.asarray(gradient) - np.asarray(other)).max() < 1e-5 * scale
    for one, other, old in zip(fused.weights, plain.weights, before, strict=True):
        assert relative_error(one, other) < 1e-5
        assert one.trainable == np.array_equal(np.asarray(one), old)  # moving statistics have moved
    assert relative_error(fused(batch()), plain(batch())) < 1e-5


def test_a_frozen_layer_keeps_its_statistics():
    fused = network()
    normalization_of(fused).trainable = False
    fuse(fused)
    assert type(normalization_of(fused)) is FusedBatchNormalization
    before = fused.get_weights()
    x = batch()
    np.testing.assert_array_equal(fused(x, training=True), fused(x))
    for old, new in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert len(fused.trainable_variables) == 4


def test_masks_work_as_in_keras():
    plain, fused = (layers.BatchNormalization() for _ in range(2))
    x, mask = batch(), np.random.default_rng(2).random((7, 6, 5)) < 0.5
    for layer in (plain, fused):
        layer.build(x.shape)
    fuse(keras.Sequential([fused]))
    assert type(fused) is FusedBatchNormalization
    np.testing.assert_array_equal(fused(x, training=True, mask=mask), plain(x, training=True, mask=mask))
    np.testing.assert_array_equal(fused.moving_mean, plain.moving_mean)


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}, {"dtype": "float64"}]
)
def test_unsupported_options_stay_with_keras(options):
    model = network(**options)
    fuse(model)
    assert type(normalization_of(model)) is layers.BatchNormalization


def test_vectors_stay_with_keras():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.BatchNormalization()(inputs))
    fuse(model)
    assert type(normalization_of(model)) is layers.BatchNormalization


def test_only_the_training_model_is_fused():
    training = prepare(small_template())
    trained, defined = (
        {type(layer) for layer in flatten_layers(model) if isinstance(layer, layers.BatchNormalization)}
        for model in (training.model, training.definition)
    )
    assert trained == {FusedBatchNormalization}
    assert defined == {layers.BatchNormalization}


def test_half_precision_uses_float32_statistics():
    models = []
    for _ in range(2):
        inputs = keras.Input((6, 5, 3))
        models.append(keras.Model(inputs, layers.BatchNormalization(momentum=0.8, dtype="mixed_bfloat16")(inputs)))
    plain, fused = models
    fuse(fused)
    x = tf.cast(batch(64) + 100, "bfloat16")
    first, second = fused(x, training=True), plain(x, training=True)
    assert first.dtype == second.dtype == tf.bfloat16
    assert relative_error(tf.cast(first, "float32"), tf.cast(second, "float32")) < 1e-2
    for one, other in zip(fused.weights[2:], plain.weights[2:], strict=True):
        assert one.dtype == "float32"
        assert relative_error(one, other) < 1e-4


def test_weights_of_a_normalization_take_effect_when_set():
    models = []
    for _ in range(2):
        inputs = keras.Input((6, 5, 3))
        models.append(keras.Model(inputs, layers.Normalization()(inputs)))
    adapted, other = models
    adapted.layers[-1].adapt(batch())
    set_weights(other, adapted.get_weights())
    assert abs(float(np.mean(adapted(batch())))) < 1e-3
    np.testing.assert_array_equal(other(batch()), adapted(batch()))


def recurrent(*inner):
    """Return a network of recurrent layers on sequences of 6 rows and 3 channels."""
    inputs = x = keras.Input((6, 3))
    for layer in inner:
        x = layer(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
    return model


def types_of(model):
    return {type(layer) for layer in flatten_layers(model) if isinstance(layer, layers.RNN)}


@pytest.mark.parametrize(
    "build",
    [
        lambda: recurrent(layers.LSTM(4)),
        lambda: recurrent(layers.LSTM(4, return_sequences=True), layers.Dropout(0.0), layers.LSTM(5)),
        lambda: recurrent(layers.LSTM(4, unit_forget_bias=False, go_backwards=True)),
        lambda: recurrent(layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.LSTM(3)),
    ],
    ids=["one", "two", "backwards", "bidirectional"],
)
def test_a_fused_lstm_matches_keras(build):
    plain, fused = build(), build()
    fuse(fused)
    assert types_of(fused) == {FusedLSTM}
    x = np.random.default_rng(1).normal(size=(7, 6, 3)).astype("float32")
    (outputs, gradients), (expected, others) = step(fused, x), step(plain, x)
    assert relative_error(outputs, expected) < 1e-5
    for gradient, other in zip(gradients, others, strict=True):
        assert relative_error(gradient, other) < 1e-5
    np.testing.assert_array_equal(fused(x), plain(x))  # outside training, it is Keras's own


def test_a_fused_lstm_trains_with_a_mask_as_in_keras():
    plain, fused = (recurrent(layers.Masking(), layers.LSTM(4)) for _ in range(2))
    fuse(fused)
    assert types_of(fused) == {FusedLSTM}
    x = np.random.default_rng(1).normal(size=(5, 6, 3)).astype("float32")
    x[:, 4:] = 0
    np.testing.assert_array_equal(fused(x, training=True), plain(x, training=True))


@pytest.mark.parametrize(
    "options",
    [
        {"use_bias": False},
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"dropout": 0.1},
        {"recurrent_dropout": 0.1},
        {"dtype": "mixed_bfloat16"},
    ],
)
def test_an_unsupported_lstm_stays_with_keras(options):
    model = recurrent(layers.LSTM(4, **options))
    fuse(model)
    assert types_of(model) == {layers.LSTM}


def test_an_lstm_beside_other_recurrent_layers_stays_with_keras():
    """XLA compiles both; it has no form of the fused operation."""
    model = recurrent(layers.LSTM(4, return_sequences=True), layers.GRU(3))
    fuse(model)
    assert types_of(model) == {layers.LSTM, layers.GRU}
    assert pays_to_compile(model, 1, deterministic=True)
    fused = recurrent(layers.LSTM(4))
    fuse(fused)
    assert not pays_to_compile(fused, 1, deterministic=True)
