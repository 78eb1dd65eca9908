"""Datasets whose examples are rows of numbers."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from conftest import load_data
from dltemplates.datasets.features import class_value, number_value
from dltemplates.datasets.fit import fit
from dltemplates.datasets.named.gates import GATES
from dltemplates.datasets.source import SPLITS
from dltemplates.datasets.tables.source import number_table
from dltemplates.features import classes_of
from dltemplates.settings import DatasetSettings


def load(name, **settings):
    return load_data(DatasetSettings(name=name, **settings))


def everything(dataset, split):
    source = dataset.split(split)
    return source.read(np.arange(len(source)))


@pytest.mark.parametrize(
    ("name", "rows", "columns", "classes"),
    [
        ("iris", 150, 4, 3),
        ("wine", 178, 13, 3),
        ("breast_cancer", 569, 30, 2),
        ("diabetes", 442, 10, None),
        ("moons", 1000, 2, 2),
    ],
)
def test_the_tables_of_scikit_learn_are_complete(name, rows, columns, classes):
    dataset = load(name)
    (value,), (target,) = dataset.spec.inputs, dataset.spec.targets
    assert sum(dataset.spec.sizes.values()) == rows
    assert (value.kind, value.shape, len(value.columns)) == ("number", (columns,), columns)
    assert (len(classes_of(target)) or None) == classes
    assert (target.kind == "number") == (classes is None)
    train = everything(dataset, "train")
    np.testing.assert_allclose(train["features"].mean(axis=0), value.mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(train["features"].std(axis=0), value.std, rtol=1e-4)


def test_rows_keep_their_targets_and_their_unit():
    for data, name in ((load_iris(), "iris"), (load_diabetes(scaled=False), "diabetes")):
        known = {tuple(np.float32(row)): target for row, target in zip(data.data, data.target, strict=True)}
        dataset = load(name)
        for split in SPLITS:
            arrays = everything(dataset, split)
            targets = arrays[dataset.spec.targets[0].name].reshape(-1)
            for row, target in zip(arrays["features"], targets, strict=True):
                assert known[tuple(row)] == target


@pytest.mark.parametrize("name", GATES)
def test_every_row_of_a_gate_is_in_every_split(name):
    dataset = load(f"gates:{name}")
    for split in SPLITS:
        arrays = everything(dataset, split)
        for (a, b), out in zip(arrays["features"].astype(bool), arrays["label"], strict=True):
            assert out == {"and": a and b, "or": a or b, "nand": not (a and b), "xor": a != b}[name]


def test_an_unknown_gate_is_refused():
    for name in ("gates", "gates:nor"):
        with pytest.raises(ValueError, match="Received: 'gates"):
            load(name)


def test_a_constant_column_keeps_its_unit():
    rows = np.array([[1.0, 5.0], [3.0, 5.0]])
    dataset = number_table(("a", "b"), {"train": (rows, np.array([0, 1]))}, class_value(("no", "yes")))
    assert fit(dataset).spec.inputs[0].std == (1.0, 1.0)


def test_numbers_beyond_float32_are_refused():
    rows = np.array([[1.0], [1e39], [np.nan]])
    with pytest.raises(ValueError, match="Received: 2 others in train"):
        number_table(("a",), {"train": (rows, np.zeros((3, 1)))}, number_value(1))
