"""Reading a table as a series: its channels, its dates, and its rows without gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dltemplates.datasets.features import MAX_FLOAT32, fits_float32
from dltemplates.datasets.precision import check_target, offset_of
from dltemplates.datasets.series.regular import (
    Rules,
    fill_cells,
    frequency_with_gaps,
    insert_missing,
    merge_repeated,
)
from dltemplates.datasets.series.times import frequency_of, oddest_dates, parse_dates
from dltemplates.datasets.spec import IOSpec
from dltemplates.datasets.tables.column_kinds import ColumnKind, detect
from dltemplates.datasets.tables.columns import words_to_missing
from dltemplates.datasets.tables.dates import MONTH, format_of, is_dates
from dltemplates.datasets.tables.number_forms import parse_numbers
from dltemplates.datasets.target_names import MAX_COLUMNS, usual_target
from dltemplates.features import Column, Feature, Time, columns_of
from dltemplates.features import Series as SeriesFeature
from dltemplates.settings import ALL_COLUMNS, SeriesSettings

OPTION = "dataset.series.columns"
NAME_OF_DATA = r"\s*([-+]?\d[\d.,]*|\d{4}-\d{1,2}(-\d{1,2}.*)?)\s*"  # a number or a date


@dataclass(frozen=True)
class Series:
    """A series and its dates, without gaps.

    Attributes:
        columns: The channels' columns.
        rows: float32 (rows, channels), less the columns' offsets.
        later: The rows after the last value of a channel that is not known in advance, float32 (later rows, channels).
        dated: The column of dates, with their format; None without dates.
        dates: The date of each row; None if unknown.
        frequency: Time between rows, as pandas names it.
        targets: The channels to forecast; empty for a trained network, which knows them.
        doubts: Numbers of two meanings, each with the setting that chooses one.
        filled: How gaps and repeated dates were filled, in a line each.
    """

    columns: tuple[Column, ...]
    rows: np.ndarray
    later: np.ndarray
    dated: Column | None = None
    dates: pd.DatetimeIndex | None = None
    frequency: str | None = None
    targets: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(column.name for column in self.columns)


def read_series(table: pd.DataFrame, settings: SeriesSettings, target: str | tuple[str, ...] | None = None) -> Series:
    """Read a table as a series.

    Args:
        table: The table.
        settings: The kinds of columns where the detected kind is wrong: `number`, `date`, or `skip`; the rules for
            gaps; and the columns whose future is known.
        target: The channels to forecast, which keep their unit; `*` for all whose future is not known; by default the
            only one, or one with a usual name.

    Raises:
        ValueError: If there is no column of numbers, a number is missing or invalid, float32 cannot hold a target's
            differences, or the dates are not evenly spaced.
    """
    kinds = settings.columns
    for name, kind in kinds.items():
        if name not in table or kind == "category":
            raise ValueError(
                "`dataset.series.columns` of a series must map columns to number, date or skip. Received: "
                f"{name}={kind}. There are: {', '.join(map(str, table.columns))}."
            )
    _check_header(table)
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
    targets = _targets(target, list(numbers), settings.known)
    for name in targets:
        if name in numbers:
            check_target(f"`{name}`", numbers[name][~np.isnan(numbers[name])])
    offsets = {name: 0.0 if name in targets else offset_of(values) for name, values in numbers.items()}
    channels = [channel.model_copy(update={"offset": offsets[channel.name]}) for channel in channels]
    rules = Rules(settings.fill, settings.repeated)
    series = _series(table, channels, numbers, column, None, known=settings.known, rules=rules)
    return replace(series, targets=targets, doubts=doubts)


def _targets(target: str | tuple[str, ...] | None, names: list[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to forecast, and check the known ones.

    Raises:
        ValueError: If a column does not exist, or is to be forecast and known.
    """
    if missing := [name for name in known if name not in names]:
        raise ValueError(
            f"`dataset.series.known` must name columns of numbers. Received: {', '.join(missing)}. There are: "
            f"{', '.join(names[:MAX_COLUMNS])}."
        )
    others = [name for name in names if name not in known]
    if target == ALL_COLUMNS:
        targets = tuple(others)
    elif target is None:
        targets = (_only_or_usual(others or names),)
    else:
        targets = (target,) if isinstance(target, str) else target
    if not others or (both := [name for name in targets if name in known]):
        received = ", ".join(both) if others else "all columns"
        raise ValueError(
            f"A column is known or forecast, not both. Received: {received} in `dataset.series.known`. Remove "
            f"{'it' if others else 'one'} there."
        )
    return targets


