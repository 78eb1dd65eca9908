"""Regression: squared error loss on standardized targets, scored by mean absolute error."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from dltemplates.datasets.source import Source, column
from dltemplates.datasets.spec import DatasetSpec, input_sizes
from dltemplates.features import AnyFeature, Number, WithStatistics
from dltemplates.tasks.model_signature import Shapes, vector_output
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.tasks.scoring.intervals import mean_of
from dltemplates.tasks.task import Arrays, SupervisedTask


class Regression(SupervisedTask):
    """Predict one or more numbers.

    The network learns `(target - mean) / std` with the training split's statistics; the served model inverts this, so
    `value` (batch, numbers), float32, is in the target's own unit.

    Attributes:
        presented: Name of the presented output.
    """

    name = "regression"
    has_head = True
    kind = "number"
    direction = "min"
    budget = "1%"
    monitor = "val_scaled_mae"
    monitor_direction = "min"
    linear_baseline = "linear regression"
    presented: ClassVar[str] = "value"
    target: WithStatistics

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {**input_sizes(spec), "num_outputs": self.target.shape[0]}

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        return vector_output(self.model_sizes(spec))

    def loss(self):
        import keras

        return keras.losses.MeanSquaredError()

    def metrics(self):
        import keras

        return [keras.metrics.MeanAbsoluteError(name="scaled_mae")]  # of standardized targets; `mae` is in their unit

    def encode(self, target: Any) -> Any:
        return self.target.standardize(target)

    def present(self, logits: Any) -> Any:
        from dltemplates.tasks.assemble import restore

        return restore(self.target, logits, name=self.presented)

    def output(self) -> AnyFeature:
        return Number(**dict(self.target) | {"name": self.presented, "kind": "number", "dtype": "float32"})

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

        # Squares of large float32 numbers overflow float32.
        truth, value = (array.astype(np.float64) for array in (targets[self.target.name], outputs["value"]))
        mse = float(mean_squared_error(truth, value))
        scores = {"mae": float(mean_absolute_error(truth, value)), "rmse": math.sqrt(mse), "mse": mse}
        scores |= {"r2": float(r2_score(truth, value))} if len(truth) > 1 else {}
        captions = [
            f"{', '.join(f'{x:.3g}' for x in v)}\nis {', '.join(f'{x:.3g}' for x in t)}"
            for v, t in zip(value, truth, strict=True)
        ]
        errors, squares, centered = (
            np.abs(value - truth).mean(axis=1),
            np.square(value - truth),
            truth - truth.mean(axis=0),
        )

        def r2(weights: np.ndarray) -> np.ndarray:
            total = weights @ np.square(centered) - np.square(weights @ centered) / weights.sum(axis=1, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore"):  # a draw of equal targets has none
                return (1 - (weights @ squares) / total).mean(axis=1)

        mean_square = mean_of(squares.mean(axis=1))
        return Evaluation(
            scores,
            targets,
            outputs,
            errors=errors,
            captions=tuple(captions),
            score_of={
                "mae": mean_of(errors),
                "rmse": lambda weights: np.sqrt(mean_square(weights)),
                "mse": mean_square,
                "r2": r2,
            },
        )

    def baselines(self, train: Source, targets: Arrays) -> dict[str, Arrays]:
        mean = column(train, self.target.name).mean(axis=0, dtype=np.float64)
        return {"mean": {self.presented: np.tile(mean, (len(targets[self.target.name]), 1))}}

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [{"value": row.tolist()} for row in outputs["value"]]

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.outcomes import scatter_figure

        return {"predictions": scatter_figure(evaluation.targets[self.target.name], evaluation.outputs["value"])}
