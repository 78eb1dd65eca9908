"""Numbers written otherwise than `1234.5`: decimal commas, thousands separators, percent, currencies, and times.

The form of a column is an example: `1.234,5 €` has points between thousands, a decimal comma and a unit after it. The
value of `36%` is 36, and of `13:30` is 13.5 hours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

EXPONENT = r"([eE][+-]?\d+)?"
COMMAS, POINTS, SPACES, QUOTES = (rf"[1-9]\d{{0,2}}({mark}\d{{3}})+" for mark in (",", r"\.", " ", "'"))  # groups
BODIES = {  # example -> pattern; the example's separators are those of the column
    "1234.5": rf"(\d+\.?\d*|\.\d+){EXPONENT}",
    "1,234.5": rf"(\d+|{COMMAS})(\.\d*)?",
    "1234,5": rf"(\d+,?\d*|,\d+|{POINTS},\d+){EXPONENT}",
    "1.234,5": rf"(\d+|{POINTS})(,\d*)?",
    "1 234.5": rf"(\d+|{SPACES})(\.\d*)?",
    "1 234,5": rf"(\d+|{SPACES})(,\d*)?",
    "1'234.5": rf"(\d+|{QUOTES})(\.\d*)?",
    "1'234,5": rf"(\d+|{QUOTES})(,\d*)?",
}
HOURS = {"13:30": r"\d{1,2}:[0-5]\d", "13:30:00": r"\d{1,2}:[0-5]\d:[0-5]\d"}
HALF = r" ?[AaPp]\.?[Mm]\.?"
HOURS |= {"1:30 PM": rf"(0?[1-9]|1[0-2]):[0-5]\d{HALF}", "1:30:00 PM": rf"(0?[1-9]|1[0-2])(:[0-5]\d){{2}}{HALF}"}
COMMA_CURRENCIES = (  # written with a comma between thousands
    *("$", "US$", "£", "¥", "￥", "₩", "￦", "원", "円", "元", "₹", "฿", "USD", "GBP", "JPY", "CNY", "KRW", "INR"),
)
PERCENT = ("%", "\uff05", "‰")  # the second is wide, as on East Asian keyboards
UNITS = (*COMMA_CURRENCIES, *PERCENT, "€", "EUR", "CHF", "Fr.", "kr", "zł", "Kč", "₽", "₺", "₫")
UNIT = "|".join(map(re.escape, sorted(UNITS, key=len, reverse=True)))
CELL = rf"(?P<sign>[+-]?) ?(?P<before>{UNIT})? ?(?P<sign2>[+-]?)(?P<body>[\d.,' eE+-]*\d[.,]?) ?(?P<after>{UNIT})?"
SAME = {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "\u2019": "'"}  # spaces, a minus, an apostrophe
SAMPLE = 100  # texts that rule out most forms
LEADING_ZERO = r"[+-]?0\d+.*"
LIKE_FLOAT = r"\d+[eE]\d+"  # programs write 12E4 as 12e+04, so this may be a name


def parse_numbers(values: pd.Series, form: str | None) -> pd.Series:
    """Convert a text column to numbers; NaN for missing values and text of another form.

    Args:
        values: The column as text; it may be numeric already.
        form: The form of its numbers; None for numbers such as `1234.5`.
    """
    if form is None:
        return pd.to_numeric(values, errors="coerce")
    texts = values.astype("category")
    numbers = _parse(pd.Series(texts.cat.categories, dtype=object), form).to_numpy(np.float64)
    codes = texts.cat.codes.to_numpy()
    return pd.Series(np.append(numbers, np.nan)[codes], index=values.index)  # a missing value has code -1


def number_forms(values: pd.Series, decimal: str | None = None) -> list[str | None]:
    """Return the forms that read all numbers of a text column, one for each meaning.

    Args:
        values: The column, without missing values.
        decimal: The decimal separator, if it is known: `.` or `,`.

    Returns:
        The forms, with a comma between thousands before a decimal comma; None for numbers such as `1234.5`; nothing if
        the column has other text, or is empty.
    """
    texts = pd.Series(values.unique(), dtype=object)
    if not len(texts):
        return []
    forms: dict[bytes, str | None] = {}
    for form in _forms_like(texts):
        if decimal and decimal_of(form or "1234.5") not in (decimal, ":"):
            continue
        if not np.isfinite(_parse(texts[:SAMPLE], form).to_numpy(np.float64)).all():
            continue
        numbers = _parse(texts, form).to_numpy(np.float64)
        if np.isfinite(numbers).all():
            forms.setdefault(numbers.tobytes(), form)
    found = list(forms.values())
    if len(found) > 1 and found[0] is not None and found[0] not in HOURS:
        before, body, after = _split(found[0])
        return found[:1] if body == "1,234.5" and {before, after} & set(COMMA_CURRENCIES) else found
    return found


def may_be_thousands(values: pd.Series, *, decimal_is_comma: bool) -> bool:
    """Return whether the points of plain numbers may separate thousands, as in `950` and `1.200`.

    Args:
        values: The column, without missing values.
        decimal_is_comma: Whether the file has a sign of decimal commas.
    """
    texts = pd.Series(values.unique(), dtype=object).astype(str)
    is_grouped = texts.str.fullmatch(rf"[+-]?{POINTS}")
    is_short = texts.str.fullmatch(r"[+-]?\d{1,3}")
    return bool(is_grouped.any() and (is_grouped | is_short).all() and (is_short.any() or decimal_is_comma))


def find_names(values: pd.Series) -> str | None:
    """Return a number that may be a name, such as `007` or `12E4`; None if there is none."""
    texts = pd.Series(values.unique(), dtype=object).astype(str)
    names = texts[texts.str.fullmatch(LEADING_ZERO) | texts.str.fullmatch(LIKE_FLOAT)]
    return None if names.empty else names.iloc[0]


def number_of(text: str, form: str | None) -> float:
    """Read one number; NaN for other text."""
    return float(parse_numbers(pd.Series([text], dtype=object), form).iloc[0])


def decimal_of(form: str) -> str:
    """Return the decimal separator of a form; for times, a colon."""
    return ":" if form in HOURS else _split(form)[1][-2]


def share_of_numbers(values: pd.Series) -> float:
    """Return the share of cells that are numbers of some form."""
    counts = values.value_counts()
    texts = _normalized(pd.Series(counts.index, dtype=object))
    cells = texts.str.extract(f"^{CELL}$")["body"].fillna("x")
    is_number = cells.str.fullmatch("|".join(BODIES.values())) | texts.str.fullmatch("|".join(HOURS.values()))
    return float(counts.to_numpy()[is_number].sum() / len(values)) if len(values) else 0.0


def _forms_like(texts: pd.Series) -> list[str | None]:
    """Return the forms with the units of a column; those of times, if it looks like times."""
    first = _normalized(texts[:1])
    if hours := [form for form, pattern in HOURS.items() if first.str.fullmatch(pattern).all()]:
        return [*hours]
    parts = first.str.extract(f"^{CELL}$").fillna("").iloc[0]
    if not parts["body"]:
        return []
    before, after = parts["before"], parts["after"]
    has_points = texts.str.contains(".", regex=False).any()  # then new rows may have them too
    order = [body for body in BODIES if body != "1234,5" or not has_points]
    order = order if before or after else [body for body in order if body != "1234.5"]
    forms: list[str | None] = [] if before or after else [None]
    return [*forms, *(f"{before}{body}{' ' if after and after not in PERCENT else ''}{after}" for body in order)]


def _split(form: str) -> tuple[str, str, str]:
    """Return the unit before the number, the example of the number, and the unit after it."""
    match = re.fullmatch(r"(\D*)(1[,.' ]?234[,.]5)(.*)", form)
    if match is None:
        raise ValueError(f"A form of numbers must be like 1.234,5. Received: {form!r}. Restore the file.")
    return match[1].strip(), match[2], match[3].strip()


def _normalized(texts: pd.Series) -> pd.Series:
    """Replace special spaces, minus signs and apostrophes by ASCII."""
    return texts.astype(str).str.translate(str.maketrans(SAME)).str.strip()


def _parse(texts: pd.Series, form: str | None) -> pd.Series:
    """Parse different texts."""
    if form is None:
        return pd.to_numeric(texts, errors="coerce")
    texts = _normalized(texts)
    if form in HOURS:
        return _hours(texts.where(texts.str.fullmatch(HOURS[form])))
    before, body, after = _split(form)
    cells = texts.str.extract(f"^{CELL}$").fillna("")
    fits = cells["body"].str.fullmatch(BODIES[body]) & (cells["before"] == before) & (cells["after"] == after)
    fits &= (cells["sign"] == "") | (cells["sign2"] == "")
    decimal = body[-2]
    plain = cells["body"].where(fits)
    for separator in set(",.' ") - {decimal}:
        plain = plain.str.replace(separator, "", regex=False)
    numbers = pd.to_numeric(plain.str.replace(decimal, ".", regex=False), errors="coerce")
    return numbers.where((cells["sign"] + cells["sign2"]) != "-", -numbers)


def _hours(texts: pd.Series) -> pd.Series:
    """Convert times to hours; NaN for missing ones."""
    parts = texts.str.extract(r"^(?P<hour>\d+):(?P<minute>\d+)(:(?P<second>\d+))?( ?(?P<half>[AaPp]).*)?$")
    hour, minute, second = (parts[name].astype(float) for name in ("hour", "minute", "second"))
    half = parts["half"].str.lower()
    hour = hour.where(half.isna(), hour % 12 + 12 * (half == "p"))
    return hour + minute / 60 + second.fillna(0) / 3600


DECIMALS: Mapping[str, str] = {"decimal_point": ".", "decimal_comma": ","}  # setting -> decimal separator
