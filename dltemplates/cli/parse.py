"""Read the values of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dltemplates import catalog


def renamed_flag(old: str, new: str) -> Callable[[Any], Any]:
    """Return a hidden option that answers a flag's old name with the new one.

    Args:
        old: The old name, such as `--strict`.
        new: The new name.
    """

    def refuse(_context: click.Context, _parameter: click.Parameter, is_given: bool) -> None:
        if is_given:
            raise ValueError(f"`{old}` is now `{new}`. Received: {old}. Use the new name.")

    return click.option(old, is_flag=True, hidden=True, expose_value=False, callback=refuse)


def import_modules(names: tuple[str, ...]) -> None:
    """Import the user's own modules, so that their layers, tasks and datasets are known."""
    for name in names:
        try:
            catalog.trust(name)
        except ImportError as error:
            raise ValueError(
                f"--import must name a module. Received: {name!r} ({error}). Is it on the path?"
            ) from error


def numbers(text: str, option: str, count: int) -> list[float]:
    """Read `count` numbers with commas between."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise ValueError(f"{option} must be {count} numbers with commas between. Received: {text!r}.")
    return values


def shape(text: str) -> tuple[int, ...]:
    """Read the shape of an input, such as `32,32,3`."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ValueError(f"--input-shape must be positive whole numbers. Received: {text!r}. Try 32,32,3.")
    return sizes


def check_workers(workers: int | None, max_restarts: int | None, strategy: str, devices: int | None) -> None:
    """Check that the options for several workers go together."""
    if workers is None and max_restarts is not None:
        raise ValueError("--max-restarts is for several workers. Received: no --workers. Add --workers 2.")
    if workers is not None and (strategy not in ("auto", "multiworker") or devices is not None):
        received = f"--strategy {strategy}" if devices is None else f"--devices {devices}"
        raise ValueError(f"--workers trains by strategy multiworker, on a device each. Received: {received}.")


def classes(count: int) -> int:
    """Check a number of classes.

    Raises:
        ValueError: If there is nothing to choose from.
    """
    if count < 2:
        raise ValueError(
            f"A classifier has at least two classes. Received: --classes {count}. "
            "Two take --classes 2; for numbers to predict give --size num_outputs=1."
        )
    return count
