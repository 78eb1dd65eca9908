"""Benchmark of several devices: the time of a step, and the difference of the first step from one device.

    python tools/bench_replicas.py [TEMPLATE] [--devices 2] [--rounds 9] [--steps 10] [--json]

Four setups train the same template from the same weights:

- one device;
- several devices with Keras's own synchronized batch normalization;
- several devices with the batch normalization of this package;
- the reference: one device that sums its batch statistics in float64.

After the first step it prints each setup's difference from the reference and from one device:

- weights: the largest difference, divided by the largest weight;
- batch mean: the largest difference, divided by the channel's standard deviation;
- batch variance: the largest difference, divided by the channel's variance;

Then it prints the median time of a step on one batch over and over; the setups take turns in one process. On a
processor the devices are logical: they share its cores, so two are no faster than one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from keras import layers

from dltemplates.compat import flatten_layers
from dltemplates.template import Template, load_template
from dltemplates.training.prepare import Training, prepare
from dltemplates.training.speed.loop import StepLoop
from dltemplates.training.strategy import Distribution, make_distribution

REFERENCE = "one device, statistics in float64"
ONE = "one device"


class ExactBatchNormalization(layers.BatchNormalization):
    """Batch normalization on one device that sums its statistics in float64."""

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        assert mask is None
        moments = tf.nn.moments(tf.cast(inputs, "float64"), self._reduction_axes)
        return tuple(tf.cast(moment, inputs.dtype) for moment in moments)


@dataclass
class FirstStep:
    """Weights and batch statistics after the first step, in float64.

    Attributes:
        weights: The trained weights.
        means: The batch mean of each layer of batch normalization, (channels,).
        variances: The batch variance of each layer, (channels,).
    """

    weights: list[np.ndarray]
    means: list[np.ndarray]
    variances: list[np.ndarray]

    def errors(self, expected: FirstStep) -> dict[str, float]:
        """Return the three differences above from another first step."""
        deviations = [np.sqrt(variance) for variance in expected.variances]
        largest = [np.abs(weight).max() for weight in expected.weights]
        return {
            "weights": worst(self.weights, expected.weights, [np.max(largest)] * len(largest)),
            "mean": worst(self.means, expected.means, deviations),
            "variance": worst(self.variances, expected.variances, expected.variances),
        }


def worst(arrays: list[np.ndarray], expected: list[np.ndarray], units: list[np.ndarray]) -> float:
    """Return the largest difference, each divided by its unit; NaN if any is NaN."""
    triples = zip(arrays, expected, units, strict=True)
    return float(np.max([np.max(np.abs(array - wanted) / unit) for array, wanted, unit in triples]))


class Contestant:
    """Training with one class of batch normalization, by default the prepared one."""

    def __init__(self, template: Template, distribution: Distribution, normalization: type | None = None):
        self.distribution = distribution
        self.training: Training = prepare(template, distribution)
        self.normalizations = [
            layer for layer in flatten_layers(self.training.model) if isinstance(layer, layers.BatchNormalization)
        ]
        if not self.normalizations:
            raise SystemExit(f"{template.model.name} has no batch normalization. Choose another template.")
        for layer in self.normalizations:
            layer.momentum = 0.0  # the moving statistics then equal the last batch's
            layer.__class__ = normalization or type(layer)
        stage = self.training.stages[-1]
        self.loop = StepLoop(distribution, stage.algorithm.train)
        batch = stage.batches(stage.first_step).take(len(distribution.shard.own)).cache().repeat()
        self.iterator = distribution.iterator(batch)

    def first_step(self) -> FirstStep:
        """Run the first step, and return its results."""
        self.loop(self.iterator, 1)
        weights = self.training.model.trainable_weights
        means = [layer.moving_mean for layer in self.normalizations]
        variances = [layer.moving_variance for layer in self.normalizations]
        return FirstStep(*([np.asarray(value, np.float64) for value in part] for part in (weights, means, variances)))

    def milliseconds(self, steps: int) -> float:
        """Run some steps, and return the time per step."""
        started = time.perf_counter()
        self.loop(self.iterator, steps)
        return (time.perf_counter() - started) / steps * 1000


def compete(template: Template, devices: int, rounds: int, steps: int) -> dict[str, dict[str, Any]]:
    """Measure the errors and the step times of each setup.

    Returns:
        For each setup, `from ...` for two origins, with the errors of `weights`, `mean` and `variance`; and `ms`, the
        time of a step in each round.
    """
    several, one = make_distribution("mirrored", devices), Distribution(tf.distribute.get_strategy())
    setups = {
        REFERENCE: Contestant(template, one, ExactBatchNormalization),
        ONE: Contestant(template, one),
        f"{devices} devices, Keras's own": Contestant(template, several, layers.BatchNormalization),
        f"{devices} devices": Contestant(template, several),
    }
    first = {name: setup.first_step() for name, setup in setups.items()}
    times: dict[str, list[float]] = {name: [] for name in setups}
    for turn in range(rounds + 1 if rounds else 0):
        for name, setup in setups.items():
            milliseconds = setup.milliseconds(steps)
            if turn:  # the first turn warms up
                times[name].append(milliseconds)
    return {
        name: {f"from {origin}": step.errors(first[origin]) for origin in (REFERENCE, ONE)} | {"ms": times[name]}
        for name, step in first.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", nargs="?", default="resnet8_digits")
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="per turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    results = compete(load_template(options.template), options.devices, options.rounds, options.steps)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for origin in (REFERENCE, ONE):
        print(f"difference of the first step from {origin}:")
        for name, result in results.items():
            errors = "  ".join(f"{figure} {error:.1e}" for figure, error in result[f"from {origin}"].items())
            print(f"  {name:34} {errors}")
    for name, result in results.items():
        if times := result["ms"]:
            print(f"{name:36} {statistics.median(times):6.1f} ms a step ({min(times):.1f} to {max(times):.1f})")


if __name__ == "__main__":
    main()
