"""A network that continues texts in one TFLite file: the signatures `prefill_16` and `decode` share the weights."""

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import dltemplates as dlt
from conftest import in_process_converter
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.joined import is_joined
from dltemplates.deploy.memory import estimate, too_large, weight_bytes
from dltemplates.deploy.system import find_system
from dltemplates.runtimes import KerasPredictor, load_predictor, read_contract
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.serving.serving_examples import part_examples

FORMATS = ("tflite:float32", "tflite:float16", "tflite:dynamic", "tflite:int8")
WORDS = ("the", "ship", "sails", "over", "seas", "and", "we", "sing", "of", "old", "stars")
TOLERANCES = dict(zip(FORMATS, (1e-5, 1e-2, 0.05, 0.1), strict=True))  # of the RMS error, relative to the range
every_format = pytest.mark.parametrize("key", FORMATS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a network of sentences for an epoch, and export it."""
    folder = tmp_path_factory.mktemp("joined")
    random = np.random.default_rng(0)
    text = "\n".join(" ".join(random.choice(WORDS, 6)) for _ in range(400))
    (folder / "songs.txt").write_text(text)
    settings = {
        "dataset.name": str(folder / "songs.txt"),
        "dataset.text.window": 24,
        "model": {"name": "gpt", "units": 64, "depth": 1, "num_heads": 2},
        "train": {"epochs": 1, "batch_size": 16, "learning_rate": 0.003},
        "task.max_tokens": 10,
        "export.calibration": 20,
    }
    run = dlt.train(dlt.load_template("text_generation", settings), output=folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
        assert not dlt.export(run, formats=list(FORMATS), max_drop=0.5).failed
    return run


@pytest.fixture(scope="module")
def path_of(run):
    """Return a function that returns the file of a format."""
    return lambda key: run.exports_path / f"{run.name}-{key.partition(':')[2]}.tflite"


@pytest.fixture(scope="module")
def servings(run):
    return run.serving_models()


@every_format
def test_both_signatures_are_in_one_file(run, path_of, key):
    assert set(Interpreter(str(path_of(key))).get_signature_list()) == {"prefill_16", "decode"}
    assert find_system(path_of(key)) == {"prefill": path_of(key), "decode": path_of(key)}
    assert not list(run.exports_path.glob("*/*.tflite"))
    contract = read_contract(path_of(key))
    assert (contract.name, contract.task) == (run.name, "language_modeling")
    assert {name: part.signature for name, part in contract.parts.items()} == {
        "prefill": "prefill_16",
        "decode": "decode",
    }
    assert all(part.system is None for part in contract.parts.values())  # the file's own fields hold it once


def test_weights_are_stored_once(path_of, servings):
    weights = weight_bytes(servings["decode"].model)
    assert weights < path_of("tflite:float32").stat().st_size < 1.7 * weights


@every_format
@pytest.mark.parametrize("part", ["prefill", "decode"])
def test_each_part_matches_keras(run, path_of, servings, key, part):
    _, dataset = load_for(run)
    source = part_examples(servings[part], "validation", dataset.split("validation"))
    serving = servings[part]
    arrays = source.read(np.arange(16))
    inputs = {value.name: arrays[value.name] for value in serving.contract.inputs}
    expected = KerasPredictor(serving.model, serving.contract)(inputs)
    found = load_predictor(path_of(key), part=part)(inputs)
    assert list(found) == list(expected)
    for name, array in expected.items():
        error = np.sqrt(np.mean(np.square(found[name].astype(float) - array))) / np.ptp(array)
        assert max(0, error) <= TOLERANCES[key], name


def test_an_int8_state_has_one_scale_before_and_after_a_step(path_of):
    contract = read_contract(path_of("tflite:int8")).parts["decode"]
    values = {value.name: value for value in (*contract.inputs, *contract.outputs)}
    numbers = [state for state in contract.state if values[state.input].dtype == "uint8"]
    assert len(numbers) == 2  # keys and values; the position is a whole number
    for state in numbers:
        assert values[state.input].quantization == values[state.output].quantization


@every_format
def test_the_file_is_evaluated_and_writes_texts(run, path_of, key):
    score = dlt.evaluate(path_of(key), data=run.template.dataset.name)["scores"]["loss"]
    assert score == pytest.approx(run.record.scores["test"]["loss"], rel=TOLERANCES[key])
    (found,) = dlt.predict(path_of(key), ["the ship sails"], options={"temperature": 0})
    (expected,) = dlt.predict(run, ["the ship sails"], options={"temperature": 0})
    assert len(found["continuation"]) == len(expected["continuation"]) == 10
    if key == "tflite:float32":
        assert found == expected


def test_the_memory_of_a_joined_conversion_is_that_of_all_parts(servings, monkeypatch):
    weights = weight_bytes(servings["decode"].model)
    for key, parts in (("tflite:float32", 2), ("onnx:float32", 1)):
        format = load_format(key)
        needed = int(estimate(format, parts * weights))
        for free, fits in ((needed - 1, False), (needed, True)):
            monkeypatch.setattr("dltemplates.deploy.memory.available_memory", lambda free=free: free)
            assert (too_large(format, servings) is None) == fits


def test_parts_join_if_they_are_useful_only_together(servings):
    tflite, onnx = load_format("tflite:float32"), load_format("onnx:float32")
    assert is_joined(tflite, servings)
    assert not is_joined(onnx, servings)
    assert not is_joined(tflite, {"decode": servings["decode"]})
    contract = servings["prefill"].contract.model_copy(update={"system": None})
    alone = replace(servings["prefill"], contract=contract)
    assert not is_joined(tflite, servings | {"prefill": alone})
    other = replace(servings["prefill"], formats={"tflite:float32": "tflite:float16"})
    assert not is_joined(tflite, servings | {"prefill": other})
