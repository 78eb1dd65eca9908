"""Run many steps per `tf.function` call, to hide Python's overhead on small models."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dltemplates.compat import flatten_layers
from dltemplates.training.speed.fused import FusedLSTM
from dltemplates.training.strategy import Distribution
from dltemplates.training.workers.replicas import draws_noise

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
CALL_SECONDS = 0.2  # target time of one call: short enough to react to Ctrl-C


def pays_to_compile(model: keras.Model, replicas: int, *, deterministic: bool) -> bool:
    """Return whether to compile a model's steps with XLA: it must work, and was measured to be faster.

    XLA fails with several replicas, and compiles again for each batch shape. On a GPU it has no deterministic form of
    some operations (the gradient of max pooling). On a CPU it speeds up recurrent layers, and slows down convolutions
    and small dense layers; fused LSTM layers are faster still, and have no form in XLA. It also draws other noise, so
    one device would not train as several do.

    Args:
        model: The built model.
        replicas: Number of replicas.
        deterministic: Whether every run must give the same bits.
    """
    all_layers = flatten_layers(model)
    shapes_are_known = None not in [size for tensor in model.inputs for size in tensor.shape[1:]]
    if replicas > 1 or not shapes_are_known or not all(layer.supports_jit for layer in all_layers):
        return False
    if tf.config.list_physical_devices("GPU"):
        return not deterministic
    return any(isinstance(layer, layers.RNN) for layer in all_layers) and not any(
        isinstance(layer, (FusedLSTM, *CONVOLUTIONS)) or draws_noise(layer) for layer in all_layers
    )


class StepLoop:
    """A loop that runs a step on one batch after another.

    The measured time per step sets the number of steps per call. The results do not depend on this number, because the
    same loop runs for any length.

    Attributes:
        steps_per_call: Estimated number of steps that take `CALL_SECONDS`.
    """

    def __init__(self, distribution: Distribution, step: Callable[..., None], *, jit_compile: bool = False):
        """Prepare a loop.

        Args:
            distribution: The devices.
            step: Function to call in each replica with its part of a batch.
            jit_compile: Compile the step with XLA.
        """
        compiled = tf.function(step, jit_compile=True) if jit_compile else step

        def run(iterator: Any, steps: Any) -> None:
            for _ in tf.range(steps):
                distribution.strategy.run(compiled, args=next(iterator))

        self._distribution = distribution
        self._run = tf.function(run)
        self._calls = 0
        self.steps_per_call = 1

    def __call__(self, iterator: Any, steps: int) -> None:
        """Run `steps` steps.

        All workers must run the same number, since TensorFlow matches their messages by iteration.
        """
        started = time.perf_counter()
        self._run(iterator, tf.constant(steps, tf.int64))
        self._calls += 1
        if self._calls > 1:  # the first call compiles
            each = (time.perf_counter() - started) / steps
            # At most ten times as many as before, since the first calls still warm up.
            self.steps_per_call = max(1, min(int(CALL_SECONDS / each), 10 * steps))

    def run_all(self, iterator: Any, steps: int) -> None:
        """Run `steps` steps, in several calls if needed."""
        while steps:
            count = min(int(self._distribution.gather([self.steps_per_call])[0, 0]), steps)
            self(iterator, count)
            steps -= count
