"""Memory of an export: batch-wise checks, no graph kept, and formats skipped if memory is short."""

import gc
import shutil
import weakref

import numpy as np
import pytest

from conftest import small_template
from dltemplates import catalog
from dltemplates.cli import main as cli
from dltemplates.datasets import source as sources
from dltemplates.datasets.source import ArraySource, examples_at_once
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.deploy import export as loop
from dltemplates.deploy import memory, worker
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.converters.conversion_job import ConversionJob
from dltemplates.deploy.converters.saved_model import save_serving, with_float_images
from dltemplates.deploy.export import export_system
from dltemplates.deploy.export_run import export
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.memory import BASE, estimate, memory_note, too_large, weight_bytes
from dltemplates.deploy.parity import LARGE_BATCH, PartReference, check_part, compare, run_keras
from dltemplates.deploy.report import REPORT_FILE, load_report
from dltemplates.features import Category, Image, Number, Time
from dltemplates.runtimes import BATCH, Predictor, examples_per_call
from dltemplates.settings import ExportSettings
from dltemplates.tasks.reconstruction import Reconstruction
from dltemplates.tasks.scoring.evaluation import WHOLE, System
from dltemplates.tasks.serving.contract import Contract
from dltemplates.template import load_template
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train

SHAPE = (6, 5)
NUMBERS = Number(name="numbers", dtype="float32", shape=SHAPE)
SQUARES = NUMBERS.model_copy(update={"name": "squares"})
CONTRACT = Contract(name="wide", task="regression", inputs=(NUMBERS,), outputs=(SQUARES,), targets=())
COUNT = 100
KEY = "tflite:float32"
SETTINGS = ExportSettings(formats=("onnx:float32", KEY), calibration=16)


class Squares(Predictor):
    """A predictor that squares its input, with a small error; it records its batch sizes."""

    def __init__(self, contract=CONTRACT, error=0.0):
        super().__init__(contract)
        self.error, self.sizes = error, []

    def _run(self, encoded):
        (array,) = encoded.values()
        self.sizes.append(len(array))
        return {value.name: array**2 + self.error * np.sin(array) for value in self.contract.outputs}


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(size=(COUNT, *SHAPE)).astype("float32")


@pytest.fixture
def reference(numbers):
    return PartReference(CONTRACT, ArraySource({"numbers": numbers}), {"squares": numbers**2})


@pytest.fixture
def in_batches(monkeypatch):
    """Limit how many examples of `CONTRACT` run in a call."""

    def limit(count):
        monkeypatch.setattr(sources, "BYTES_AT_ONCE", count * 4 * 2 * int(np.prod(SHAPE)))
        assert examples_per_call(CONTRACT) == count

    return limit


def test_large_examples_run_in_smaller_batches():
    assert [examples_at_once(numbers, 64) for numbers in (0, 1, 2**14, 2**15, 2**20, 2**40)] == [64, 64, 64, 32, 1, 1]
    image = Image(name="image", dtype="float32", shape=(400, 400, 1))
    contract = CONTRACT.model_copy(update={"inputs": (image,), "outputs": (image,)})
    assert examples_per_call(contract) == 3
    assert examples_per_call(CONTRACT) == BATCH


@pytest.mark.parametrize("count", [1, 3, 64])
def test_a_batch_wise_comparison_equals_one_of_all_examples(reference, numbers, in_batches, count):
    in_batches(count)
    error = 0.01
    predictor = Squares(error=error)
    parity = compare(predictor, reference)
    difference, spread = error * np.sin(numbers.astype(np.float64)), np.ptp(numbers**2)
    assert (parity.examples, max(predictor.sizes)) == (COUNT, count)
    assert parity.max_error == pytest.approx(np.abs(difference).max() / spread, rel=1e-4)
    assert parity.rms_error == pytest.approx(np.sqrt(np.square(difference).mean()) / spread, rel=1e-4)
    assert reference.spreads == {"squares": spread}


