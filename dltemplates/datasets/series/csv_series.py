"""Series for forecasting: rows ordered by time.

A series is a CSV file with a header, one or more columns of numbers, and perhaps a column of dates. A CSV file is read
as a series instead of a table if `dataset.series.window`, the input rows of a forecast, is set. All columns are inputs;
the columns `dataset.target`, or the only one of numbers, or the one called label, target, class or y, are forecast. The
series is split by time: the first rows train, the last ones test. Known inputs are values of the forecast rows that are
known in advance: parts of their dates, and columns such as a planned price.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from dltemplates.features.calendar import calendar_names, calendar_parts, calendar_values
from dltemplates.settings import DatasetSettings, SeriesSettings

SUNSPOTS = Origin(
    ("series/monthly-sunspots.csv", "sunspots/monthly-sunspots.csv", "monthly-sunspots.csv"),
    urls=(
        "https://raw.githubusercontent.com/jbrownlee/Datasets/7041c0cc3d65519cf5af38b3afa82087a7d80748/"
        "monthly-sunspots.csv",
    ),
    md5="dee19278d812667c0933bfcccbe4d0b2",
)

KNOWN = "known"  # name of the input of known values
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
        series = read_series(table, settings.of_series(), settings.target)
        targets = series.targets
    else:
        series = series_like(table, reference)
        targets = column_names(reference.targets[0])
        settings = settings.model_copy(update={"series": _series_like(settings, reference)})
    _check_targets(targets, series)
    window, horizon, season = window_sizes(settings)
    period, season_note = (season, None) if season is not None else _automatic_season(series, window)
    columns, places = series.columns, tuple(map(series.names.index, targets))
    several = (len(places),) if len(places) > 1 else ()
    forecast = {"columns": tuple(columns[place] for place in places)}
    known = known_input(series, settings)
    inputs = (
        features.Series(
            name="series",
            dtype="float32",
            shape=(window, len(columns)),
            columns=columns,
            fill=settings.of_series().fill,
            repeated=settings.of_series().repeated,
        ),
        *([known] if known else []),
    )
    targets_of_spec = (
        Horizon(name="future", dtype="float32", shape=(horizon, *several), **forecast),
        History(name="past", dtype="float32", shape=(period, *several), **forecast),
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
        times_of(series.dates, len(series.rows)),
        targets=places,
        window_sizes=(window, horizon, period),
        is_dated=series.dates is not None,
        known=known_values(known, series) if known else None,
    )
    notes = filter(None, [season_note])
    warnings = () if reference else (*notes, *_doubts(targets, series, settings), *table.attrs.get(WARNINGS, ()))
    spec = DatasetSpec(
        inputs=inputs, targets=targets_of_spec, sizes={"train": len(source)}, warnings=(*series.filled, *warnings)
    )
    return Dataset(spec, {"train": source})


def known_input(series: Series, settings: DatasetSettings) -> features.Series | None:
    """Return the input of a forecast's known values, (horizon, k); None without known values.

    Raises:
        ValueError: If the parts of dates are to be known and there are no dates, or the window is too short.
    """
    series_settings = settings.of_series()
    names = calendar_names(series_settings.calendar)
    columns = (
        *(column for column in series.columns if column.name in series_settings.known),
        *(Column(name=name, calendar=name) for name in names),
    )
    if not columns:
        return None
    if names and (series.dates is None or series.frequency is None):
        raise ValueError(
            "`dataset.series.calendar` needs a column of evenly spaced dates. Received: "
            f"{', '.join(series_settings.calendar)}, and a series without dates. Name the column, --set "
            "dataset.series.columns.NAME=date; or leave the calendar out, --set dataset.series.calendar=none."
        )
    window, horizon, _ = window_sizes(settings)
    if window < horizon:
        raise ValueError(
            "Known inputs need a window as long as the horizon. Received: window "
            f"{window}, horizon {horizon}. Try --set dataset.series.window={horizon}."
        )
    return features.Series(name=KNOWN, dtype="float32", shape=(horizon, len(columns)), columns=columns)


def known_values(known: features.Series, series: Series, later: pd.DatetimeIndex | None = None) -> np.ndarray:
    """Return the known values of the rows of a series, or of the rows after it.

    Args:
        known: The known input.
        series: The series.
        later: The dates of the rows after the series; None for the rows of the series.

    Returns:
        float32 (rows, k); fewer rows than dates if the file ends before.
    """
    columns = columns_of(known)
    rows, dates = (series.rows, series.dates) if later is None else (series.later, later)
    names = [column.name for column in columns if column.calendar]
    parts = [rows[:, [series.names.index(column.name) for column in columns if not column.calendar]]]
    if names and dates is not None:
        parts.append(calendar_values(dates.to_numpy(), names))
    count = min(map(len, parts)) if parts[0].shape[1] else len(parts[-1])
    return np.concatenate([part[:count] for part in parts if part.shape[1]], axis=1)


def _check_targets(targets: Sequence[str], series: Series) -> None:
    """Raise a `ValueError` unless the columns to forecast are channels that vary."""
    if missing := [name for name in targets if name not in series.names]:
        raise ValueError(
            f"`dataset.target` must be a column of numbers. Received: {', '.join(missing)}. "
            f"There are: {', '.join(series.names)}."
        )
    for name in targets:
        _check_varies(name, series.rows[:, series.names.index(name)])


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


@dataclass(frozen=True)
class NextWindow:
    """The inputs of the forecast that continues a series.

    Attributes:
        window: Its last rows, (1, window, channels).
        known: The known values of the forecast's rows, (1, horizon, k); None if the network takes none.
        dates: The dates of the forecast; None if unknown.
        filled: How gaps were filled, in a line each.
    """

    window: np.ndarray
    known: np.ndarray | None = None
    dates: list[str] | None = None
    filled: tuple[str, ...] = ()


def next_window(path: str | Path, reference: IOSpec, horizon: int) -> NextWindow:
    """Read the last window of a series, to forecast its continuation.

    Args:
        path: A CSV file.
        reference: The contract of the network.
        horizon: Rows to forecast.

    Raises:
        ValueError: If the file is missing, not a CSV, or too short; if known values of the forecast's rows are missing;
            or as in `series_like`.
    """
    if Path(path).suffix != ".csv" or not Path(path).is_file():
        raise ValueError(f"An input must be the CSV file of a series. Received: {path}. Check the path.")
    table = _clean(read_csv(Path(path), option=None, reference=reference).table, reference)
    series = series_like(table, reference)
    first, *others = reference.inputs
    window, _ = first.shape
    if len(series.rows) < window:
        raise ValueError(
            f"A series must have at least the {window} rows of the window. Received: {len(series.rows)} in {path}. "
            "Begin it earlier."
        )
    later = None
    if series.dates is not None and series.frequency:
        later = following(series.dates[-1], series.frequency, horizon)
    known = None
    for value in others:
        assert isinstance(value, features.Series)
        _check_known(path, value, series, horizon, later)
        known = known_values(value, series, later)[None, :horizon]
    dates = date_texts(later, series.frequency) if later is not None and series.frequency else None
    return NextWindow(series.rows[None, -window:], known, dates, series.filled)


def _check_known(
    path: str | Path, known: features.Series, series: Series, horizon: int, dates: pd.DatetimeIndex | None
) -> None:
    """Raise a `ValueError` unless the values of a known input are there for each row of a forecast."""
    names = [column.name for column in columns_of(known) if not column.calendar]
    if names and len(series.later) < horizon:
        raise ValueError(
            f"A forecast needs the next {horizon} values of {', '.join(names)}. Received: {len(series.later)} rows "
            f"after the last value of the other columns in {path}. Add rows with these values, and leave the cells of "
            "the other columns empty."
        )
    if len(names) < len(columns_of(known)) and dates is None:
        raise ValueError(
            f"A forecast with a calendar needs the dates of the series. Received: no column of dates in {path}. Add "
            "it, named as in training."
        )


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


def _doubts(targets: Sequence[str], series: Series, settings: DatasetSettings) -> Iterator[str]:
    """Warn of columns that may be the time instead of data, that are constant, or of numbers of two meanings."""
    yield from series.doubts
    for name, values in zip(series.names, series.rows.T, strict=True):
        if name in (*targets, *settings.of_series().columns):
            continue
        if (values == values[0]).all():
            yield (
                f"column `{name}` is the same in all {len(values)} rows, so that the network learns nothing from it: "
                f"to leave it out, --set dataset.series.columns.{name}=skip"
            )
            continue
        if warning := precision_warning(name, values.astype(np.float64), table="series"):
            yield warning
        if (np.diff(values) > 0).all():
            yield (
                f"column `{name}` rises from row to row, and is used as an input: if it is the time, say "
                f"--set dataset.series.columns.{name}=date, or =skip; if not, =number"
            )


def fit_series(series: features.Series, targets: Sequence[int], rows: np.ndarray) -> features.Series:
    """Fit a series's input: the mean and deviation of each channel over the training rows.

    Args:
        series: The input, whose columns are the channels.
        targets: The channels to forecast.
        rows: The training rows, (n, channels).

    Raises:
        ValueError: If a target does not vary there.
    """
    mean, std, varies = statistics(rows, least=1e-6)  # float32 cannot represent smaller differences
    for target in targets:
        if not varies[target]:
            name = column_names(series)[target]
            check_target(f"`{name}` of the training split", rows[:, target])
            raise ValueError(
                f"The target must vary over the training split. Received: `{name}`, the same in all {len(rows)} rows "
                "of it. Begin the series later, or choose another column: --set dataset.target=NAME."
            )
    for place, column in enumerate(columns_of(series)):
        if column.calendar:  # in [-1, 1] already
            mean[place], std[place] = 0.0, 1.0
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
    """Return the settings of a series as a trained network needs them."""
    (first, *others), (future, past, _) = reference.inputs, reference.targets
    columns = [column for value in others for column in columns_of(value)]
    names = [column.calendar for column in columns if column.calendar]
    update = {
        "window": first.shape[0],
        "horizon": future.shape[0],
        "season_length": past.shape[0],
        "calendar": calendar_parts(names),
        "known": tuple(column.name for column in columns if not column.calendar),
    }
    if isinstance(first, features.Series):
        update |= {"fill": first.fill, "repeated": first.repeated}
    return settings.of_series().model_copy(update=update)
