"""Fitting a dataset's inputs and targets on the training split: statistics, medians, vocabularies, class counts."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from dltemplates.datasets.features import fit_numbers, with_counts, with_statistics
from dltemplates.datasets.series.csv_series import KNOWN, fit_series
from dltemplates.datasets.series.sequences import fit_sequences
from dltemplates.datasets.series.windows import WindowSource
from dltemplates.datasets.source import BaseSource, Dataset, Joined, Source, column, fitted, origin
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.datasets.tables.columns import encode_rows, fit_column
from dltemplates.datasets.tables.source import TableSource, input_values
from dltemplates.datasets.text.source import TextSource
from dltemplates.datasets.text.stream import TextStream
from dltemplates.features import (
    Category,
    ClassId,
    Feature,
    Horizon,
    Labels,
    Number,
    Series,
    Time,
    Tokens,
)

REUSED = ("shape", "columns", "mean", "std", "counts", "threshold", "vocabulary")  # taken from a trained network


def fit(dataset: Dataset, reference: IOSpec | None = None) -> Dataset:
    """Fit a dataset's features on its training split, and let its sources read the fitted features.

    Features that are already fitted stay unchanged.

    Args:
        dataset: Dataset with unfitted splits.
        reference: Spec or contract of a trained network; its fitted values are reused.

    Raises:
        ValueError: If a column is empty in the training split, or a number to predict does not vary there.
    """
    spec = dataset.spec
    known = {value.name: value for value in (*reference.targets, *reference.inputs)} if reference else {}
    train = dataset.splits.get("train")
    inputs = tuple(_reuse_fitted(value, known) for value in spec.inputs)
    if train is not None:
        inputs = tuple(
            value if isinstance(value, Category) and value.name in known else fit_input(value, train)
            for value in inputs
        )
    # A target may equal an input, perhaps under another name: the input to reconstruct.
    reconstructed = {raw.model_copy(update={"name": ""}): value for raw, value in zip(spec.inputs, inputs, strict=True)}
    targets = []
    for value in spec.targets:
        same = reconstructed.get(value.model_copy(update={"name": ""}))
        if same is not None:
            targets.append(same.model_copy(update={"name": value.name}))
        else:
            target = _reuse_fitted(value, known)
            targets.append(target if train is None else fit_target(target, train, inputs))
    inputs = tuple(_fit_length(value, dataset, known) for value in inputs)
    targets = [_fit_length(value, dataset, known) for value in targets]
    spec = spec.model_copy(update={"inputs": inputs, "targets": tuple(targets)})
    splits = {split: fitted(source, spec) for split, source in dataset.splits.items()}
    warnings = (*spec.warnings, *_cut_texts(dataset, spec))
    return replace(
        dataset,
        spec=spec.model_copy(update={"unknown": _unknown(dataset, inputs, reference), "warnings": warnings}),
        splits=splits,
    )


def _cut_texts(dataset: Dataset, spec: DatasetSpec) -> list[str]:
    """Return a warning for each input and target whose texts are cut; the loader of classes counts words itself."""
    found = {id(base): base for base, _ in map(origin, dataset.splits.values()) if isinstance(base, TextSource)}
    are_pairs = any(isinstance(target, Tokens) for target in spec.targets)
    warnings = []
    for value in (*spec.inputs, *spec.targets):
        if isinstance(value, Tokens) and (are_pairs or value.tokenizer == "subwords"):
            count = sum(base.cut.get(value.name, 0) for base in found.values())
            if count:
                warnings.append(
                    f"{count} texts of `{value.name}` are longer than {value.max_tokens} tokens: their "
                    f"{value.truncate} is cut"
                )
    return warnings


def _reuse_fitted(value: Feature, known: dict[str, Feature]) -> Feature:
    """Fill in an input or a target from a trained network's features."""
    other = known.get(value.name)
    if other is None or isinstance(value, Time) or other.kind != value.kind:
        return value
    reused = {name: getattr(other, name) for name in REUSED if name in type(value).model_fields}
    return value.model_copy(update={name: known for name, known in reused.items() if known is not None})


@functools.singledispatch
def fit_input(value: Feature, train: Source) -> Feature:
    """Fit an input on the training split. Most kinds need no fitting."""
    return value