def test_checks_use_no_larger_batches(reference, in_batches):
    in_batches(2)
    predictor = Squares()
    check_part(load_format(KEY), predictor, reference)
    assert max(predictor.sizes) == LARGE_BATCH
    assert sorted(set(predictor.sizes)) == [1, 2, 3, LARGE_BATCH]


def test_outputs_of_keras_are_stored_on_disk(serving, dataset, tmp_path, monkeypatch):
    floats, split = with_float_images(serving), dataset.split("validation")
    at_once = run_keras(floats, split, tmp_path / "at_once")
    monkeypatch.setattr(sources, "BYTES_AT_ONCE", 2000)
    assert 1 < examples_per_call(serving.contract) < 10
    by_parts = run_keras(floats, split, tmp_path / "by_parts")
    for name, array in at_once.outputs.items():
        assert isinstance(by_parts.outputs[name], np.memmap)
        np.testing.assert_allclose(by_parts.outputs[name], array, atol=1e-6)
    assert by_parts.spreads == pytest.approx(at_once.spreads)
    assert len(by_parts.source) == len(at_once.source) == 256


@pytest.mark.parametrize("count", [1, 7])
def test_a_batch_wise_prediction_equals_one_of_all_examples(numbers, in_batches, count):
    contract = CONTRACT.model_copy(update={"targets": (Time(name="text", dtype="string", shape=()),)})
    texts = np.array(["a" * (1 + place) for place in range(COUNT)])  # later texts are longer
    in_batches(count)
    targets, outputs = Squares(contract).predict(ArraySource({"numbers": numbers, "text": texts}))
    np.testing.assert_array_equal(outputs["squares"], numbers**2)
    np.testing.assert_array_equal(targets["text"], texts)


@pytest.mark.parametrize("count", [1, 7])
def test_reconstructions_are_scored_batch_wise(in_batches, count):
    image = Image(name="image", dtype="uint8", shape=(*SHAPE, 1), range=(0, 255))
    task = Reconstruction(DatasetSpec(inputs=(image,), targets=(image,), sizes={}, fingerprint=""))
    images = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE, 1), dtype=np.uint8)
    contract = Contract(name="r", task="reconstruction", inputs=(image,), outputs=(task.output(),), targets=(image,))

    class Darker(Predictor):
        def _run(self, encoded):
            return {"reconstruction": encoded["image"] * np.float32(0.5)}

    in_batches(count)
    streamed = task.evaluate(System({WHOLE: Darker(contract)}), ArraySource({"image": images}))
    whole = task.compare({"image": images}, {"reconstruction": images * np.float32(0.5)})
    assert streamed.scores == pytest.approx(whole.scores)
    assert (len(streamed), streamed.captions) == (COUNT, whole.captions)
    for name in ("targets", "outputs"):
        (found,), (expected,) = getattr(streamed, name).values(), getattr(whole, name).values()
        assert len(found) == 16
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [1, 7])
def test_calibration_reads_batch_wise(numbers, in_batches, monkeypatch, count):
    text = Category(name="text", dtype="string", shape=())
    threshold = SQUARES.model_copy(update={"threshold": 0.5})
    standardized = NUMBERS.model_copy(update={"mean": (0.0,) * 5, "std": (1.0,) * 5})
    wide = CONTRACT.model_copy(update={"inputs": (standardized,), "outputs": (threshold,)})
    texts = CONTRACT.model_copy(update={"inputs": (text,)})
    data = ArraySource({"numbers": numbers, "text": np.array(["b" * (1 + place) for place in range(COUNT)])})
    expected = calibration(wide, data, 50)["numbers"], calibration(texts, data, 50)["text"]
    in_batches(count)
    np.testing.assert_array_equal(calibration(wide, data, 50)["numbers"], expected[0])
    np.testing.assert_array_equal(calibration(texts, data, 50)["text"], expected[1])
    assert expected[1][49] == "b" * COUNT


