"""Many steps in one call of TensorFlow, so that Python is not what a small model waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dltemplates.compat import flatten_layers
from dltemplates.training.strategy import Distribution
from dltemplates.training.workers.replicas import draws_noise

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
CALL_SECONDS = 0.2  # how long one call is to take: as long as nobody minds waiting for the answer to Ctrl-C


def pays_to_compile(model: keras.Model, replicas: int, *, deterministic: bool) -> bool:
    """Whether steps of a model are best compiled by XLA: where that works, and was measured to be faster.

    With several replicas it fails, and each shape of a batch is compiled anew. On a GPU some operations (the gradient
    of max pooling) have no deterministic form in it. On a CPU it makes recurrent layers faster, convolutions and small
    dense layers slower; noise it draws otherwise, so that one device would not train what several do.

    Args:
        model: The model, built.
        replicas: Of it.
        deterministic: Whether the same bits are asked for on every run.
    """
    parts = flatten_layers(model)
    shapes_are_known = None not in [size for tensor in model.inputs for size in tensor.shape[1:]]
    if replicas > 1 or not shapes_are_known or not all(layer.supports_jit for layer in parts):
        return False
    if tf.config.list_physical_devices("GPU"):
        return not deterministic
    return any(isinstance(layer, layers.RNN) for layer in parts) and not any(
        isinstance(layer, CONVOLUTIONS) or draws_noise(layer) for layer in parts
    )


class StepLoop:
    """Runs a step on one batch after another.

    How many steps are run in a call is chosen by measuring how long they take; what they compute does not depend on it,
    because the loop is the same, whatever its length.

    Attributes:
        fitting: How many steps fit into `CALL_SECONDS`, as far as is known.
    """

    def __init__(self, distribution: Distribution, step: Callable[..., None], *, jit_compile: bool = False):
        """Prepare a loop.

        Args:
            distribution: Where each step runs.
            step: Called in each replica with the parts of a batch.
            jit_compile: Compile the step with XLA.
        """
        compiled = tf.function(step, jit_compile=True) if jit_compile else step

        def run(iterator: Any, steps: Any) -> None:
            for _ in tf.range(steps):
                distribution.strategy.run(compiled, args=next(iterator))

        self._distribution = distribution
        self._run = tf.function(run)
        self._calls = 0
        self.fitting = 1

    def __call__(self, iterator: Any, steps: int) -> None:
        """Run `steps` steps, as many on every worker: TensorFlow pairs what they exchange by its place in the loop."""
        started = time.perf_counter()
        self._run(iterator, tf.constant(steps, tf.int64))
        self._calls += 1
        if self._calls > 1:  # the first call compiles
            each = (time.perf_counter() - started) / steps
            # Not more than ten times as many as were tried: the first calls still warm up.
            self.fitting = max(1, min(int(CALL_SECONDS / each), 10 * steps))

    def run_all(self, iterator: Any, steps: int) -> None:
        """Run `steps` steps in as many calls as it takes."""
        while steps:
            count = min(int(self._distribution.share([self.fitting])[0, 0]), steps)
            self(iterator, count)
            steps -= count
