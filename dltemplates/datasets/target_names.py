"""The choice of the column to predict, where the settings do not name one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

USUAL_TARGETS = ("label", "target", "class", "y")  # in any letter case
MAX_COLUMNS = 20  # in an error


def usual_target(columns: Sequence[str], *, data: str) -> str:
    """Return the column with a usual name of a target.

    Args:
        columns: Names of the columns.
        data: The kind of data, such as `table`, for the error.

    Raises:
        ValueError: If no column has such a name, or several have; it lists the columns, with the setting to type.
    """
    usual = [name for name in columns if name.casefold() in USUAL_TARGETS]
    if len(usual) == 1:
        return usual[0]
    received = f"{len(usual)} columns with a usual name, {', '.join(usual)}" if usual else "no `dataset.target`"
    shown = ", ".join(columns[:MAX_COLUMNS])
    more = f" and {len(columns) - MAX_COLUMNS} more" if len(columns) > MAX_COLUMNS else ""
    example = shlex.quote(f"dataset.target={(usual or columns)[-1]}")
    raise ValueError(
        f"A {data} needs the name of the column to predict. Received: {received}. The columns are {shown}{more}. "
        f"Add one of them, such as --set {example}"
    )
