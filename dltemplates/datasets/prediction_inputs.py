"""The user's inputs to a prediction, as examples: image files, table rows, a series, seeds.

A new kind of feature with another reader registers it: `@read_inputs.register`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dltemplates.datasets.images.layout import SUFFIXES, is_hidden
from dltemplates.datasets.noise_inputs import read_noise
from dltemplates.datasets.spec import IOSpec
from dltemplates.features import Arrays, Feature, Horizon, Image, Noise, Series


@dataclass(frozen=True)
class PredictionInput:
    """One example to predict.

    Attributes:
        name: Its name for the user.
        arrays: The inputs by name, each (1, ...); None if unreadable.
        remarks: Remarks to show beside its prediction, by name.
        cells: Cells of its row in the user's CSV file, by column.
    """

    name: str
    arrays: Arrays | None
    remarks: dict[str, Any] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)


@functools.singledispatch
def read_inputs(first: Feature, reference: IOSpec, user_inputs: Sequence[str | Path]) -> Iterator[PredictionInput]:
    """Read a user's inputs: by default CSV files and rows, as `datasets.tables.row_inputs.read_rows` takes them.

    Args:
        first: The network's first input; its kind selects the reader.
        reference: The contract of the network.
        user_inputs: Paths, folders or texts.

    Yields:
        The examples. An unreadable file in a folder has no arrays, and an `error` among its remarks.

    Raises:
        ValueError: If there is no input, or a named input is unreadable.
    """
    from dltemplates.datasets.tables.row_inputs import read_cells, read_rows

    rows = [
        (*row, cells)
        for text in user_inputs
        for row, cells in zip(
            read_rows(text, reference.inputs, reference=reference), read_cells(text, reference=reference), strict=True
        )
    ]
    if not rows:
        raise ValueError("There must be a row to predict. Received: none. Name a CSV file, or write a row.")
    for name, arrays, unknown, cells in rows:
        yield PredictionInput(name, arrays, {"unknown": unknown} if unknown else {}, cells)


@read_inputs.register
def _(first: Image, reference: IOSpec, user_inputs: Sequence[str | Path]) -> Iterator[PredictionInput]:
    named = [Path(path) for path in user_inputs]
    files = list(_files(named))
    if not files:
        raise ValueError("There must be an image to predict. Received: none. Name image files, or folders of images.")
    for file in files:
        try:
            arrays = first.read(file)
        except ValueError as error:
            if file in named:
                raise
            yield PredictionInput(str(file), None, {"error": str(error)})
            continue
        yield PredictionInput(str(file), arrays)


@read_inputs.register
def _(first: Series, reference: IOSpec, user_inputs: Sequence[str | Path]) -> Iterator[PredictionInput]:
    from dltemplates.datasets.series.csv_series import next_window

    if not user_inputs:
        raise ValueError("There must be a series to continue. Received: none. Name its CSV file.")
    horizon = next((value.shape[0] for value in reference.targets if isinstance(value, Horizon)), 1)
    for path in user_inputs:
        window, dates = next_window(path, reference, horizon)
        yield PredictionInput(str(path), {first.name: window}, {"dates": dates} if dates else {})


@read_inputs.register
def _(first: Noise, reference: IOSpec, user_inputs: Sequence[str | Path]) -> Iterator[PredictionInput]:
    if not user_inputs:
        raise ValueError("There must be a seed to predict. Received: none. Name seeds, such as 0 1 2.")
    for text in map(str, user_inputs):
        yield PredictionInput(text, read_noise(text, reference.inputs))


def _files(inputs: Iterable[Path]) -> Iterator[Path]:
    for path in inputs:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            yield from (file for file in files if not any(map(is_hidden, file.relative_to(path).parts)))
        elif path.is_file():
            yield path
        else:
            raise ValueError(f"An input must be an image file or a folder of them. Received: {path}. Check the path.")
