import json
import os
import sys
import textwrap
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates import catalog
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.deploy.converters import convert
from dltemplates.deploy.export import export_system
from dltemplates.deploy.files import size
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.part import layer_types, not_offered
from dltemplates.deploy.report import REPORT_FILE, load_report
from dltemplates.settings import ExportSettings
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.scoring.evaluation import WHOLE, Evaluation
from dltemplates.tasks.serving.contract import Contract, ServingModel
from dltemplates.tasks.serving.file_digest import path_digest

ONE = ("tflite:float32",)


class Precise(Classification):
    """A task that scores how many outputs are finer than 1/256, which 8-bit outputs never are."""

    def compare(self, targets, outputs):
        return Evaluation({"fineness": float(np.mean(outputs["probabilities"] * 256 % 1 != 0))}, targets, outputs)


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_every_format_passes(exported, key):
    report, folder = exported
    result = report.result(key)
    path = folder / result.file
    assert (result.verdict, result.reason, result.remarks) == ("passed", None, ())
    assert (result.sha256, result.size) == (path_digest(path), size(path))
    assert 0 < result.latency_ms < 1000
    assert (result.operators == {}) == (key == "saved_model")
    for split, examples in (("validation", 300), ("test", 297)):
        figures = result.splits[split]
        assert figures.examples == examples
        assert figures.float_score > 0.9
        assert figures.drop == pytest.approx(figures.float_score - figures.score)
        assert abs(figures.drop) <= 0.01
        assert figures.agreement == pytest.approx(1 - figures.changed / examples)
        assert figures.agreement >= 0.98
    assert 0 <= result.splits["validation"].max_error <= (load_format(key).tolerance or 0.2)
    assert result.splits["test"].max_error is None  # the test split decides nothing
    gate = result.gate
    assert (gate.units, gate.failure, gate.lost is None) == (300, None, False)
    assert gate.lost - gate.gained <= 3
    assert gate.proven == (gate.interval[1] <= 0.01)


def test_an_export_leaves_only_files_and_the_report(exported):
    report, folder = exported
    assert not report.failed
    assert {path.name for path in folder.iterdir()} == {REPORT_FILE} | {result.file for result in report.results}
    assert len(report.results) == len(catalog.FORMATS) == 9
    assert load_report(folder) == report


def test_sizes_follow_the_formats(exported):
    sizes = {result.format: result.size for result in exported[0].results}
    assert sizes["tflite:int8"] < sizes["tflite:float16"] < sizes["tflite:float32"]
    assert sizes["onnx:float16"] < sizes["onnx:float32"]


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_every_file_carries_its_contract_and_labels(exported, key):
    report, folder = exported
    path = folder / report.result(key).file
    if path.suffix == ".tflite":
        with zipfile.ZipFile(path) as archive:
            texts = {name: archive.read(name).decode() for name in archive.namelist()}
    elif path.suffix == ".onnx":
        import onnx

        texts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    else:
        texts = {file.name: file.read_text() for file in (path / "assets.extra").iterdir()}
    contract = Contract.model_validate_json(texts["contract.json"])
    dtype = "uint8" if key.endswith(":int8") else "float32"
    assert (contract.inputs[0].name, contract.inputs[0].dtype) == ("image", dtype)
    assert contract.inputs[0].quantization == ((1.0, 0) if dtype == "uint8" else None)
    assert contract.outputs[0].name == "probabilities"
    assert texts["labels.txt"].split() == list("0123456789")


def test_an_earlier_export_of_the_same_weights_stays_in_the_report(serving, task, dataset, tmp_path, in_process):
    first = export_system({WHOLE: serving}, task, dataset, tmp_path, formats=["tflite:float32", "onnx:float32"])
    (tmp_path / first.result("onnx:float32").file).write_bytes(b"touched")
    second = export_system({WHOLE: serving}, task, dataset, tmp_path, formats=["tflite:float16"])
    assert [result.format for result in second.results] == ["tflite:float32", "tflite:float16"]
    assert load_report(tmp_path) == second


