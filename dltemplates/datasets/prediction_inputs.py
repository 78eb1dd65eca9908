"""The user's inputs to a prediction, as examples: image files, table rows, a series, seeds.

A new kind of feature with another reader registers it: `@read_inputs.register`.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.images.layout import SUFFIXES, is_hidden
from dltemplates.datasets.in_memory import as_frame
from dltemplates.datasets.noise_inputs import read_noise
from dltemplates.datasets.series.sequence_arrays import split_sequences
from dltemplates.datasets.series.sequences import Sequences, are_sequences, check_sequences
from dltemplates.datasets.spec import IOSpec
from dltemplates.features import Arrays, Feature, Horizon, Image, Noise, Series, Tokens, columns_of
from dltemplates.features.pixels import resize_image


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
    from dltemplates.datasets.tables.row_inputs import read_rows

    rows = [row for text in user_inputs for row in read_rows(text, reference.inputs, reference=reference)]
    if not rows:
        raise ValueError("There must be a row to predict. Received: none. Name a CSV file, or write a row.")
    for row in rows:
        yield PredictionInput(row.name, row.arrays, {"unknown": row.unknown} if row.unknown else {}, row.cells)


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
    if are_sequences(reference):
        yield from _sequences(reference, user_inputs)
        return
    from dltemplates.datasets.series.csv_series import next_window

    if not user_inputs:
        raise ValueError("There must be a series to continue. Received: none. Name its CSV file.")
    horizon = next((value.shape[0] for value in reference.targets if isinstance(value, Horizon)), 1)
    for path in user_inputs:
        found = next_window(path, reference, horizon)
        known = {value.name: found.known for value in reference.inputs[1:] if found.known is not None}
        remarks = {"dates": found.dates} if found.dates else {}
        if found.filled:
            remarks["filled"] = list(found.filled)
        yield PredictionInput(str(path), {first.name: found.window, **known}, remarks)


def _sequences(reference: IOSpec, user_inputs: Sequence[str | Path]) -> Iterator[PredictionInput]:
    from dltemplates.datasets.series.sequence_files import read_to_predict

    if not user_inputs:
        raise ValueError("There must be a sequence to predict. Received: none. Name a file of sequences.")
    for path in user_inputs:
        part = read_to_predict(Path(path), reference)
        yield from _of_sequences(reference, part)


def _of_sequences(reference: IOSpec, part: Sequences) -> Iterator[PredictionInput]:
    arrays = check_sequences(part, reference)
    for place, name in enumerate(part.names):
        index = np.array([place])
        yield PredictionInput(name, {key: array[index] for key, array in arrays.items()})


@read_inputs.register
def _(first: Tokens, reference: IOSpec, user_inputs: Sequence[str | Path]) -> Iterator[PredictionInput]:
    from dltemplates.datasets.text.text_inputs import read_texts

    if not user_inputs:
        raise ValueError("There must be a text to predict. Received: none. Write one, or name a file of texts.")
    for text, place in read_texts(user_inputs, first, reference):
        try:
            arrays = first.read(text)
        except ValueError as error:
            raise ValueError(f"{place}: {error}" if place else str(error)) from None
        yield PredictionInput(text, arrays, {"unknown": unknown} if (unknown := first.unknown(text)) else {})


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


def read_arrays(reference: IOSpec, given: Any) -> list[PredictionInput]:
    """Read a program's inputs to a prediction.

    Args:
        reference: The contract of the network.
        given: A DataFrame of rows, or of a series to forecast; or an array (n, ...): images of any size, rows with the
            columns of the training array, windows of a series, or noise.

    Raises:
        ValueError: If the network has other inputs, or there are no examples.
    """
    first, *others = reference.inputs
    if isinstance(first, Series) and are_sequences(reference) and isinstance(given, (np.ndarray, list)):
        arrays = split_sequences(given, "x")
        part = Sequences(arrays, [str(place) for place in range(len(arrays))])
        return list(_of_sequences(reference, part))
    is_frame = not isinstance(given, np.ndarray)
    if not is_frame and columns_of(first) and given.ndim == 2:
        given, is_frame = as_frame(given), True
    if is_frame:
        with tempfile.TemporaryDirectory() as folder:  # with the rules for files, so that a cell has the same meaning
            path = Path(folder) / "rows.csv"
            given.to_csv(path, index=False)
            examples = list(read_inputs(first, reference, [path]))
        return [replace(example, name=str(place)) for place, example in enumerate(examples)]
    if others or not len(given):
        names = ", ".join(value.name for value in reference.inputs)
        raise ValueError(
            f"An array must hold examples of the network's one input. Received: {len(given)} examples for {names}. "
            "Pass a DataFrame, or files."
        )
    return [PredictionInput(str(place), {first.name: _example(first, array)}) for place, array in enumerate(given)]


def _example(first: Feature, array: np.ndarray) -> np.ndarray:
    """Return one example (1, ...) of an input; an image gets the size of the input."""
    if isinstance(first, Image):
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3 or array.shape[-1] != first.shape[-1] or array.dtype != np.uint8:
            raise ValueError(
                f"Images must be uint8 (n, height, width, {first.shape[-1]}), 0 to 255. Received: {array.dtype} of "
                f"shape (n, {', '.join(map(str, array.shape))}). Convert them, as in `np.uint8(255 * x)`."
            )
        array = resize_image(array, (first.shape[0], first.shape[1]), first.resize or "stretch")
    if array.shape != first.shape:
        raise ValueError(
            f"Each example must have the shape of input `{first.name}`, {first.shape}. Received: {array.shape}. "
            "Reshape the array."
        )
    return array[None]
