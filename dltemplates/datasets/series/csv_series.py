"""Series for forecasting: rows ordered by time.

A series is a CSV file with a header, one or more columns of numbers, and perhaps a column of dates. A CSV file is read
as a series instead of a table if `dataset.series.window`, the input rows of a forecast, is set. All columns are inputs;
the column `dataset.target`, or the only one of numbers, or the one called label, target, class or y, is forecast. The
series is split by time: the first rows train, the last ones test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dltemplates import features
from dltemplates.datasets.features import statistics
from dltemplates.datasets.precision import check_target, precision_warning
from dltemplates.datasets.series.table import OPTION, Series, column_names, read_series, series_like
from dltemplates.datasets.series.times import date_texts, following, season_of, times_of
from dltemplates.datasets.series.windows import WindowSource
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.datasets.tables.clean_names import WARNINGS, clean_frames, spelled_as
from dltemplates.datasets.tables.column_kinds import ColumnKind, point_doubt
from dltemplates.datasets.tables.csv_file import read_csv
from dltemplates.features import Column, History, Horizon, Time, columns_of
from dltemplates.settings import DatasetSettings, SeriesSettings

SUNSPOTS = Origin(
    ("series/monthly-sunspots.csv", "sunspots/monthly-sunspots.csv", "monthly-sunspots.csv"),
    urls=(
        "https://raw.githubusercontent.com/jbrownlee/Datasets/7041c0cc3d65519cf5af38b3afa82087a7d80748/"
        "monthly-sunspots.csv",
    ),
    md5="dee19278d812667c0933bfcccbe4d0b2",
)

MAX_SEASON_SHARE = 0.1  # of the rows, for a season that follows from the dates


def csv_series(path: Path, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Load the series in a CSV file.

    Args:
        path: The file.
        settings: The window, the horizon, the target, the kinds of columns.
        reference: Spec or contract of a trained network, whose columns and window sizes are reused.

    Raises:
        ValueError: If the series breaks a rule; names it.
    """
    if not path.is_file():
        raise ValueError(
            f"A series must be one CSV file, to be split by time. Received: {path}. "
            "Name the file, or leave dataset.series out for a table."
        )
    file = read_csv(path, settings.of_series(), option="dataset.series", reference=reference)
    table = _clean(file.table, reference)
    dataset = series_dataset(table, settings, reference=reference)
    channels = columns_of(dataset.spec.inputs[0])
    doubts = () if reference else _point_doubts(table, file.separator, channels, spelled_as(map(str, table), settings))
    update = {"warnings": (*dataset.spec.warnings, *doubts, *file.remarks), "encoding": file.encoding}
    return Dataset(dataset.spec.model_copy(update=update), dataset.splits)


def sunspots(settings: DatasetSettings) -> Dataset:
    """Load the monthly mean number of sunspots from 1749 to 1983, counted in Zurich: 2,820 months."""
    return series_dataset(read_csv(locate("sunspots", SUNSPOTS)).table, settings)


def series_dataset(table: pd.DataFrame, settings: DatasetSettings, *, reference: IOSpec | None = None) -> Dataset:
    """Build a dataset from the windows of a series.

    Args:
        table: The series, one row per time step.
        settings: As in `csv_series`.
        reference: As in `csv_series`.

    Raises:
        ValueError: As in `csv_series`.
    """
    settings = spelled_as(map(str, table), settings)
    if reference is None:
        series = read_series(table, settings.of_series().columns, settings.target)
        target = series.target
    else:
        series = series_like(table, reference)
        (target,) = column_names(reference.targets[0])
        settings = settings.model_copy(update={"series": _series_like(settings, reference)})
    if target not in series.names:
        raise ValueError(
            f"`dataset.target` must be a column of numbers. Received: {target}. There are: {', '.join(series.names)}."
        )
    place = series.names.index(target)
    _check_varies(target, series.rows[:, place])
    window, horizon, season = window_sizes(settings)
    period, season_note = (season, None) if season is not None else _automatic_season(series, window)
    times = times_of(series.dates, len(series.rows))
    columns = series.columns
    inputs = (features.Series(name="series", dtype="float32", shape=(window, len(columns)), columns=columns),)
    targets = (
        Horizon(name="future", dtype="float32", shape=(horizon,), columns=(columns[place],)),
        History(name="past", dtype="float32", shape=(period,), columns=(columns[place],)),
        Time(
            name="time",
            dtype="float64",
            shape=(),
            columns=(series.dated,) if series.dated else None,
            frequency=series.frequency,
        ),
    )
    source = WindowSource(
        series.rows,
        times,
        target=place,
        window_sizes=(window, horizon, period),
        is_dated=series.dates is not None,
    )
    notes = filter(None, [season_note])
    warnings = () if reference else (*notes, *_doubts(target, series, settings), *table.attrs.get(WARNINGS, ()))
    spec = DatasetSpec(inputs=inputs, targets=targets, sizes={"train": len(source)}, warnings=warnings)
    return Dataset(spec, {"train": source})


