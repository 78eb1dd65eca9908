"""Datasets whose examples are rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from dltemplates.datasets.features import fits_float32
from dltemplates.datasets.source import Arrays, ArraySource, BaseSource, Dataset, Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.tables.columns import categories_value, encode_rows, features_value, find_unknown, raw_rows
from dltemplates.datasets.tables.csv_file import CsvFile
from dltemplates.features import AnyFeature, Category, Column, Feature, Number, columns_of


class TableSource(BaseSource):
    """The raw rows of a table: numbers and dates as float64, categories as text.

    Attributes:
        table: All columns as text.
        columns: The input columns.
        target: The target.
        targets: The target of each row, (n, ...).
        to_learn: Whether the rows are for training, instead of for a trained network.
        file: The file of the table; None if it is not from a file.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        columns: Sequence[Column],
        target: AnyFeature,
        targets: np.ndarray,
        *,
        to_learn: bool = True,
        file: CsvFile | None = None,
    ):
        self.table = table
        self.columns = tuple(columns)
        self.target = target
        self.targets = targets.astype(target.dtype)
        self.to_learn = to_learn
        self.file = file
        self._fitted: tuple[tuple[Feature, ...], Source] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def raw(self) -> pd.DataFrame:
        """The raw input columns.

        Raises:
            ValueError: If a column has invalid values.
        """
        return raw_rows(self.columns, self.table, to_learn=self.to_learn)

    def read(self, indices: np.ndarray) -> Arrays:
        """Read the rows at `indices` (n,): the raw columns (n, columns) of each input."""
        rows = self.raw.iloc[indices]
        inputs = {
            value.name: rows[[column.name for column in columns_of(value)]].to_numpy(
                object if isinstance(value, Category) else np.float64
            )
            for value in input_values(self.columns)
        }
        return inputs | {self.target.name: self.targets[indices]}

    def column(self, name: str) -> np.ndarray:
        return self.targets if name == self.target.name else super().column(name)

    def fitted(self, spec: DatasetSpec) -> Source:
        if self._fitted is None or self._fitted[0] != spec.inputs:  # encode once for all splits
            arrays = {value.name: encode_rows(value, self.raw) for value in spec.inputs}
            self._fitted = (spec.inputs, ArraySource(arrays | {self.target.name: self.targets}))
        return self._fitted[1]

    def find_unknown(self, inputs: Sequence[Feature]) -> dict[str, np.ndarray]:
        """Return whether each row has a category unknown to the fitted `inputs`, (n,) by category column."""
        return {name: rows for value in inputs for name, rows in find_unknown(value, self.raw).items()}


def input_values(columns: Sequence[Column]) -> tuple[Number | Category, ...]:
    """Build the inputs of table columns: the numbers side by side, then the ids of the categories."""
    numbers = [column for column in columns if column.kind != "category"]
    categories = [column for column in columns if column.kind == "category"]
    inputs: list[Number | Category] = [features_value(numbers)] if numbers else []
    return (*inputs, categories_value(categories)) if categories else tuple(inputs)


def number_table(
    names: Sequence[str], splits: Mapping[str, tuple[np.ndarray, np.ndarray]], target: AnyFeature
) -> Dataset:
    """Build a dataset from rows of numbers.

    Args:
        names: Column names.
        splits: Numbers (n, columns) and targets (n, ...) of each split.
        target: The target.

    Raises:
        ValueError: If a number is not finite, or too large for float32.
    """
    (features,) = input_values([Column(name=name) for name in names])
    sources: dict[str, Source] = {}
    for split, (rows, targets) in splits.items():
        if not fits_float32(rows).all():
            raise ValueError(
                f"A table must hold finite float32 numbers. Received: {(~fits_float32(rows)).sum()} others in {split}. "
                "Restore it."
            )
        arrays = {features.name: rows.astype(np.float32), target.name: targets.astype(target.dtype)}
        sources[split] = ArraySource(arrays)
    sizes = {split: len(source) for split, source in sources.items()}
    return Dataset(DatasetSpec(inputs=(features,), targets=(target,), sizes=sizes), sources)
