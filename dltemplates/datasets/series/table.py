"""Reading a table as a series: its channels and its dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dltemplates.datasets.features import MAX_FLOAT32, fits_float32
from dltemplates.datasets.precision import check_target, offset_of
from dltemplates.datasets.series.times import frequency_of, parse_dates
from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.tables.column_kinds import ColumnKind, detect
from dltemplates.datasets.tables.columns import words_to_missing
from dltemplates.datasets.tables.dates import MONTH, format_of, is_dates
from dltemplates.datasets.tables.number_forms import parse_numbers
from dltemplates.datasets.target_names import usual_target
from dltemplates.features import Column, Feature, Time, columns_of

OPTION = "dataset.series.columns"


@dataclass(frozen=True)
class Series:
    """A series and its dates.

    Attributes:
        columns: The channels' columns.
        rows: float32 (rows, channels), less the columns' offsets.
        dated: The column of dates, with their format; None without dates.
        dates: The date of each row; None if unknown.
        frequency: Time between rows, as pandas names it.
        target: The channel to forecast; empty for a trained network, which knows it.
        doubts: Numbers of two meanings, each with the setting that chooses one.
    """

    columns: tuple[Column, ...]
    rows: np.ndarray
    dated: Column | None = None
    dates: pd.DatetimeIndex | None = None
    frequency: str | None = None
    target: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(column.name for column in self.columns)


def read_series(table: pd.DataFrame, kinds: Mapping[str, str], target: str | None = None) -> Series:
    """Read a table as a series.

    Args:
        table: The table.
        kinds: Kinds of columns where the detected kind is wrong: `number`, `date`, or `skip`.
        target: The channel to forecast, which keeps its unit; by default the only one, or one with a usual name.

    Raises:
        ValueError: If there is no column of numbers, a number is missing or invalid, float32 cannot hold the target's
            differences, or the dates are not evenly spaced.
    """
    for name, kind in kinds.items():
        if name not in table or kind == "category":
            raise ValueError(
                "`dataset.series.columns` of a series must map columns to number, date or skip. Received: "
                f"{name}={kind}. There are: {', '.join(map(str, table.columns))}."
            )
    found = {str(name): _detect(str(name), table[name], kinds.get(str(name))) for name in table}
    dated = [name for name, kind in found.items() if kind.kind == "date"]
    dated.sort(key=lambda name: name not in kinds)  # a column that the user named comes first
    channels = [Column(name=name, format=kind.format) for name, kind in found.items() if kind.kind == "number"]
    if not channels:
        raise ValueError(
            f"A series must have a column of numbers. Received: {', '.join(map(str, table.columns))}. Add one."
        )
    column = Column(name=dated[0], kind="date", format=found[dated[0]].format) if dated else None
    doubts = tuple(kind.doubt for kind in found.values() if kind.kind == "number" and kind.doubt)
    numbers = {channel.name: _numbers(channel, table[channel.name]) for channel in channels}
    target = target or _only_or_usual([channel.name for channel in channels])
    if target in numbers:
        check_target(f"`{target}`", numbers[target])
    offsets = {name: 0.0 if name == target else offset_of(values) for name, values in numbers.items()}
    channels = [channel.model_copy(update={"offset": offsets[channel.name]}) for channel in channels]
    return replace(_series(table, channels, numbers, column, None), target=target, doubts=doubts)


def _only_or_usual(names: list[str]) -> str:
    return names[0] if len(names) == 1 else usual_target(names, data="series")


def _detect(name: str, values: pd.Series, setting: str | None) -> ColumnKind:
    """Return the kind of a column; text that is neither a date nor a number counts as a number, and is refused.

    Raises:
        ValueError: If it holds dates of two meanings.
    """
    if setting is None and is_dates(words_to_missing(values), MONTH):
        return ColumnKind("date")
    found = detect(name, values, values, setting, option=OPTION)
    if found.kind != "category":
        return found
    known = format_of(name, values)
    return ColumnKind("date", known) if known else ColumnKind("number")


def series_like(table: pd.DataFrame, reference: IOSpec) -> Series:
    """Read a table with the columns of a trained network.

    Args:
        table: The table; other columns are ignored.
        reference: Spec or contract of the network.

    Raises:
        ValueError: As in `read_series`; or if a column is missing, or the dates are spaced unlike those of training.
    """
    columns = columns_of(reference.inputs[0])
    names = column_names(reference.inputs[0])
    if missing := [name for name in names if name not in table]:
        raise ValueError(
            f"A series must have the network's input columns. Received: none called {', '.join(missing)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )
    numbers = {column.name: _numbers(column, table[column.name]) for column in columns}
    time = next((value for value in reference.targets if isinstance(value, Time)), None)
    if time is None or time.frequency is None:
        return _series(table, columns, numbers, None, None)
    if time.columns:
        dated = [column for column in time.columns if column.name in table]
    else:
        found = [str(name) for name in table if name not in names and is_dates(table[name], MONTH)]
        dated = [_date_column(name, table) for name in found]
    return _series(table, columns, numbers, dated[0] if dated else None, time.frequency)


def column_names(value: Feature) -> tuple[str, ...]:
    """Return the names of a feature's columns."""
    return tuple(column.name for column in columns_of(value))


def _date_column(name: str, table: pd.DataFrame) -> Column:
    return Column(name=name, kind="date", format=format_of(name, table[name]))


def _series(
    table: pd.DataFrame,
    columns: Sequence[Column],
    numbers: Mapping[str, np.ndarray],
    dated: Column | None,
    frequency: str | None,
) -> Series:
    rows = np.stack([numbers[column.name] - column.offset for column in columns], axis=1).astype(np.float32)
    if dated is None:
        return Series(tuple(columns), rows)
    dates = parse_dates(dated.name, table[dated.name], dated.format)
    return Series(tuple(columns), rows, dated, dates, frequency_of(dated.name, dates, frequency))


def _numbers(column: Column, values: pd.Series) -> np.ndarray:
    """Convert a column to float64 (rows,)."""
    name = column.name
    numbers = parse_numbers(values, column.format).to_numpy(np.float64)
    wrong = ~fits_float32(numbers)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = values.iloc[row]
        received = f"nothing in row {row + 1}" if pd.isna(found) else f"{found} in row {row + 1}"
        count = f", and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
        raise ValueError(
            f"A series must hold a finite number up to {MAX_FLOAT32:.1e} in every row"
            f"{f', like {column.format}' if column.format else ''}. Received: {received} of "
            f"`{name}`{count}. Fill it in, or leave the column out: --set dataset.series.columns.{name}=skip; or if it "
            "is dates, =date."
        )
    return numbers
