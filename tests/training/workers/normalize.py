"""Batch normalization of one batch on one and on several devices; `test_devices.py` runs it in its own process.

Print a JSON object: for each case and number of devices, the errors against one device, and against statistics that
NumPy computes in float64.
"""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dltemplates.training.speed.fused import fuse
from dltemplates.training.strategy import Distribution, make_distribution
from dltemplates.training.workers.replicas import for_replicas

SHAPE = (4, 4, 8)
BATCH = 64
random = np.random.default_rng(0)
# means that are large compared with the standard deviation of 1
IMAGES = random.normal(random.uniform(-30, 30, SHAPE[-1]), 1, (BATCH, *SHAPE)).astype("float32")
MASK = random.random((BATCH, *SHAPE[:-1])) < 0.3
SLOPE = random.normal(size=IMAGES.shape).astype("float32")
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "Keras's own": {},
    "masked": {"mask": MASK},
    "bfloat16": {"dtype": "mixed_bfloat16"},
    "channels first": {"axis": 1},
}


def network(**options: Any) -> keras.Model:
    """Build a batch normalization whose moving statistics are those of the last batch."""
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layers.BatchNormalization(momentum=0.0, **options)(inputs))


def step(distribution: Distribution, model: keras.Model, mask: np.ndarray | None) -> dict[str, np.ndarray]:
    """Run a training step on the whole batch; return outputs, gradient and statistics."""
    layer, strategy = model.layers[-1], distribution.strategy

    def split(array: np.ndarray) -> Any:
        rows = BATCH // distribution.replicas

        def part(context: Any) -> Any:
            first = rows * context.replica_id_in_sync_group
            return tf.constant(array[first : first + rows])

        return strategy.experimental_distribute_values_from_function(part)

    @tf.function
    def run(images: Any, slope: Any, *masks: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            x = tf.cast(images, layer.compute_dtype)
            outputs = layer(x, training=True, mask=masks[0] if masks else None)
            loss = tf.reduce_sum(tf.cast(outputs, "float32") * slope)
        return outputs, tape.gradient(loss, images)

    arrays = [IMAGES, SLOPE] if mask is None else [IMAGES, SLOPE, mask]
    values = strategy.run(run, args=[split(array) for array in arrays])
    parts = [strategy.experimental_local_results(value) for value in values]
    outputs, gradient = (np.concatenate([tf.cast(part, "float32").numpy() for part in value]) for value in parts)
    statistics = {"mean": layer.moving_mean.numpy(), "variance": layer.moving_variance.numpy()}
    return {"outputs": outputs, "gradient": gradient, **statistics}


def exact(options: dict[str, Any]) -> dict[str, np.ndarray]:
    """Compute the statistics of the batch in float64."""
    images = tf.cast(tf.cast(IMAGES, "bfloat16"), "float64").numpy() if "dtype" in options else IMAGES.astype("float64")
    rows = np.moveaxis(images, options.get("axis", -1), -1)
    rows = rows[options["mask"]] if "mask" in options else rows.reshape(-1, rows.shape[-1])
    return {"mean": rows.mean(axis=0), "variance": rows.var(axis=0)}


def errors(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the largest differences, relative to the deviation, the variance, or else the largest value."""
    units = {name: np.abs(array).max() for name, array in expected.items()}
    units |= {"mean": np.sqrt(expected["variance"]), "variance": expected["variance"]}
    return {
        name: float(np.max(np.abs(found[name].astype("float64") - array) / units[name]))
        for name, array in expected.items()
    }


def main() -> None:
    several = {devices: make_distribution("mirrored", devices) for devices in (4, 2)}
    one = Distribution(tf.distribute.get_strategy())
    results: dict[str, Any] = {}
    for case, options in CASES.items():
        own = {name: value for name, value in options.items() if name != "mask"}
        single = network(**own)
        fuse(single)
        expected = step(one, single, options.get("mask"))
        for devices, distribution in several.items():
            with distribution.strategy.scope():
                model = for_replicas(network(**own))
            if case == "Keras's own":
                model.layers[-1].__class__ = layers.BatchNormalization
            found = step(distribution, model, options.get("mask"))
            results[f"{case}, {devices}"] = {
                "one device": errors(found, expected),
                "exact": errors(found, exact(options)),
            }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
