"""The contract of every format of the catalog: it converts a tiny model to a file that loads and passes.

A new format adds a row to `REGISTER`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.cli.pages import gather
from dltemplates.deploy import files, worker
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.converters import convert
from dltemplates.deploy.converters.conversion_job import ConversionJob
from dltemplates.deploy.converters.saved_model import save_serving, with_float_images
from dltemplates.deploy.export import export_system
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.raw_bytes import check_input
from dltemplates.runtimes import ONNXPredictor, Predictor, SavedModelPredictor, TFLitePredictor, load_predictor
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.file_digest import path_digest


@dataclass(frozen=True)
class Row:
    """The expected properties of a format.

    Attributes:
        runtime: The predictor that runs its file.
        image: The dtype of the file's image input.
        max_error: Largest error against Keras on the digits, divided by the range of Keras's output.
    """

    runtime: type[Predictor]
    image: str = "float32"
    max_error: float = 1e-4


REGISTER = {
    "saved_model": Row(SavedModelPredictor),
    "tflite:float32": Row(TFLitePredictor),
    "tflite:float16": Row(TFLitePredictor, max_error=1e-2),
    "tflite:dynamic": Row(TFLitePredictor, max_error=0.2),
    "tflite:int8": Row(TFLitePredictor, image="uint8", max_error=0.2),
    "tflite:int16x8": Row(TFLitePredictor, max_error=0.2),
    "onnx:float32": Row(ONNXPredictor),
    "onnx:float16": Row(ONNXPredictor, max_error=1e-2),
    "onnx:int8": Row(ONNXPredictor, image="uint8", max_error=0.2),
}


def row_of(key):
    if key not in REGISTER:
        pytest.fail(f"add a row to REGISTER in tests/deploy/test_format_contract.py for `{key}`")
    return REGISTER[key]


@pytest.fixture(scope="module")
def saved(serving, tmp_path_factory):
    """Save the tiny network; return the SavedModel folder and its contract."""
    folder = tmp_path_factory.mktemp("saved") / "serving"
    floats = with_float_images(serving)
    save_serving(floats, folder)
    return folder, floats.contract


def test_every_row_is_a_format_of_the_catalog():
    assert catalog.FORMATS
    assert set(REGISTER) <= set(catalog.FORMATS)
    for key in catalog.FORMATS:
        row_of(key)


def test_a_format_without_a_row_fails():
    with pytest.raises(
        pytest.fail.Exception, match="add a row to REGISTER in tests/deploy/test_format_contract.py for `tflite:none`"
    ):
        row_of("tflite:none")


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_a_format_has_valid_properties(key):
    format = load_format(key)
    assert format.key == key
    assert format.suffix in ("", ".tflite", ".onnx")
    assert format.tolerance is None or 0 < format.tolerance <= 1e-2
    if format.integer:
        assert format.tolerance is None
    assert all(format.unsupported_layers.values())


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_a_format_converts_and_its_file_passes(key, saved, dataset, reference, check, tmp_path):
    row, format = row_of(key), load_format(key)
    serving, contract = saved
    if format.needs_examples:
        np.savez(tmp_path / "calibration.npz", **calibration(contract, dataset.split("train"), 64))
    job = ConversionJob(serving, tmp_path, contract, "uint8")
    out = tmp_path / files.file_name("tiny", format)
    reply = worker.convert(job, key, out)
    assert ("examples" in vars(job)) == format.needs_examples
    assert out.is_dir() == (format.suffix == "")
    predictor = load_predictor(out)
    assert isinstance(predictor, row.runtime)
    assert predictor.contract.inputs[0].dtype == row.image
    if format.integer:
        assert check_input(predictor, reply["unfolded"]) == ()
    splits, _ = check(format, predictor, reference)
    assert set(splits) == {"validation", "test"}
    assert splits["validation"].max_error <= row.max_error


def test_a_new_format_needs_only_its_file(serving, task, dataset, tmp_path, monkeypatch):
    """It is listed, converted in a process of its own, checked, named and reported like any other."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import throwaway_format

    key = throwaway_format.KEY
    monkeypatch.setitem(catalog.FORMATS, key, throwaway_format.ENTRY)
    monkeypatch.setattr(convert, "WORKER", (sys.executable, "-c", "import throwaway_format as f; f.work()"))
    assert gather(key)["summary"] == "TFLite, float32, once more"
    report = export_system({WHOLE: serving}, task, dataset, tmp_path, formats=["tflite:float32", key])
    known, new = report.results
    assert (new.format, new.verdict, new.file) == (key, "passed", "tiny-again.again.tflite")
    assert new.sha256 == known.sha256 == path_digest(tmp_path / new.file)
    assert new.splits == known.splits