@pytest.fixture
def request_of(serving, tmp_path):
    """Return the request to the converter process for a format."""
    floats = with_float_images(serving)
    save_serving(floats, tmp_path / "serving")
    return lambda key: {
        "do": "convert",
        "format": key,
        "serving": str(tmp_path / "serving"),
        "work": str(tmp_path),
        "out": str(tmp_path / key),
        "contract": floats.contract.model_dump_json(),
        "integer_type": "uint8",
    }


def test_each_job_is_freed_after_its_format(request_of, monkeypatch):
    jobs = []

    class Watched(ConversionJob):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            jobs.append(weakref.ref(self))

    monkeypatch.setattr(worker, "ConversionJob", Watched)
    for key in SETTINGS.formats:
        assert worker.answer(request_of(key)) == {}
    gc.collect()
    assert [job() for job in jobs] == [None, None]


def test_formats_share_intermediate_files(request_of, tmp_path, monkeypatch):
    (tmp_path / "frozen.partial").mkdir()  # left by a child that died
    (tmp_path / "float32.onnx.partial").write_text("half")
    for key in SETTINGS.formats:
        assert worker.answer(request_of(key)) == {}
    assert not list(tmp_path.glob("*.partial"))
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    def fails(*_):
        raise AssertionError("it was there already")

    monkeypatch.setattr("dltemplates.deploy.converters.graph.freeze", fails)
    monkeypatch.setattr("dltemplates.deploy.converters.graph.save_graphs", fails)
    monkeypatch.setattr("dltemplates.deploy.converters.onnx.convert_onnx", fails)
    for key in ("tflite:dynamic", "tflite:float16", "onnx:float16"):
        assert worker.answer(request_of(key)) == {}
    assert written.items() <= {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}.items()


def test_a_part_is_closed_before_the_next_is_converted(tmp_path, monkeypatch, in_process):
    settings = {"model.units": [24], "model.latent_dim": 6, "train.epochs": 1}
    run = train(load_template("autoencoder_digits", settings), output=tmp_path / "run")
    opened, alive = [], []
    load = loop.load_predictor

    def recorded(path, **options):
        predictor = load(path, **options)
        opened.append(weakref.ref(predictor))
        return predictor

    def tell(key, state):
        if state == "converting":
            gc.collect()
            alive.append(sum(ref() is not None for ref in opened))

    monkeypatch.setattr(loop, "load_predictor", recorded)
    assert not export(run, formats=[KEY, "onnx:float32"], max_drop=1.0, progress=tell).failed
    assert alive == [0] * 6  # the whole, its encoder and its decoder, in two formats


@pytest.fixture
def free(monkeypatch):
    """Set the bytes of free memory."""
    return lambda count: monkeypatch.setattr(memory, "available_memory", lambda: count)


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_every_format_has_an_estimate(key):
    assert load_format(key).memory > 0
    assert estimate(load_format(key), 0) == BASE


def test_the_estimate_for_vgg16_is_close():
    """Its conversion to TFLite took 11.6 GB; the estimate is slightly above."""
    assert 11.6e9 < max(estimate(load_format(key), 553_430_304) for key in catalog.FORMATS) < 15e9


def test_a_format_is_too_large_for_little_memory(serving, free):
    format = load_format(KEY)
    needed = int(estimate(format, weight_bytes(serving.model)))
    assert weight_bytes(serving.model) == 4 * serving.model.count_params()
    for count in (None, needed + 1):
        free(count)
        assert too_large(format, {WHOLE: serving}) is None
        assert memory_note([KEY], weight_bytes(serving.model)) is None
    free(0.3e9)
    assert too_large(format, {WHOLE: serving}).startswith("needs about 1.2 GB of memory, 0.3 GB free; ")
    free(8e9)
    assert memory_note([KEY, "saved_model"], 553_430_304) == (
        f"the export needs about 13 GB of memory, 8.0 GB free: it will skip {KEY}"
    )


