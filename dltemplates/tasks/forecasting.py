"""Forecasting of one or several columns of a series, compared with naive forecasts that need no network.

A naive forecast repeats the last value, or the values of the last season. Skill is 1 minus the network's error divided
by the naive error (Murphy: "Skill Scores Based on the Mean Square Error", Monthly Weather Review 116, 1988; here with
the absolute error). 1 minus skill is the scaled error of Hyndman, Koehler: "Another look at measures of forecast
accuracy", International Journal of Forecasting 22, 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001, with the
scale from the scored windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dltemplates.datasets.source import Source
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.features import Feature, Series, Time, columns_of
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.regression import Regression
from dltemplates.tasks.scoring.evaluation import Evaluation, ScoreOf
from dltemplates.tasks.scoring.intervals import mean_of
from dltemplates.tasks.task import Arrays

if TYPE_CHECKING:
    import keras

LOSSES = ("mse", "mae")
EPOCH, SECONDS_PER_DAY = np.datetime64("1970-01-01", "s"), 24 * 60 * 60


class Forecasting(Regression):
    """Forecast the next values of one or several columns of a series.

    The network learns `(future - mean) / std` with the training split's statistics; the served model inverts this, so
    `forecast`, float32 (batch, horizon) of one column or (batch, horizon, columns), is in each column's own unit.

    The scores of one column are in its unit; `scaled_mse` and `scaled_mae` are those of the standardized values, as
    in papers on long forecasts. Several columns may have several units, so their first score is `scaled_mae`.
    """

    name = "forecasting"
    has_head = False
    kind = "horizon"
    input_kinds = ("series",)
    max_inputs = 2  # the window, and known values
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
        self.names = tuple(column.name for column in columns_of(self.target)) or ("value",)
        self.is_several = len(self.target.shape) > 1

    @classmethod
    def targets_of(cls, spec: IOSpec) -> tuple[Feature, ...]:
        return spec.targets[:1]

    def assemble(
        self, network: keras.Model, spec: DatasetSpec, *, center: tuple[float, ...] | None = None
    ) -> keras.Model:
        """Join preprocessing and network; see the class.

        The network forecasts the target columns as one vector, ordered (horizon, columns), or each of its input
        channels by itself, (horizon, channels).

        Raises:
            ValueError: If the network forecasts each channel by itself, and there are known inputs.
        """
        series, *known = spec.inputs
        assert isinstance(series, Series)
        by_channel = len(network.output_shape) == 3
        if by_channel and known:
            names = ", ".join(column.name for column in columns_of(known[0]))
            raise ValueError(
                f"A network that forecasts each channel by itself takes no known inputs. Received: {names} for model "
                f"`{network.name}`. Choose another model, such as --set model.name=lstm, or leave them out: --set "
                "dataset.series.calendar=none --set dataset.series.known=none."
            )
        if not (self.subtract_last or by_channel or known or self.is_several):
            return super().assemble(network, spec, center=center)
        import keras

        from dltemplates.tasks.assemble import PREPROCESSING, standardize

        all_names = [column.name for column in columns_of(series)]
        places = [all_names.index(name) for name in self.names]
        window, horizon = series.shape[0], self.target.shape[0]
        inputs = {value.name: keras.Input(value.shape, name=value.name, dtype=value.dtype) for value in spec.inputs}
        x = rows = standardize(series, inputs[series.name])  # (batch, window, channels)
        if self.subtract_last:
            last = keras.layers.Cropping1D((window - 1, 0), dtype="float32")(rows)  # (batch, 1, channels)
            x = keras.layers.Subtract(dtype="float32")([rows, last])
        for value in known:  # row t holds the known values of row t + horizon
            assert isinstance(value, Series)
            later = standardize(value, inputs[value.name], name=f"{PREPROCESSING}_{value.name}")
            later = keras.layers.ZeroPadding1D((window - horizon, 0), dtype="float32")(later)  # (batch, window, k)
            x = keras.layers.Concatenate(dtype="float32")([x, later])
        forecast = network(x)
        if by_channel:
            forecast = _take(forecast, places)
        if tuple(forecast.shape[1:]) != self.target.shape:
            forecast = keras.layers.Reshape(self.target.shape, dtype="float32")(forecast)
        if self.subtract_last and self.is_several:
            forecast = keras.layers.Add(dtype="float32")([forecast, _take(last, places)])  # (batch, horizon, columns)
        elif self.subtract_last:
            forecast = keras.layers.Add(dtype="float32")([forecast, last[:, :, places[0]]])  # (batch, horizon)
        model_inputs = inputs if known else inputs[series.name]
        return keras.Model(model_inputs, forecast, name=network.name)

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        series, *known = spec.inputs
        window, channels = series.shape
        horizon = self.target.shape[0]
        channels += sum(value.shape[-1] for value in known)
        return {
            "input_shape": (window, channels),
            "num_outputs": math.prod(self.target.shape),
            "sequence_length": window,
            "channels": channels,
            "horizon": horizon,
        }

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        sizes = self.model_sizes(spec)
        by_channel = (sizes["horizon"], sizes["channels"])
        return {"": Shapes(sizes["input_shape"], (sizes["num_outputs"],), by_channel)}

    def loss(self):
        import keras

        return keras.losses.MeanAbsoluteError() if self.loss_name == "mae" else keras.losses.MeanSquaredError()

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        """Score forecasts; windows that overlap in time form one unit."""
        future = targets["future"]
        errors = self._errors(outputs["forecast"], future)
        scores: dict[str, float] = {}
        score_of: dict[str, ScoreOf] = {}

        def add(name: str, by_window: np.ndarray, *, root: bool = False) -> None:
            mean = mean_of(by_window)
            scores[name] = float(np.sqrt(by_window.mean()) if root else by_window.mean())
            score_of[name] = (lambda weights: np.sqrt(mean(weights))) if root else mean

        first = errors.scaled_absolute if self.is_several else errors.absolute
        if self.is_several:
            add("scaled_mae", errors.scaled_absolute)
            add("scaled_mse", errors.scaled_square)
        else:
            add("mae", errors.absolute)
            add("rmse", errors.square, root=True)
        by_step = {"network": errors.by_step}
        by_column = {"network": errors.by_column}
        for name, naive_forecast in naive_forecasts(targets).items():
            naive = self._errors(naive_forecast, future)
            naive_first = naive.scaled_absolute if self.is_several else naive.absolute
            by_step[name], by_column[name] = naive.by_step, naive.by_column
            if naive_first.mean() > 0:  # no forecast is better than a naive error of 0
                score = "skill" if name == "last" else f"skill_{name}"
                scores[score] = float(1 - first.mean() / naive_first.mean())
                score_of[score] = _skill(first, naive_first)
        if not self.is_several:
            add("scaled_mse", errors.scaled_square)
            add("scaled_mae", errors.scaled_absolute)
        details: dict[str, Any] = {self._unit("by_step"): {name: steps.tolist() for name, steps in by_step.items()}}
        if self.is_several:
            details["mae_by_column"] = {
                name: dict(zip(self.names, columns.tolist(), strict=True)) for name, columns in by_column.items()
            }
        return Evaluation(
            scores,
            targets,
            outputs,
            details,
            errors=first,
            units=np.arange(len(future)) // (self.inputs[0].shape[0] + future.shape[1]),
            captions=tuple(f"{self._unit()} {error:.3g}" for error in first),
            score_of=score_of,
        )

    def _unit(self, by: str = "") -> str:
        """Return the name of the first score, or of its values by step."""
        return "_".join(filter(None, ["scaled_mae" if self.is_several else "mae", by]))

    def _errors(self, forecast: np.ndarray, future: np.ndarray) -> _Errors:
        """Return the errors of forecasts (n, horizon[, columns])."""
        error = np.abs(forecast.astype(np.float64) - future)
        std = np.array(self.target.std if self.is_several else (self.target.std or (1.0,))[0], np.float64)
        rest = tuple(range(1, error.ndim))
        scaled = error / std
        step_error = scaled if self.is_several else error
        return _Errors(
            absolute=error.mean(axis=rest),
            square=np.square(error).mean(axis=rest),
            scaled_absolute=scaled.mean(axis=rest),
            scaled_square=np.square(scaled).mean(axis=rest),
            by_step=step_error.mean(axis=(0, *rest[1:])),
            by_column=error.mean(axis=(0, 1), keepdims=not self.is_several).reshape(-1),
        )

    def baselines(self, train: Source, targets: Arrays) -> dict[str, Arrays]:
        names = {"last": "last value", "seasonal": "last season"}
        return {names[name]: {self.presented: forecast} for name, forecast in naive_forecasts(targets).items()}

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        if not self.is_several:
            return [{"forecast": row.tolist()} for row in outputs["forecast"]]
        return [{"forecast": dict(zip(self.names, columns.T.tolist(), strict=True))} for columns in outputs["forecast"]]

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.series import columns_figure, forecast_figure, misses_figure, steps_figure

        targets, times = evaluation.targets, evaluation.targets["time"]
        if self.is_dated:  # in days
            times = EPOCH + np.rint(times * SECONDS_PER_DAY).astype("timedelta64[s]")
        shape = (*targets["future"].shape[:2], len(self.names))
        future, forecast = targets["future"].reshape(shape), evaluation.outputs["forecast"].reshape(shape)
        past = targets["past"].reshape(len(future), -1, len(self.names))
        errors = np.abs(forecast - future).mean(axis=(1, 2)) if evaluation.errors is None else evaluation.errors
        by_step = {name: np.array(steps) for name, steps in evaluation.details[self._unit("by_step")].items()}
        unit = "standardized values" if self.is_several else self.names[0]
        figures = {
            "forecast": forecast_figure(times, future[..., 0], forecast[..., 0], name=self.names[0]),
            "misses": misses_figure(past, future, forecast, errors, names=self.names),
            "error_by_step": steps_figure(by_step, name=unit),
        }
        if self.is_several:
            by_column = {
                name: np.array(list(columns.values())) / np.array(self.target.std)
                for name, columns in evaluation.details["mae_by_column"].items()
            }
            figures["error_by_column"] = columns_figure(by_column, names=self.names)
        return figures


@dataclass(frozen=True)
class _Errors:
    """Errors of forecasts.

    Attributes:
        absolute: Mean absolute error of each window, (n,), in the unit of the column.
        square: Mean squared error of each window, (n,), likewise.
        scaled_absolute: Mean absolute error of each window's standardized values, (n,).
        scaled_square: Mean squared error of each window's standardized values, (n,).
        by_step: Mean absolute error of each step ahead, (horizon,); of several columns, of their standardized values.
        by_column: Mean absolute error of each column in its unit, (columns,).
    """

    absolute: np.ndarray
    square: np.ndarray
    scaled_absolute: np.ndarray
    scaled_square: np.ndarray
    by_step: np.ndarray
    by_column: np.ndarray


def _take(rows: Any, places: Sequence[int]) -> Any:
    """Return some channels of a Keras tensor (batch, rows, channels)."""
    import keras

    if list(places) == list(range(rows.shape[-1])):
        return rows
    channels = [rows[:, :, place : place + 1] for place in places]
    return keras.layers.Concatenate(dtype="float32")(channels) if len(channels) > 1 else channels[0]


def _skill(errors: np.ndarray, naive_errors: np.ndarray) -> ScoreOf:
    """Return the function from weights (draws, n) to the skills (draws,)."""

    def skill(weights: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - (weights @ errors) / (weights @ naive_errors)

    return skill


def naive_forecasts(targets: Arrays) -> dict[str, np.ndarray]:
    """Return the forecasts that need no network.

    Args:
        targets: `future` (n, horizon[, columns]), and `past` (n, period[, columns]), the values before it.

    Returns:
        Each (n, horizon[, columns]): `last` repeats the last value; `seasonal`, for a season longer than one row,
        repeats the last season.
    """
    past, horizon = targets["past"], targets["future"].shape[1]
    period = past.shape[1]
    forecasts = {"last": np.repeat(past[:, -1:], horizon, axis=1)}
    return forecasts | ({"seasonal": past[:, np.arange(horizon) % period]} if period > 1 else {})