@fit_input.register
def _(value: Number, train: Source) -> Feature:
    if value.mean is not None:
        return value
    base, rows = origin(train)
    if isinstance(base, TableSource):
        return _of_table(value, base.raw.iloc[rows])
    return with_statistics(value, column(train, value.name))


@fit_input.register
def _(value: Category, train: Source) -> Feature:
    base, rows = origin(train)
    return _of_table(value, base.raw.iloc[rows]) if isinstance(base, TableSource) else value


@fit_input.register
def _(value: Series, train: Source) -> Feature:
    base, _ = origin(train)
    if value.mean is not None:
        return value
    if not isinstance(base, WindowSource):
        return fit_sequences(value, train)
    if value.name == KNOWN and base.known is not None:
        return fit_series(value, (), base.known)
    return fit_series(value, base.targets, base.rows)


def _fit_length(value: Feature, dataset: Dataset, known: Mapping[str, Feature]) -> Feature:
    """Set the length of subwords to that of the longest text; until they are learned, texts are counted in words."""
    if not isinstance(value, Tokens) or value.tokenizer != "subwords" or value.name in known:
        return value
    bases = [base for base, _ in map(origin, dataset.splits.values()) if isinstance(base, TextSource)]
    if not bases or any(base.settings.max_length is not None for base in bases):
        return value
    longest = max(base.ids(value).length for base in bases)
    return value.model_copy(update={"shape": (max(1, longest) + value.with_end,)})


@fit_input.register
def _(value: Tokens, train: Source) -> Feature:
    base, rows = origin(train)
    if value.vocabulary or not isinstance(base, TextSource | TextStream):
        return value
    return value.model_copy(update={"vocabulary": base.vocabulary(rows)})


def _of_table(value: Number | Category, raw: pd.DataFrame) -> Feature:
    """Fit an input's columns on the raw rows of a table."""
    (fitted,) = input_values([fit_column(column, raw[column.name]) for column in value.columns or ()])
    return with_statistics(fitted, encode_rows(fitted, raw)) if isinstance(fitted, Number) else fitted


@functools.singledispatch
def fit_target(value: Feature, train: Source, inputs: tuple[Feature, ...]) -> Feature:
    """Fit a target on the training split, after its inputs. Most kinds need no fitting."""
    return value


@fit_target.register
def _(value: Number, train: Source, inputs: tuple[Feature, ...]) -> Feature:
    return fit_numbers(value, column(train, value.name)) if value.mean is None else value


@fit_target.register
def _(value: Tokens, train: Source, inputs: tuple[Feature, ...]) -> Feature:
    first = inputs[0]
    assert isinstance(first, Tokens)
    return value.model_copy(update={"vocabulary": value.vocabulary or first.vocabulary})


@fit_target.register(ClassId)
@fit_target.register(Labels)
def _(value: ClassId | Labels, train: Source, inputs: tuple[Feature, ...]) -> Feature:
    if value.counts is not None or not isinstance(train, BaseSource):  # another source would have to be read for it
        return value
    return with_counts(value, column(train, value.name))


@fit_target.register
def _(value: Horizon, train: Source, inputs: tuple[Feature, ...]) -> Feature:
    series = inputs[0]
    if value.mean is not None or not isinstance(series, Series):
        return value
    places = [(series.columns or ()).index(column) for column in value.columns or ()]
    mean, std = (tuple((numbers or ())[place] for place in places) for numbers in (series.mean, series.std))
    if len(value.shape) == 1:
        mean, std = mean * value.shape[0], std * value.shape[0]
    return value.model_copy(update={"mean": mean, "std": std})


def _unknown(dataset: Dataset, inputs: tuple[Feature, ...], reference: IOSpec | None) -> dict[str, dict[str, int]]:
    """Count the rows with a rare or unknown category, per split and column, but not in the split that is fitted."""
    counts = {
        split: Counter(_unknown_in(source, inputs))
        for split, source in dataset.splits.items()
        if reference or split != "train"
    }
    return {split: dict(+found) for split, found in counts.items() if +found}


def _unknown_in(source: Source, inputs: tuple[Feature, ...]) -> Counter[str]:
    base, rows = origin(source)
    if isinstance(base, Joined):
        return sum((_unknown_in(part, inputs) for part in base.sources), Counter())
    if not isinstance(base, TableSource):
        return Counter()
    unknown = base.find_unknown(inputs)
    return Counter({name: int(np.count_nonzero(found[rows])) for name, found in unknown.items()})