def test_a_format_that_does_not_fit_is_skipped_with_a_reason(serving, task, dataset, tmp_path, free, in_process):
    states = {}
    free(0.5e9)
    report = export_system({WHOLE: serving}, task, dataset, tmp_path, SETTINGS, progress=states.__setitem__)
    assert not report.failed
    for key in SETTINGS.formats:
        result = report.result(key)
        assert (result.verdict, result.file) == ("skipped", None)
        assert "0.5 GB free" in result.reason
        assert states[key] == f"skipped: {result.reason}"
    assert [path.name for path in tmp_path.iterdir()] == [REPORT_FILE]
    assert load_report(tmp_path) == report
    free(None)  # with memory again, the skipped formats are exported
    again = export_system({WHOLE: serving}, task, dataset, tmp_path, SETTINGS, resume=True)
    assert [result.verdict for result in again.results] == ["passed", "passed"]


def test_a_requested_format_that_does_not_fit_fails(serving, task, dataset, tmp_path, free, in_process):
    states = {}
    free(0.5e9)
    options = {"formats": (KEY,), "progress": states.__setitem__}
    report = export_system({WHOLE: serving}, task, dataset, tmp_path, SETTINGS, **options)
    assert report.failed == (KEY,)
    assert "of memory, 0.5 GB free" in report.result(KEY).reason
    assert states == {KEY: f"failed: {report.result(KEY).reason}"}


def test_a_skipped_format_keeps_an_earlier_export_of_the_same_weights(
    serving, task, dataset, tmp_path, free, in_process
):
    settings = SETTINGS.model_copy(update={"formats": (KEY,)})
    free(None)
    earlier = export_system({WHOLE: serving}, task, dataset, tmp_path, settings)
    free(0)
    assert export_system({WHOLE: serving}, task, dataset, tmp_path, settings).results == earlier.results
    assert (tmp_path / earlier.result(KEY).file).exists()
    load_report(tmp_path).model_copy(update={"model_sha256": "other"}).save(tmp_path)
    report = export_system({WHOLE: serving}, task, dataset, tmp_path, settings)
    assert report.result(KEY).verdict == "skipped"
    assert [path.name for path in tmp_path.iterdir()] == [REPORT_FILE]


class Listener(Silent):
    """A reporter that records notes, in order."""

    def __init__(self):
        self.notes = []

    def begin(self, total_steps, first_step):
        self.notes.append("begin")

    def note(self, text):
        self.notes.append(text)


def test_the_memory_of_the_export_is_estimated_before_training(tmp_path, free):
    template = small_template(train__epochs=1, export__formats=["saved_model", KEY])
    listener = Listener()
    free(0.5e9)
    train(template, output=tmp_path / "run", reporter=listener)
    (place,) = [place for place, text in enumerate(listener.notes) if "the export needs about" in text]
    assert place < listener.notes.index("begin")
    assert listener.notes[place].endswith(f"0.5 GB free: it will skip saved_model, {KEY}")
    free(1e15)
    listener = Listener()
    train(template, output=tmp_path / "other", reporter=listener)
    assert not [text for text in listener.notes if "the export needs" in text]


@pytest.mark.parametrize(("options", "verdict", "code"), [(["--all"], "skipped", 0), (["--to", KEY], "failed", 3)])
def test_the_command_reports_low_memory_in_a_line(small_run, tmp_path, free, in_process, capfd, options, verdict, code):
    shutil.copytree(small_run.path, tmp_path / "run")
    free(0.5e9)
    assert cli.main(["export", str(tmp_path / "run"), *options]) == code
    shown = capfd.readouterr()
    assert f"{KEY}: {verdict}: needs about 1.2 GB of memory, 0.5 GB free" in shown.err
    assert "Traceback" not in shown.err
    assert f"{KEY}: needs about" in shown.out
