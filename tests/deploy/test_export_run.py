"""The export of a run: settings of its template, and options that replace them."""

import shutil

import pytest

from conftest import small_template
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.export_run import export
from dltemplates.runs import Run
from dltemplates.runtimes import read_contract
from dltemplates.training.train import train


@pytest.fixture
def run(small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    return Run(tmp_path / "run")


def test_the_report_holds_the_digest_of_the_weights(run, in_process):
    report = export(run, formats=["tflite:float32"])
    assert report.weights_sha256 == run.record.sha256["model.weights.h5"]
    assert report.is_of(run)
    run.weights_path.write_bytes(b"trained further")
    run.save_record(run.record)
    assert not report.is_of(run)


def test_an_earlier_export_of_the_run_stays_in_the_report(run, in_process):
    assert any("seed" in variable.path for variable in run.serving().model.variables)
    export(run, formats=["tflite:float32"])
    report = export(run, formats=["onnx:float32"])
    assert [result.format for result in report.results] == ["tflite:float32", "onnx:float32"]


def test_options_replace_settings_of_the_template(run, in_process, monkeypatch):
    counts = []

    def counted(contract, dataset, count):
        counts.append(count)
        return calibration(contract, dataset, count)

    monkeypatch.setattr("dltemplates.deploy.part.calibration", counted)
    report = export(run, formats=["tflite:int8"], max_drop=0.05, input="int8", calibration=40)
    (image,) = read_contract(run.exports_path / report.result("tflite:int8").file).inputs
    assert (image.dtype, image.quantization) == ("int8", (1.0, -128))
    assert counts == [40]


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ({"input": "float32"}, r"^`input` is wrong\. Received: 'float32'\. Input should be 'uint8' or 'int8'\.$"),
        ({"calibration": 0}, r"^`calibration` is wrong\. Received: 0\. Input should be greater than 0\.$"),
    ],
)
def test_invalid_options_leave_no_files(run, override, match):
    with pytest.raises(ValueError, match=match):
        export(run, **override)
    assert not run.exports_path.exists()


def test_all_exports_every_format_offered_for_the_model(tmp_path, in_process):
    """The activation has no 16x8 operator; the template names one format only."""
    template = small_template(
        model={"name": "mlp", "units": [16], "activation": "elu"}, train__epochs=2, export__formats=["onnx:float32"]
    )
    run = train(template, output=tmp_path / "run")
    by_default = export(run, max_drop=1.0)
    assert [result.format for result in by_default.results] == ["onnx:float32"]
    report = export(run, formats="all", max_drop=1.0)
    verdicts = {result.format: result.verdict for result in report.results}
    assert verdicts.pop("tflite:int16x8") == "not offered"
    assert set(verdicts.values()) == {"passed"}
    assert len(verdicts) == 8
    assert not report.failed
    assert export(run, formats=["tflite:int16x8"], max_drop=1.0).failed