def _only_or_usual(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    try:
        return usual_target(names, data="series")
    except ValueError as error:
        raise ValueError(f"{error}; or all of them, --set 'dataset.target=*'") from None


def _check_header(table: pd.DataFrame) -> None:
    """Raise a `ValueError` if the names of the columns are numbers and dates: the first row of a series."""
    names = pd.Series(list(map(str, table)), dtype=object)
    if names.str.fullmatch(NAME_OF_DATA).all():
        example = ",".join(["date", "value", *(f"value{place}" for place in range(2, len(names)))][-len(names) :])
        raise ValueError(
            f"A series must begin with the names of its columns. Received: {', '.join(names[:3])} in the first row, "
            f"which look like data. Write the names above them, such as {example}."
        )


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
    first = reference.inputs[0]
    columns = columns_of(first)
    names = column_names(first)
    if missing := [name for name in names if name not in table]:
        raise ValueError(
            f"A series must have the network's input columns. Received: none called {', '.join(missing)}. "
            f"There are: {', '.join(map(str, table.columns))}."
        )
    numbers = {column.name: _numbers(column, table[column.name]) for column in columns}
    rules = Rules(are_settings=False)
    if isinstance(first, SeriesFeature):
        rules = replace(rules, fill=first.fill, repeated=first.repeated)
    known = [column.name for value in reference.inputs[1:] for column in columns_of(value) if not column.calendar]
    time = next((value for value in reference.targets if isinstance(value, Time)), None)
    if time is None or time.frequency is None:
        return _series(table, columns, numbers, None, None, known=known, rules=rules)
    if time.columns:
        dated = [column for column in time.columns if column.name in table]
    else:
        found = [str(name) for name in table if name not in names and is_dates(table[name], MONTH)]
        dated = [_date_column(name, table) for name in found]
    return _series(table, columns, numbers, dated[0] if dated else None, time.frequency, known=known, rules=rules)


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
    *,
    known: Sequence[str],
    rules: Rules,
) -> Series:
    """Build a series from its numbers, with NaN for empty cells, and fill its gaps.

    Args:
        table: The table.
        columns: The channels' columns.
        numbers: The channels, float64 (rows,) each.
        dated: The column of dates; None without dates.
        frequency: The required time between rows; None to find it.
        known: The channels whose future is known.
        rules: The rules for gaps.

    Raises:
        ValueError: If it has gaps or repeated dates without a rule for them.
    """
    values = np.stack([numbers[column.name] for column in columns], axis=1)  # (rows, channels)
    is_known = np.array([column.name in known for column in columns])
    if rules.fill == "none":
        _check_complete(table, values, columns, is_known, rules)
    dates: pd.DatetimeIndex | None = None
    notes = [] if rules.fill == "none" else _empty_cells_note(values, columns, is_known, rules)
    if dated is not None:
        dates = parse_dates(dated.name, table[dated.name], dated.format)
        values, dates, merged = merge_repeated(values, dates, dated.name, rules)
        notes = [*notes, *merged]
    if dated is not None and dates is not None:
        frequency = frequency or _frequency_of(dates, dated.name)
        if frequency is not None:
            values, dates, inserted = insert_missing(values, dates, frequency, dated.name, rules)
            notes = [*notes, *inserted]
    end = _end(values, is_known)
    if rules.fill != "none":
        values = fill_cells(values, columns, rules)
        start = int(np.argmax(~np.isnan(values).any(axis=1)))
        values, end = values[start:], end - start
        dates = None if dates is None else dates[start:]
        if start:
            notes = [*notes, f"the first {start} row{'s' if start > 1 else ''} of the series, not complete: left out"]
    values = (values - np.array([column.offset for column in columns])).astype(np.float32)
    return Series(
        tuple(columns),
        rows=values[:end],
        later=values[end:],
        dated=dated,
        dates=None if dates is None else dates[:end],
        frequency=frequency if dated is not None else None,
        filled=tuple(notes),
    )