def _automatic_season(series: Series, window: int) -> tuple[int, str | None]:
    """Return the rows of a season that follow from the dates, and a note if it would cost too many windows.

    Each example then begins a season earlier, only for the comparison with the last season.
    """
    rows = len(series.rows)
    season = season_of(series.frequency, rows)
    if season - window <= rows * MAX_SEASON_SHARE:
        return season, None
    return 1, (
        f"forecasts are not compared with the last season, {season} rows: that would take {season - window} of {rows} "
        f"rows from the examples; to compare, add --set dataset.series.season_length={season}"
    )


def next_window(path: str | Path, reference: IOSpec, horizon: int) -> tuple[np.ndarray, list[str] | None]:
    """Read the last window of a series, to forecast its continuation.

    Args:
        path: A CSV file.
        reference: The contract of the network.
        horizon: Rows to forecast.

    Returns:
        The last rows, (1, window, channels), and the dates of the forecast; None for unknown dates.

    Raises:
        ValueError: If the file is missing, not a CSV, or too short; or as in `series_like`.
    """
    if Path(path).suffix != ".csv" or not Path(path).is_file():
        raise ValueError(f"An input must be the CSV file of a series. Received: {path}. Check the path.")
    table = _clean(read_csv(Path(path), option=None, reference=reference).table, reference)
    series = series_like(table, reference)
    window, _ = reference.inputs[0].shape
    if len(series.rows) < window:
        raise ValueError(
            f"A series must have at least the {window} rows of the window. Received: {len(series.rows)} in {path}. "
            "Begin it earlier."
        )
    dates = None
    if series.dates is not None and series.frequency:
        dates = date_texts(following(series.dates[-1], series.frequency, horizon), series.frequency)
    return series.rows[None, -window:], dates


def _clean(table: pd.DataFrame, reference: IOSpec | None) -> pd.DataFrame:
    return clean_frames({"train": table}, reference)["train"]


def _point_doubts(
    table: pd.DataFrame, separator: str, channels: Sequence[Column], settings: DatasetSettings
) -> Iterator[str]:
    """Warn of plain numbers whose points may separate thousands."""
    kinds = [ColumnKind(column.kind, column.format) for column in channels]
    for column in channels:
        if column.format is None and column.name not in settings.of_series().columns:
            values = table[column.name]
            if doubt := point_doubt(column.name, values, kinds, [separator], option=OPTION):
                yield doubt


def _doubts(target: str, series: Series, settings: DatasetSettings) -> Iterator[str]:
    """Warn of columns that may be the time instead of data, or of numbers of two meanings."""
    yield from series.doubts
    for name, values in zip(series.names, series.rows.T, strict=True):
        if name in (target, *settings.of_series().columns):
            continue
        if warning := precision_warning(name, values.astype(np.float64), table="series"):
            yield warning
        if (np.diff(values) > 0).all():
            yield (
                f"column `{name}` rises from row to row, and is used as an input: if it is the time, say "
                f"--set dataset.series.columns.{name}=date, or =skip; if not, =number"
            )


def fit_series(series: features.Series, target: int, rows: np.ndarray) -> features.Series:
    """Fit a series's input: the mean and deviation of each channel over the training rows.

    Args:
        series: The input, whose columns are the channels.
        target: The channel to forecast.
        rows: The training rows, (n, channels).

    Raises:
        ValueError: If the target does not vary there.
    """
    mean, std, varies = statistics(rows, least=1e-6)  # float32 cannot represent smaller differences
    if not varies[target]:
        check_target(f"`{column_names(series)[target]}` of the training split", rows[:, target])
        raise ValueError(
            f"The target must vary over the training split. Received: `{column_names(series)[target]}`, "
            f"the same in all {len(rows)} rows of it. Begin the series later, or choose another column: "
            "--set dataset.target=NAME."
        )
    return series.model_copy(update={"mean": tuple(mean.tolist()), "std": tuple(std.tolist())})


def window_sizes(settings: DatasetSettings) -> tuple[int, int, int | None]:
    """Return the window, the horizon and the length of a season, in rows; None for the season of the dates.

    Raises:
        ValueError: If `dataset.series.window` is not set.
    """
    series_settings = settings.of_series()
    if series_settings.window is None:
        raise ValueError(
            f"A series needs `dataset.series.window`, the input rows of a forecast. Received: none, for "
            f"{settings.name}. Try --set dataset.series.window=24."
        )
    return series_settings.window, series_settings.horizon, series_settings.season_length


def _check_varies(target: str, values: np.ndarray) -> None:
    if (values == values[0]).all():
        raise ValueError(
            f"The target must vary. Received: `{target}`, the same in all {len(values)} rows. "
            "Choose another column: --set dataset.target=NAME."
        )


def _series_like(settings: DatasetSettings, reference: IOSpec) -> SeriesSettings:
    future, past, _ = reference.targets
    update = {"window": reference.inputs[0].shape[0], "horizon": future.shape[0], "season_length": past.shape[0]}
    return settings.of_series().model_copy(update=update)