def test_a_file_keeps_its_budget(serving, task, dataset, tmp_path, in_process):
    export_system({WHOLE: serving}, task, dataset, tmp_path, formats=["tflite:float32"], max_drop="5%")
    report = export_system({WHOLE: serving}, task, dataset, tmp_path, formats=["onnx:float32"], max_drop=0.001)
    assert [result.max_drop for result in report.results] == ["5%", "0.001"]
    remarks = [report.remarks(result) for result in report.results]
    assert remarks == [("exported earlier, when a drop of at most 5% was allowed",), ()]


def test_a_file_over_budget_is_removed_with_a_reason(serving, dataset, tmp_path, in_process):
    earlier = tmp_path / "tiny-int8.tflite"
    earlier.write_bytes(b"from an earlier export")
    settings = ExportSettings(formats=("tflite:float32", "tflite:int8"))
    report = export_system({WHOLE: serving}, Precise(dataset.spec), dataset, tmp_path, settings, max_drop="1%")
    result = report.result("tflite:int8")
    assert report.failed
    assert "over budget: fineness on validation is 0.0000" in result.reason
    assert "1% is allowed" in result.reason
    assert not earlier.exists()
    assert {path.name for path in tmp_path.iterdir()} == {REPORT_FILE, "tiny-float32.tflite"}


def test_a_network_with_nan_is_not_exported(serve, task, dataset, tmp_path, in_process):
    serving = serve(layers.Flatten(), layers.Dense(10))
    serving.model.set_weights([np.full_like(array, np.nan) for array in serving.model.get_weights()])
    with pytest.raises(ValueError, match="must be finite. Received: NaN or infinity in `probabilities` for 300 of 300"):
        export_system({WHOLE: serving}, task, dataset, tmp_path)
    assert not tmp_path.exists()  # an empty folder is removed


def test_a_network_without_weights_fails_every_format(serve, task, dataset, tmp_path, in_process):
    serving = serve(layers.Flatten(), layers.Dense(10))
    serving.model.set_weights([np.zeros_like(array) for array in serving.model.get_weights()])
    report = export_system({WHOLE: serving}, task, dataset, tmp_path)
    assert {result.verdict for result in report.results} == {"failed"}
    assert all("must depend on the input" in result.reason for result in report.results)
    assert [path.name for path in tmp_path.iterdir()] == [REPORT_FILE]
    assert len(load_report(tmp_path).results) == 9


def test_a_crash_of_the_converter_fails_only_its_format(serving, task, dataset, tmp_path, monkeypatch):
    program = """
        import os, signal
        from dltemplates.deploy import worker

        convert = worker.convert

        def dying(job, key, out):
            out.write_bytes(b"half")
            if key == "tflite:float16":
                os.kill(os.getpid(), signal.SIGSEGV)
            return convert(job, key, out)

        worker.convert = dying
        worker.main()
    """
    monkeypatch.setattr(convert, "WORKER", (sys.executable, "-c", textwrap.dedent(program)))
    settings = ExportSettings(formats=("tflite:float32", "tflite:float16", "onnx:float32"))
    report = export_system({WHOLE: serving}, task, dataset, tmp_path, settings)
    assert [result.verdict for result in report.results] == ["passed", "failed", "passed"]
    assert report.results[1].reason == "the converter crashed (SIGSEGV)"
    assert {path.name for path in tmp_path.iterdir()} == {REPORT_FILE, "tiny-float32.tflite", "tiny-float32.onnx"}


def test_an_interrupt_keeps_finished_formats(serving, task, dataset, tmp_path, in_process):
    def interrupt(key, state):
        if (key, state) == ("tflite:float32", "checking"):
            raise KeyboardInterrupt

    earlier = tmp_path / "tiny-float32.tflite"
    earlier.write_bytes(b"from an earlier export")
    with pytest.raises(KeyboardInterrupt):
        export_system({WHOLE: serving}, task, dataset, tmp_path, formats=["saved_model", *ONE], progress=interrupt)
    assert {path.name for path in tmp_path.iterdir()} == {REPORT_FILE, "tiny-saved_model", earlier.name}
    assert earlier.read_bytes() == b"from an earlier export"
    assert [result.format for result in load_report(tmp_path).results] == ["saved_model"]