def _frequency_of(dates: pd.DatetimeIndex, name: str) -> str | None:
    """Return the time between the rows of a series, which may have gaps; None for fewer than three rows.

    Raises:
        ValueError: If there is none.
    """
    frequency = frequency_of(dates) or frequency_with_gaps(dates)
    if frequency is None and len(dates) > 2:
        raise ValueError(
            f"The dates of a series must be evenly spaced. Received: {oddest_dates(dates)} in `{name}`. Correct the "
            f"dates, or assume evenly spaced rows: --set {OPTION}.{name}=skip."
        )
    return frequency


def _end(values: np.ndarray, is_known: np.ndarray) -> int:
    """Return the number of rows up to the last value of a channel that is not known in advance."""
    if not is_known.any():
        return len(values)
    has_value = ~np.isnan(values[:, ~is_known]).all(axis=1)
    return len(values) - int(np.argmax(has_value[::-1])) if has_value.any() else 0


def _empty(values: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """Return which cells (rows, channels) are empty and should not be: after the end, only the known ones."""
    empty = np.isnan(values)
    empty[_end(values, is_known) :, ~is_known] = False
    return empty


def _empty_cells_note(values: np.ndarray, columns: Sequence[Column], is_known: np.ndarray, rules: Rules) -> list[str]:
    """Say how many empty cells are filled; nothing if there are none."""
    empty = _empty(values, is_known)
    if not empty.any():
        return []
    row, place = np.argwhere(empty)[0]
    count = int(empty.sum())
    return [
        f"{count} empty cell{'s' if count > 1 else ''}, the first in row {row + 1} of `{columns[place].name}`: "
        f"filled by dataset.series.fill={rules.fill}"
    ]


def _check_complete(
    table: pd.DataFrame, values: np.ndarray, columns: Sequence[Column], is_known: np.ndarray, rules: Rules
) -> None:
    """Raise a `ValueError` if a cell is empty."""
    empty = _empty(values, is_known)
    if not empty.any():
        return
    place = int(np.argmax(empty.any(axis=0)))
    row, name = int(np.argmax(empty[:, place])), columns[place].name
    found = table[name].iloc[row]
    received = f"{'nothing' if pd.isna(found) else found} in row {row + 1}"
    count = f", and {empty[:, place].sum() - 1} more" if empty[:, place].sum() > 1 else ""
    skip = f"; or leave the column out: --set {OPTION}.{name}=skip; or if it is dates, =date" * rules.are_settings
    raise ValueError(
        f"A series must hold a number in every row. Received: {received} of `{name}`{count}. Fill it in, or "
        f"{rules.way_out('fill', 'previous', 'linear')}{skip}."
    )


def _numbers(column: Column, values: pd.Series) -> np.ndarray:
    """Convert a column to float64 (rows,), with NaN for empty cells.

    Raises:
        ValueError: If a cell has other text, or an infinite or too large number.
    """
    name = column.name
    numbers = parse_numbers(values, column.format).to_numpy(np.float64)
    wrong = ~fits_float32(numbers) & ~words_to_missing(values).isna().to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        count = f", and {wrong.sum() - 1} more" if wrong.sum() > 1 else ""
        raise ValueError(
            f"A series must hold a finite number up to {MAX_FLOAT32:.1e} in every row"
            f"{f', like {column.format}' if column.format else ''}. Received: {values.iloc[row]} in row {row + 1} of "
            f"`{name}`{count}. Correct it, or leave the column out: --set {OPTION}.{name}=skip; or if it is dates, "
            "=date."
        )
    return numbers
