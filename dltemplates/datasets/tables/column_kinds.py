"""The kind of a table's column: detected from its cells, with the doubts that remain."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from dltemplates.datasets.tables.columns import NO_NUMBER, kind_of, numbers_of, words_to_missing
from dltemplates.datasets.tables.dates import (
    COMPACT,
    COMPACT_MONTH,
    ORDERS,
    YEAR_MONTH,
    date_formats,
    format_of,
    is_dates,
    orders_of,
    read_dates,
)
from dltemplates.datasets.tables.number_forms import (
    DECIMALS,
    decimal_of,
    find_names,
    may_be_thousands,
    number_forms,
    number_of,
    parse_numbers,
    share_of_numbers,
)

MAX_CLASS_NUMBERS = 20  # up to this many different whole numbers are classes
OPTION = "dataset.table.columns"
LIKE_DATE = r"\d{1,4}\s?[-/.년]\s?\d{1,2}\s?[-/.월]\s?\d{1,4}[.일]?( .*)?"
MONTH_NAME = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
LIKE_MONTH = (  # 01/2024, Jan 2024, 2024-Q1, 2024년 1월
    rf"(\d{{1,2}}|q[1-4]|{MONTH_NAME})[-/. ]*(19|20)\d{{2}}|(19|20)\d{{2}}[-/.년 ]+(\d{{1,2}}월?|q[1-4]|{MONTH_NAME})"
)
WITH_UNIT = r"[+-]?\d[\d.,]* ?[^\W\d_]{1,3}[²³]?|[+-]?\d[\d.,]* ?°[cf]?"  # 10 kg, 20 m², 10°C


@dataclass(frozen=True)
class ColumnKind:
    """The kind of a column.

    Attributes:
        kind: `number`, `date`, `category` or `skip`.
        format: Format of dates that are not in ISO 8601, or form of numbers unlike `1234.5`.
        doubt: Another reading, with the setting that chooses it; None if there is none.
    """

    kind: str
    format: str | None = None
    doubt: str | None = None


def detect(name: str, values: pd.Series, more: pd.Series, setting: str | None, *, option: str = OPTION) -> ColumnKind:
    """Detect the kind of a column.

    Args:
        name: Its name.
        values: Its cells in the training split.
        more: Its cells in all splits, which may decide between two readings.
        setting: The user's kind; None to detect it.
        option: Setting of the kinds of columns.

    Raises:
        ValueError: If the user's kind is `date`, and the dates have two meanings.
    """
    say = f"--set {option}.{name}"
    if setting in ("skip", "category"):
        return ColumnKind(setting)
    if setting == "date" or setting in ORDERS:
        return ColumnKind("date", format_of(name, words_to_missing(more), setting if setting in ORDERS else None))
    if setting is not None:
        return _number(name, values, more, DECIMALS.get(setting), say) or ColumnKind("number")
    kind = kind_of(values)
    if kind == "number" and numbers_of(values).notna().any():
        return ColumnKind(kind, doubt=_number_doubt(name, values.dropna(), say))
    if kind != "category":
        return ColumnKind(kind)
    return _number(name, values, more, None, say) or _date(name, values, more, say) or _category(name, values, say)


def point_doubt(
    name: str, values: pd.Series, kinds: Iterable[ColumnKind], separators: Container[str], *, option: str = OPTION
) -> str | None:
    """Doubt plain numbers such as `1.234` in a file that has a sign of points between thousands.

    Args:
        name: Name of a column of numbers.
        values: Its cells.
        kinds: The kinds of all columns.
        separators: The separators of the files.
        option: Setting of the kinds of columns.

    Returns:
        The doubt; None if there is none.
    """
    is_comma = ";" in separators or any(_has_decimal_comma(kind) for kind in kinds)
    texts = _numbers_only(values).astype(str)
    if not may_be_thousands(texts, decimal_is_comma=is_comma):
        return None
    sample = next(text for text in texts if "." in text)
    return _two_numbers(name, sample, [None, "1.234,5"], f"--set {option}.{name}")


def _has_decimal_comma(kind: ColumnKind) -> bool:
    return kind.kind == "number" and not kind.doubt and kind.format is not None and decimal_of(kind.format) == ","


def _number(name: str, values: pd.Series, more: pd.Series, decimal: str | None, say: str) -> ColumnKind | None:
    """Return the form of a column of numbers; None if it holds other text."""
    forms = number_forms(_numbers_only(more), decimal) or number_forms(_numbers_only(values), decimal)
    if not forms:
        return None
    doubt = None
    if len(forms) > 1:
        values = _numbers_only(more)
        differs = parse_numbers(values, forms[0]) != parse_numbers(values, forms[1])
        doubt = _two_numbers(name, values[differs].iloc[0], forms, say)
    elif forms[0] and decimal_of(forms[0]) != ":" and (found := find_names(_numbers_only(more))):
        doubt = _name_doubt(name, found, say)
    return ColumnKind("number", forms[0], doubt)


def _numbers_only(values: pd.Series) -> pd.Series:
    return values[values.notna() & ~values.isin(NO_NUMBER)]


def _two_numbers(name: str, sample: str, forms: Sequence[str | None], say: str) -> str:
    settings = {decimal: setting for setting, decimal in DECIMALS.items()}
    first, second = (f"{number_of(sample, form):.12g}" for form in forms[:2])
    ways = [settings[decimal_of(form) if form else "."] for form in forms[:2]]
    return (
        f"column `{name}`: {sample!r} is read as {first}, but may be {second}: say {say}={ways[0]} for {first}, or "
        f"={ways[1]} for {second}"
    )


def _number_doubt(name: str, values: pd.Series, say: str) -> str | None:
    if found := find_names(values):
        return _name_doubt(name, found, say)
    texts = _numbers_only(values).astype(str)
    for pattern, noun, example in ((COMPACT, "date", "2024-12-31"), (COMPACT_MONTH, "month", "2024-12")):
        if texts.str.fullmatch(pattern).all() and texts.nunique() > 1:
            return (
                f"column `{name}` is read as numbers, but {texts.iloc[0]!r} looks like a {noun}: write it like "
                f"{example}, or say {say}=number"
            )
    return None


def _name_doubt(name: str, found: str, say: str) -> str:
    other = "category" if say.startswith(f"--set {OPTION}") else "skip"  # a series has no categories
    return (
        f"column `{name}` is read as numbers, but {found!r} looks like a name or a code: say {say}={other}, or =number"
    )


def _date(name: str, values: pd.Series, more: pd.Series, say: str) -> ColumnKind | None:
    if is_dates(words_to_missing(values), YEAR_MONTH):
        return ColumnKind("date")
    formats = date_formats(words_to_missing(more)) or date_formats(words_to_missing(values))
    if len(formats) == 1:
        return ColumnKind("date", formats[0], _century_doubt(name, words_to_missing(more), formats[0]))
    if formats:
        present = words_to_missing(values).dropna()
        orders = [f"={order}" for order in orders_of(formats).split(" or ")]
        doubt = (
            f"column `{name}` is read as categories, but looks like dates, such as {present.iloc[0]!r}, of "
            f"{len(formats)} meanings: say {say}{' or '.join(orders)}, or =category"
        )
        return ColumnKind("category", doubt=doubt)
    return None


def _century_doubt(name: str, values: pd.Series, format: str | None) -> str | None:
    """Doubt two-digit years that are read as years to come: 65 is read as 2065."""
    if format is None or "%y" not in format:
        return None
    texts = values.dropna()
    dates = read_dates(texts, format)
    is_future = dates > pd.Timestamp.now()
    if not is_future.any():
        return None
    return (
        f"column `{name}`: the year of {texts[is_future].iloc[0]!r} is read as {dates[is_future].iloc[0].year}: write "
        "years with four digits"
    )


def _category(name: str, values: pd.Series, say: str) -> ColumnKind:
    """Return a column of categories, with a doubt if it may be something else."""
    present = words_to_missing(values).dropna()
    numbers = numbers_of(present)
    doubt = None
    if 2 * numbers.notna().sum() > len(present):
        doubt = (
            f"column `{name}` is read as categories, because {present[numbers.isna()].iloc[0]!r} is not a number, "
            f"unlike most of it: correct it, or say {say}=category"
        )
    elif share_of_numbers(present) > 0.5:
        first, odd = present.iloc[0], _unlike_first(present)
        reason = f"{first!r} and {odd!r} are not numbers of one form" if odd != first else f"{odd!r} is not a number"
        doubt = (
            f"column `{name}` is read as categories, because {reason}: write all numbers alike, or say {say}=category"
        )
    elif _share(present, WITH_UNIT) > 0.5:
        doubt = (
            f"column `{name}` is read as categories, but looks like numbers with a unit, such as {present.iloc[0]!r}: "
            f"write the numbers alone, or say {say}=category"
        )
    elif _mostly_dates(present):
        doubt = (
            f"column `{name}` is read as categories, but looks like dates, such as {present.iloc[0]!r}: write them "
            f"all like 2024-12-31, or say {say}=category"
        )
    return ColumnKind("category", doubt=doubt)


def _unlike_first(values: pd.Series) -> str:
    """Return the first number of another form than the first cell, or other text."""
    texts = values.unique().tolist()
    return next((text for text in texts if not number_forms(pd.Series([texts[0], text]))), texts[-1])


def _mostly_dates(values: pd.Series) -> bool:
    """Return whether most cells look like dates or months of some form."""
    return _share(values, LIKE_DATE) > 0.5 or _share(values, LIKE_MONTH) > 0.5


def _share(values: pd.Series, pattern: str) -> float:
    """Return the share of cells that match a pattern."""
    return float(values.astype(str).str.fullmatch(pattern, case=False).mean()) if len(values) else 0.0