def test_an_interrupt_before_the_first_file_leaves_no_folder(serving, task, dataset, tmp_path, in_process):
    def interrupt(key, state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_system({WHOLE: serving}, task, dataset, tmp_path / "exports", formats=ONE, progress=interrupt)
    assert not (tmp_path / "exports").exists()


def test_a_full_disk_raises_an_error(serving, task, dataset, tmp_path, monkeypatch, in_process):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dltemplates.deploy.report.atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        export_system({WHOLE: serving}, task, dataset, tmp_path, formats=ONE)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("requested", [False, True])
def test_a_format_that_is_not_offered_fails_only_if_requested(serve, task, dataset, tmp_path, requested, in_process):
    serving = serve(layers.Flatten(), layers.Dense(10, activation="elu"))
    key = "tflite:int16x8"
    report = export_system(
        {WHOLE: serving}, task, dataset, tmp_path, ExportSettings(formats=(key,)), formats=(key,) if requested else None
    )
    assert bool(report.failed) == requested
    assert report.result(key).verdict == ("failed" if requested else "not offered")
    assert "elu: the TFLite converter has no 16x8 form" in report.result(key).reason
    assert [path.name for path in tmp_path.iterdir()] == [REPORT_FILE]


def test_layer_types_are_found_in_nested_networks(serve):
    found = layer_types(serve(layers.Conv2D(4, 3, activation="hard_silu"), layers.Flatten(), layers.LeakyReLU()).model)
    assert {"Conv2D", "hard_silu", "LeakyReLU", "Rescaling"} <= found
    assert not_offered(load_format("tflite:int16x8"), found)
    assert not_offered(load_format("tflite:int8"), found) is None
    assert not_offered(load_format("onnx:int8"), found) is None


@pytest.mark.parametrize(
    ("formats", "max_drop", "match"),
    [
        (["tflite:int9"], None, "Unknown format.*tflite:int8"),
        (ONE, "lots", "`max_drop` must be a number"),
    ],
)
def test_invalid_options_leave_no_files(serving, task, dataset, tmp_path, formats, max_drop, match, in_process):
    with pytest.raises(ValueError, match=match):
        export_system({WHOLE: serving}, task, dataset, tmp_path / "new", formats=formats, max_drop=max_drop)
    assert not (tmp_path / "new").exists()


def test_an_empty_split_is_refused(serving, task, dataset, tmp_path):
    nothing = ArraySource({name: array[:0] for name, array in dataset.split("train").arrays.items()})
    empty = Dataset(dataset.spec, {**dataset.splits, "validation": nothing})
    with pytest.raises(ValueError, match=r"Split `validation` must hold examples.*Received: 0"):
        export_system({WHOLE: serving}, task, empty, tmp_path / "new", formats=ONE)
    assert not (tmp_path / "new").exists()


def test_names_of_inputs_and_outputs_must_match_the_contract(serving, task, dataset, tmp_path):
    image = keras.Input((8, 8, 1), name="picture")
    model = keras.Model(image, {"probabilities": layers.Dense(10)(layers.Flatten()(image))})
    with pytest.raises(ValueError, match=r"inputs must be those of its contract, image\. Received: picture"):
        export_system({WHOLE: ServingModel(model, serving.contract)}, task, dataset, tmp_path / "new", formats=ONE)
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model(image, {"scores": layers.Dense(10)(layers.Flatten()(image))})
    with pytest.raises(ValueError, match=r"outputs must be those of its contract, probabilities\. Received: scores"):
        export_system({WHOLE: ServingModel(model, serving.contract)}, task, dataset, tmp_path / "new", formats=ONE)


def test_exported_files_need_no_tensorflow(exported):
    import subprocess

    report, folder = exported
    paths = [str(folder / result.file) for result in report.results if result.format != "saved_model"]
    program = """
        import json, sys
        import numpy as np
        from dltemplates.runtimes import load_predictor
        for path in json.loads(sys.argv[1]):
            predictor = load_predictor(path)
            outputs = predictor({"image": np.zeros((3, 8, 8, 1), np.uint8)})
            assert outputs["probabilities"].shape == (3, 10)
            assert predictor.operators
        assert not {"tensorflow", "keras"} & set(sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), json.dumps(paths)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert len(paths) == 8
