"""Exports for tables: numbers beyond float16, columns of all scales, categories as strings."""

import shutil

import numpy as np
import pandas as pd
import pytest

from dltemplates import catalog
from dltemplates.deploy.export_run import export
from dltemplates.deploy.formats.format import load_format
from dltemplates.inference import evaluate, predict
from dltemplates.runtimes import load_predictor
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template
from dltemplates.training.train import train

ROWS = 240
TABLE_FORMATS = [key for key in catalog.FORMATS if key != "tflite:int16x8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a regression of millions on one column of millions, one of thousandths, and non-ASCII categories."""
    random = np.random.default_rng(0)
    income = random.normal(1e6, 3e5, ROWS)
    share = random.normal(2e-3, 1e-3, ROWS)
    town = random.choice(["Köln", "Łódź", "Rom", "東京"], ROWS)
    garden = random.choice(["yes", "no"], ROWS)
    price = 2 * income + 4e8 * share + 5e5 * (town == "Łódź") + 9e5 * (town == "東京") + random.normal(0, 3e5, ROWS)
    folder = tmp_path_factory.mktemp("tables")
    table = pd.DataFrame({"income": income, "share": share, "town": town, "garden": garden, "price": price})
    table.to_csv(folder / "prices.csv", index=False)
    settings = {
        "dataset.name": str(folder / "prices.csv"),
        "dataset.target": "price",
        "model.units": [16],
        "train.epochs": 25,
        "train.batch_size": 16,
        "train.learning_rate": 0.01,
        "train.weight_decay": 0.0,
        "export.calibration": 64,
    }
    return train(load_template("mlp_california_housing", settings), output=folder / "run")


@pytest.fixture(scope="module")
def exported(run):
    """Export all formats, with and without string inputs; the checks of the export prove them."""
    return export(run, formats="all", string_inputs=True, max_drop="10%")  # of 22 rows


def examples(run):
    source = load_for(run)[1].split("test")
    return source.read(np.arange(len(source)))


def test_every_format_that_takes_categories_passes(exported):
    verdicts = {result.format: (result.verdict, result.reason) for result in exported.results}
    assert verdicts.pop("tflite:int16x8")[0] == "not offered"
    assert {verdict for verdict, _ in verdicts.values()} == {"passed"}, verdicts
    assert list(verdicts) == TABLE_FORMATS


@pytest.mark.parametrize("key", TABLE_FORMATS)
def test_formats_below_float32_take_and_return_standardized_numbers(run, exported, key):
    """A caller that follows the contract gets prices; the arrays in between fit into float16."""
    predictor = load_predictor(run.exports_path / exported.result(key).file)
    features, categories = predictor.contract.inputs
    (price,) = predictor.contract.outputs
    small = key.endswith(("int8", "float16"))
    assert (features.standardized, price.standardized) == (small, small)
    arrays = examples(run)
    encoded = features.encode(arrays["features"])
    raw = predictor._run({"features": encoded, "categories": categories.encode(arrays["categories"])})["value"]
    if small:
        assert max(np.abs(features.encode(arrays["features"])).max(), np.abs(raw).max()) < 256
    (value,) = predictor({value.name: arrays[value.name] for value in predictor.contract.inputs}).values()
    np.testing.assert_array_equal(value, price.decode(raw))
    assert np.abs(value - arrays["value"]).mean() < 0.4 * arrays["value"].std()


def test_formats_that_support_it_take_categories_as_strings(run, exported):
    string_inputs = exported.parts["strings"]
    assert {result.format: result.verdict for result in string_inputs.results} == {
        key: "not offered" if key.startswith("onnx") or key in ("tflite:int8", "tflite:int16x8") else "passed"
        for key in catalog.FORMATS
    }
    towns = ["Köln", "Łódź", "Rom", "東京", "Atlantis", ""]
    rows = [f"income=1000000,share=0.002,town={town},garden=no" for town in towns]
    expected = [found["value"] for found in predict(run.path, rows)]
    assert len({value for (value,) in expected}) == 5  # unknown equals missing
    for key in ("saved_model", "tflite:float32", "tflite:float16"):
        path = run.exports_path / "strings" / string_inputs.result(key).file
        contract = load_predictor(path).contract
        assert [(value.name, value.dtype) for value in contract.inputs] == [
            ("features", "float32"),
            ("categories", "string"),
        ]
        found = predict(path, rows)
        np.testing.assert_allclose(
            [example["value"] for example in found], expected, rtol=1e-3 if "16" in key else 1e-5
        )
        assert [example.get("unknown") for example in found] == [None] * 4 + [["town"], None]
        scores = evaluate(path, data=run.template.dataset.name)["scores"]
        assert scores == pytest.approx(run.record.scores["test"], rel=1e-3 if "16" in key else 1e-4)


def test_a_table_of_numbers_exports_to_16_bit_integers(tmp_path, in_process):
    """Ten columns from 1 to 300 and a target of hundreds, each on its own scale."""
    run = train(load_template("linear_regression_diabetes", {"train.epochs": 5}), output=tmp_path / "run")
    report = export(run, formats=["tflite:int8", "tflite:int16x8"], max_drop="5%")
    assert [result.verdict for result in report.results] == ["passed", "passed"]
    contract = load_predictor(run.exports_path / report.result("tflite:int16x8").file).contract
    assert (contract.inputs[0].dtype, contract.inputs[0].standardized) == ("float32", True)
    assert contract.outputs[0].standardized


@pytest.mark.slow
def test_refused_layers_of_tables_fail_to_convert(run, exported, tmp_path, monkeypatch):
    unsupported = {key: load_format(key).unsupported_layers for key in catalog.FORMATS}
    refused = {key: reasons for key, reasons in unsupported.items() if {"Embedding", "CategoryLookup"} & {*reasons}}
    assert refused
    copy = shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))
    monkeypatch.setattr("dltemplates.deploy.part.not_offered", lambda format, found: None)
    report = export(copy, formats=list(refused), string_inputs=True, max_drop="10%")
    for key, reasons in refused.items():
        assert report.parts["strings"].result(key).verdict == "failed"
        assert report.result(key).verdict == ("failed" if "Embedding" in reasons else "passed")


def test_text_is_for_networks_that_take_categories(small_run):
    with pytest.raises(
        ValueError, match=r"for networks with category inputs\. Received: a network with inputs of kind image"
    ):
        export(small_run, formats=["onnx:float32"], string_inputs=True)
    assert not small_run.exports_path.exists()
