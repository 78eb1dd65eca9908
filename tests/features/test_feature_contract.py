"""The contract of every kind of feature: it is read as written, holds only its own fields, and needs no framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

import dltemplates
from dltemplates import features
from dltemplates.features import (
    AnyFeature,
    Binary,
    Boxes,
    Category,
    ClassId,
    Column,
    History,
    Horizon,
    Image,
    Labels,
    Length,
    Noise,
    Number,
    Probabilities,
    Series,
    Time,
    Tokens,
)

PRICE = Column(name="price")
CITY = Column(name="city", kind="category", place=1, vocabulary=("Bonn", "Kiel"))
REVIEW = Column(name="review", kind="text")
DAY = Column(name="day", kind="date", format="%d.%m.%Y")
CENTERED = {"quantization": (1 / 128, 127), "mean": 127, "scale": 1 / 128}
STATISTICS = {"mean": (2.0, 3.0), "std": (0.5, 4.0), "standardized": True}

REGISTER = (  # one of each kind, with all that it can hold
    Image(name="image", dtype="uint8", shape=(4, 6, 3), range=(0, 255), resize="pad", **CENTERED),
    ClassId(name="label", dtype="int64", shape=(), classes=("no", "yes"), counts=(3, 4), columns=(CITY,)),
    Labels(name="labels", dtype="float32", shape=(2,), classes=("red", "round"), counts=(3, 4)),
    Number(name="features", dtype="float32", shape=(2,), columns=(PRICE, DAY), **STATISTICS),
    Category(name="categories", dtype="int32", shape=(1,), columns=(CITY,)),
    Noise(name="noise", dtype="float32", shape=(5,)),
    Series(name="series", dtype="float32", shape=(12, 2), columns=(PRICE, PRICE), id_column="walk", **STATISTICS),
    Horizon(name="future", dtype="float32", shape=(2,), columns=(PRICE,), **STATISTICS),
    History(name="past", dtype="float32", shape=(12,), columns=(PRICE,)),
    Time(name="time", dtype="float64", shape=(), columns=(DAY,), frequency="MS"),
    Probabilities(
        name="probabilities", dtype="int8", shape=(2,), range=(0, 1), classes=("no", "yes"), quantization=(0.1, -3)
    ),
    Binary(name="decision", dtype="float32", shape=(), columns=(CITY,), threshold=0.5),
    Boxes(name="boxes", dtype="float32", shape=(8, 4)),
    Length(name="length", dtype="int32", shape=(), range=(1, 12)),
    Tokens(
        name="text",
        dtype="int32",
        shape=(12,),
        columns=(REVIEW,),
        tokenizer="characters",
        lowercase=True,
        vocabulary=("가", " ", "\N{GRINNING FACE}"),
        truncate="start",
    ),
)
UNION = TypeAdapter(AnyFeature)
BLOCKED = ("tensorflow", "keras", "pandas", "matplotlib")

each = pytest.mark.parametrize("feature", REGISTER, ids=lambda feature: feature.kind)


def check_registered(kinds):
    """Fail for a kind of feature without an example."""
    for kind in kinds:
        if kind not in map(type, REGISTER):
            pytest.fail(f"add a row to REGISTER in tests/features/test_feature_contract.py for `{kind.__name__}`")


def test_there_is_an_example_of_each_kind():
    union, _ = get_args(AnyFeature)
    check_registered(get_args(union))
    assert {type(feature) for feature in REGISTER} == set(get_args(union))
    assert len(REGISTER) > 10


def test_a_kind_without_an_example_fails():
    class Mask(features.Feature):
        pass

    with pytest.raises(
        pytest.fail.Exception, match="add a row to REGISTER in tests/features/test_feature_contract.py for `Mask`"
    ):
        check_registered([Mask])


@each
def test_a_feature_is_read_as_written(feature):
    assert UNION.validate_json(UNION.dump_json(feature)) == feature
    assert UNION.validate_json(feature.model_dump_json(exclude_none=True)) == feature


@each
def test_each_file_holds_one_kind(feature):
    files = [path.stem for path in Path(features.__file__).parent.glob("*.py")]
    module = type(feature).__module__.removeprefix("dltemplates.features.")
    assert module in files
    assert [type(other) for other in REGISTER if type(other).__module__ == type(feature).__module__] == [type(feature)]


@each
def test_a_writer_refuses_unknown_fields(feature):
    with pytest.raises(ValidationError, match="colour"):
        type(feature)(**dict(feature), colour="red")


@each
def test_a_reader_ignores_unknown_fields(feature):
    first_edition = {"threshold": None, "counts": None, "standardized": False, "preparation": None, "colour": "red"}
    written = first_edition | feature.model_dump(mode="json")
    assert UNION.validate_python(written, extra="ignore") == feature


def test_a_kind_that_is_not_known_is_refused():
    with pytest.raises(ValidationError, match="hologram"):
        UNION.validate_python({"kind": "hologram", "name": "x", "dtype": "float32", "shape": ()})


def test_every_kind_is_exported():
    kinds = {type(example).__name__ for example in REGISTER}
    assert kinds <= set(features.__all__)
    assert all(hasattr(features, name) for name in features.__all__)


@pytest.mark.parametrize("module", ["dltemplates.features", "dltemplates.runtimes"])
def test_no_framework_is_needed(module):
    program = f"import sys; sys.modules |= dict.fromkeys({BLOCKED}); import {module}"
    root = Path(dltemplates.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", BLOCKED)
def test_importing_a_blocked_framework_fails(name):
    program = f"import sys; sys.modules |= dict.fromkeys({BLOCKED}); import {name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr
