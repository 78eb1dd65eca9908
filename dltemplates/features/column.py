"""A column of a table, and how its cells become numbers or ids."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

# A date as days since 1970, and as its place in the year and in the week, each a point on a circle.
DATE_PARTS = ("days", "cos of year", "sin of year", "cos of week", "sin of week")
MAX_EMBEDDING = 50  # numbers for a category; below, a rule of thumb


class Column(BaseModel):
    """How a column of a table becomes numbers, or an id; fitted on the training split.

    Attributes:
        name: In the header.
        kind: What it holds.
        median: What stands for a missing number; of a date, in days since 1970.
        format: Of a date that is not of ISO 8601, as `strftime` takes it.
        may_be_missing: Whether one was missing in the training split: a 0 or 1 more then says where.
        place: Among the columns that are learned from, in the order of the table.
        vocabulary: The categories. The place of one, counted from 1, is its id; 0 is any other, or none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["number", "date", "category"] = "number"
    median: float = 0.0
    format: str | None = None
    may_be_missing: bool = False
    place: int = 0
    vocabulary: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What each number that it becomes is; none for a category, which becomes an id."""
        match self.kind:
            case "category":
                return ()
            case "date":
                parts = tuple(f"{self.name} ({part})" for part in DATE_PARTS)
            case _:
                parts = (self.name,)
        return (*parts, f"{self.name} is missing") if self.may_be_missing else parts

    @property
    def width(self) -> int:
        """How many numbers stand for it in front of the network; an id is embedded."""
        ids = len(self.vocabulary) + 1
        return min(MAX_EMBEDDING, round(1.6 * ids**0.56)) if self.kind == "category" else len(self.parts)
