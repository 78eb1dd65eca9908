"""Table columns and their preprocessing into numbers or ids."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

# A date as days since 1970, plus its angle within the year and the week, as cosine and sine.
DATE_PARTS = ("days", "cos of year", "sin of year", "cos of week", "sin of week")
TIME_PARTS = ("cos of day", "sin of day")  # of dates with a time
MAX_EMBEDDING = 50  # widest embedding of a category; a rule of thumb sets narrower ones


class Column(BaseModel):
    """Preprocessing of one table column into numbers or an id; fitted on the training split.

    Attributes:
        name: Name in the header.
        kind: `number`, `date`, `category` or `text`.
        median: Fills in a missing number; for dates, in days since 1970.
        offset: Subtract it from each number, or from the days of each date, in float64 before the conversion to
            float32, which would make different numbers equal; 0 for most columns.
        has_time: Whether dates have different times of day; their angle within the day is then added.
        format: `strftime` format of dates that are not in ISO 8601, or `unix_s`, `unix_ms`: time since 1970; or form of
            numbers that are not like `1234.5`, as an example: `1.234,5 €` has points between thousands, a decimal comma
            and a unit. See `datasets/tables/number_forms.py`.
        may_be_missing: Whether the training split has missing values; a 0/1 indicator is then added.
        place: Position among the input columns, in the table's order.
        vocabulary: The categories. An id is a category's position, counted from 1; 0 is rare, unknown or missing.
        min_frequency: A category with fewer training rows is rare: it is not in the vocabulary, and no file holds it.
        calendar: For a known input of a forecast: the part of the date that it holds, such as `sin of hour`; see
            `features/calendar.py`. None for a column of the data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["number", "date", "category", "text"] = "number"
    median: float = 0.0
    offset: float = 0.0
    has_time: bool = False
    format: str | None = None
    may_be_missing: bool = False
    place: int = 0
    vocabulary: tuple[str, ...] = ()
    min_frequency: int = 1
    calendar: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the numbers made from this column; none for a category or a text, which become ids."""
        match self.kind:
            case "category" | "text":
                return ()
            case "date":
                names = (*DATE_PARTS, *TIME_PARTS) if self.has_time else DATE_PARTS
                parts = tuple(f"{self.name} ({part})" for part in names)
            case _:
                parts = (self.name,)
        return (*parts, f"{self.name} is missing") if self.may_be_missing else parts

    @property
    def width(self) -> int:
        """Count of numbers that this column feeds to the network; for a category, the width of its embedding."""
        ids = len(self.vocabulary) + 1
        return min(MAX_EMBEDDING, round(1.6 * ids**0.56)) if self.kind == "category" else len(self.parts)
