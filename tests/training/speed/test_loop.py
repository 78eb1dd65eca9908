import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from conftest import small_template
from dltemplates.training.prepare import prepare
from dltemplates.training.speed.loop import StepLoop, pays_to_compile

TEMPLATE = small_template(model__dropout_rate=0.3, train__clip_norm=0.5)


def weights_after(calls, template=TEMPLATE, jit_compile=False):
    """Return the weights after running steps in calls of these sizes."""
    training = prepare(template)
    loop = StepLoop(training.distribution, training.stages[-1].algorithm.train, jit_compile=jit_compile)
    iterator = training.distribution.iterator(training.stages[0].batches(0))
    for steps in calls:
        loop(iterator, steps)
    assert np.isfinite(training.stages[-1].algorithm.mean_loss())
    return training.model.get_weights()


MLP = small_template(model={"name": "mlp", "units": [16]})  # XLA has no deterministic gradient of max pooling


@pytest.mark.parametrize(
    ("template", "jit_compile"), [pytest.param(TEMPLATE, False, marks=pytest.mark.slow), (MLP, True)]
)
def test_the_number_of_steps_per_call_changes_no_bit(template, jit_compile):
    at_once = weights_after([12], template, jit_compile=jit_compile)
    for calls in ([1] * 12, [1, 4, 7]):
        for first, second in zip(at_once, weights_after(calls, template, jit_compile=jit_compile), strict=True):
            np.testing.assert_array_equal(first, second)


def test_steps_compiled_by_xla_give_the_same_weights():
    plain, compiled = (weights_after([3], MLP, jit_compile=jit) for jit in (False, True))
    for first, second in zip(plain, compiled, strict=True):
        assert np.ptp(first) > 0
        np.testing.assert_allclose(second, first, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "network", "replicas", "pays"),
    [
        ((5, 3), [layers.LSTM(4)], 1, True),
        ((5, 3), [layers.Bidirectional(layers.GRU(4))], 1, True),
        ((5, 3), [layers.LSTM(4)], 2, False),
        ((None, 3), [layers.LSTM(4)], 1, False),  # each length would be compiled again
        ((5, 3), [layers.Conv1D(4, 3), layers.LSTM(4)], 1, False),
        ((5, 3), [layers.Flatten(), layers.Dense(4)], 1, False),
    ],
)
def test_on_a_cpu_compiling_pays_only_for_recurrent_layers(shape, network, replicas, pays):
    model = keras.Sequential([keras.Input(shape), *network])
    assert pays_to_compile(model, replicas, deterministic=True) == pays


def test_models_with_dropout_are_not_compiled():
    """XLA draws different numbers for the same seed."""
    inputs = keras.Input((5, 3))
    for layer, pays in ((layers.Dropout(0.5), False), (layers.Dropout(0.0), True)):
        assert pays_to_compile(keras.Model(inputs, layer(layers.LSTM(4)(inputs))), 1, deterministic=True) == pays


def test_calls_grow_and_all_steps_run():
    training = prepare(TEMPLATE)
    counter = tf.Variable(0)

    def step(value):
        counter.assign_add(value)

    loop = StepLoop(training.distribution, step)
    iterator = iter(tf.data.Dataset.from_tensors((1,)).repeat())
    assert loop.steps_per_call == 1
    loop.run_all(iterator, 3)
    assert 1 < loop.steps_per_call <= 100  # not more than ten times what was tried
    loop.run_all(iterator, 1234)
    assert counter.numpy() == 1237


def test_metrics_match_keras():
    training = prepare(TEMPLATE)
    algorithm = training.stages[-1].algorithm
    batches, steps = training.stages[-1].data.evaluation("validation")
    StepLoop(training.distribution, algorithm.evaluate).run_all(iter(batches), steps)
    figures = algorithm.metrics()
    model = algorithm.model
    model.compile(loss=training.task.loss(), metrics=training.task.metrics())
    source = training.dataset.split("validation")
    examples = source.read(np.arange(len(source)))
    expected = model.evaluate(
        examples["image"].astype("float32"),
        training.task.encode(examples["label"]),
        batch_size=len(source),
        verbose=0,
        return_dict=True,
    )
    assert figures == pytest.approx(expected, rel=1e-5)
