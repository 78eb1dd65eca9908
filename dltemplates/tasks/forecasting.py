"""Forecasting: mean absolute error, compared with naive forecasts that need no network.

A naive forecast repeats the last value, or the values of the last season. Skill is 1 minus the network's error divided
by the naive error (Murphy: "Skill Scores Based on the Mean Square Error", Monthly Weather Review 116, 1988; here with
the absolute error). 1 minus skill is the scaled error of Hyndman, Koehler: "Another look at measures of forecast
accuracy", International Journal of Forecasting 22, 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, with the
scale from the scored windows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.features import Feature, Series, Time, columns_of
from dltemplates.tasks.regression import Regression
from dltemplates.tasks.scoring.evaluation import Evaluation, ScoreOf
from dltemplates.tasks.scoring.intervals import mean_of
from dltemplates.tasks.task import Arrays

if TYPE_CHECKING:
    import keras

LOSSES = ("mse", "mae")
EPOCH, SECONDS_PER_DAY = np.datetime64("1970-01-01", "s"), 24 * 60 * 60


class Forecasting(Regression):
    """Forecast the next values of a column of a series.

    The network learns `(future - mean) / std` with the training split's statistics; the served model inverts this, so
    `forecast` (batch, horizon), float32, is in the column's own unit.
    """

    name = "forecasting"
    has_head = False
    kind = "horizon"
    input_kinds = ("series",)
    target_kinds = ("horizon", "history", "time")
    presented = "forecast"
    linear_baseline = "linear autoregression"

    def __init__(self, spec: IOSpec, *, loss: Literal["mse", "mae"] = "mse", subtract_last: bool = False):
        """Create the task.

        Args:
            spec: The data: a series whose targets are the horizon, the history, and the time.
            loss: `mse`, the squared error, or `mae`, the absolute error.
            subtract_last: Whether to subtract the window's last row from its inputs and forecast the change: for a
                series with a trend (Zeng et al.: "Are Transformers Effective for Time Series Forecasting?", AAAI 2023,
                https://arxiv.org/abs/2205.13504, section 4).

        Raises:
            ValueError: If an option is wrong.
        """
        if loss not in LOSSES:
            raise ValueError(f"`loss` must be one of {', '.join(LOSSES)}. Received: {loss!r}. Leave it out.")
        if not isinstance(subtract_last, bool):
            raise ValueError(f"`subtract_last` must be true or false. Received: {subtract_last!r}. Leave it out.")
        super().__init__(spec)
        self.loss_name = loss
        self.subtract_last = subtract_last
        (time,) = (value for value in spec.targets if isinstance(value, Time))
        self.is_dated = time.frequency is not None

    @classmethod
    def targets_of(cls, spec: IOSpec) -> tuple[Feature, ...]:
        return spec.targets[:1]

    def assemble(
        self, network: keras.Model, spec: DatasetSpec, *, center: tuple[float, ...] | None = None
    ) -> keras.Model:
        if not self.subtract_last:
            return super().assemble(network, spec, center=center)
        import keras

        from dltemplates.tasks.assemble import standardize

        (series,) = spec.inputs
        assert isinstance(series, Series)
        channel = columns_of(series).index(columns_of(self.target)[0])
        inputs = keras.Input(series.shape, name=series.name, dtype=series.dtype)
        rows = standardize(series, inputs)  # (batch, window, channels)
        last = keras.layers.Cropping1D((series.shape[0] - 1, 0), dtype="float32")(rows)  # (batch, 1, channels)
        change = network(keras.layers.Subtract(dtype="float32")([rows, last]))  # (batch, horizon)
        forecast = keras.layers.Add(dtype="float32")([change, last[:, :, channel]])
        return keras.Model(inputs, forecast, name=network.name)

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        window, channels = spec.inputs[0].shape
        (horizon,) = self.target.shape
        return {
            "input_shape": (window, channels),
            "num_outputs": horizon,
            "sequence_length": window,
            "channels": channels,
            "horizon": horizon,
        }

    def loss(self):
        import keras

        return keras.losses.MeanAbsoluteError() if self.loss_name == "mae" else keras.losses.MeanSquaredError()

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        """Score forecasts; windows that overlap in time form one unit."""
        forecast, future = outputs["forecast"].astype(np.float64), targets["future"]
        naive = naive_forecasts(targets)
        errors = np.abs(forecast - future).mean(axis=1)
        mae = float(np.abs(forecast - future).mean())
        scores = {"mae": mae, "rmse": float(np.sqrt(np.square(forecast - future).mean()))}
        mean_square = mean_of(np.square(forecast - future).mean(axis=1))
        score_of: dict[str, ScoreOf] = {"mae": mean_of(errors), "rmse": lambda weights: np.sqrt(mean_square(weights))}
        for name, naive_forecast in naive.items():
            all_errors = np.abs(naive_forecast.astype(np.float64) - future)
            naive_errors, error = all_errors.mean(axis=1), float(all_errors.mean())
            if error > 0:  # no forecast is better than a naive error of 0
                score = "skill" if name == "last" else f"skill_{name}"
                scores[score] = 1 - mae / error
                score_of[score] = _skill(errors, naive_errors)
        by_step = {name: self._by_step(array, future) for name, array in {"network": forecast, **naive}.items()}
        return Evaluation(
            scores,
            targets,
            outputs,
            {"mae_by_step": by_step},
            errors=errors,
            units=np.arange(len(future)) // (self.inputs[0].shape[0] + future.shape[1]),
            captions=tuple(f"mae {error:.3g}" for error in errors),
            score_of=score_of,
        )

    def baselines(self, train: Source, targets: Arrays) -> dict[str, Arrays]:
        names = {"last": "last value", "seasonal": "last season"}
        return {names[name]: {self.presented: forecast} for name, forecast in naive_forecasts(targets).items()}

    @staticmethod
    def _by_step(forecast: np.ndarray, future: np.ndarray) -> list[float]:
        """Return the mean absolute error of each step ahead."""
        return np.abs(forecast - future).mean(axis=0).tolist()

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [{"forecast": row.tolist()} for row in outputs["forecast"]]

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.series import forecast_figure, steps_figure

        column = next((column.name for column in columns_of(self.target)), "value")
        targets, times = evaluation.targets, evaluation.targets["time"]
        if self.is_dated:  # in days
            times = EPOCH + np.rint(times * SECONDS_PER_DAY).astype("timedelta64[s]")
        by_step = {name: np.array(errors) for name, errors in evaluation.details["mae_by_step"].items()}
        return {
            "forecast": forecast_figure(times, targets["future"], evaluation.outputs["forecast"], name=column),
            "error_by_step": steps_figure(by_step, name=column),
        }


def _skill(errors: np.ndarray, naive_errors: np.ndarray) -> ScoreOf:
    """Return the function from weights (draws, n) to the skills (draws,)."""

    def skill(weights: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - (weights @ errors) / (weights @ naive_errors)

    return skill


def naive_forecasts(targets: Arrays) -> dict[str, np.ndarray]:
    """Return the forecasts that need no network.

    Args:
        targets: `future` (n, horizon), and `past` (n, period), the values before it.

    Returns:
        Each (n, horizon): `last` repeats the last value; `seasonal`, for a season longer than one row, repeats the
        last season.
    """
    past, horizon = targets["past"], targets["future"].shape[1]
    period = past.shape[1]
    forecasts = {"last": np.repeat(past[:, -1:], horizon, axis=1)}
    return forecasts | ({"seasonal": past[:, np.arange(horizon) % period]} if period > 1 else {})
