"""Sequences of different lengths: training by length, exact resume, and files that ignore the padding."""

import os
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dltemplates as dlt
from dltemplates.datasets.pipeline import BUCKETS, TrainingOrder
from dltemplates.layers import SequenceMask
from dltemplates.runs import Run
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train

COUNT, LONGEST, CHANNELS = 90, 12, 2
FORMATS = ("tflite:float32", "onnx:float32")


def sequences():
    """Return waves of two speeds, of 4 to 12 steps, and their classes."""
    random = np.random.default_rng(0)
    lengths = random.integers(4, LONGEST, COUNT, endpoint=True)
    lengths[0] = LONGEST
    times = [np.arange(length)[:, None] + random.uniform(0, 6) for length in lengths]
    speeds = (0.4, 1.5)
    waves = [20 + 5 * np.sin(speeds[place % 2] * time + [0, 1]) for place, time in enumerate(times)]
    return waves, np.array(["slow", "fast"])[np.arange(COUNT) % 2]


def write(path, waves, classes):
    lines = [
        ":".join(",".join(map(str, column)) for column in wave.T) + f":{name}"
        for wave, name in zip(waves, classes, strict=True)
    ]
    header = "@univariate false\n@dimensions 2\n@equalLength false\n@classLabel true slow fast\n@data\n"
    path.write_text(header + "\n".join(lines))
    return str(path)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("waves") / "waves.ts", *sequences())


def template(file, **settings):
    tables = {
        "dataset.name": file,
        "dataset.validation": 0.2,
        "model": {"name": "lstm", "units": [3]},
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 0.02},
    }
    return dlt.load_template("sequence_classification", tables | settings)


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    return train(template(file), output=tmp_path_factory.mktemp("runs") / "waves")


def test_the_order_is_a_function_of_the_step_and_sorts_each_window():
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    order = TrainingOrder(1000, 10, seed=3, lengths=lengths)
    steps = [order.indices(tf.constant(step, tf.int64)).numpy() for step in range(BUCKETS)]
    plain = TrainingOrder(1000, 10, seed=3)
    window = [plain.indices(tf.constant(step, tf.int64)).numpy() for step in range(BUCKETS)]
    assert sorted(np.concatenate(steps)) == sorted(np.concatenate(window))
    spread = [np.mean([np.ptp(lengths[batch]) for batch in batches]) for batches in (steps, window)]
    assert spread[0] < 0.1 * spread[1]
    means = [lengths[batch].mean() for batch in steps]
    assert means != sorted(means)  # the batches are shuffled
    np.testing.assert_array_equal(order.indices(tf.constant(7, tf.int64)), steps[7])
    other = TrainingOrder(1000, 10, seed=4, lengths=lengths)
    assert list(other.indices(tf.constant(0, tf.int64)).numpy()) != list(steps[0])


def test_a_small_set_is_one_window():
    order = TrainingOrder(10, 4, seed=3, lengths=np.arange(10))
    found = np.concatenate([order.indices(tf.constant(step, tf.int64)) for step in range(2)])
    assert len(set(found)) == 8


def test_batches_hold_no_more_padding_than_they_need(file):
    training = prepare(template(file))
    stage = training.stages[0]
    widths = set()
    for inputs, _, _ in stage.data.training(stage.order, range(6)):
        assert inputs["series"].shape[1] == inputs["length"].numpy().max()
        widths.add(inputs["series"].shape[1])
    assert len(widths) > 1


class StopAt(Silent):
    """A reporter that stops the training after the first epoch, as Ctrl-C does."""

    def epoch(self, row, best):
        if row["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_training_resumes_exactly(file, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(template(file), output=tmp_path / "run", reporter=StopAt())
    assert Run(tmp_path / "run").record.state == "interrupted"
    resumed = train(template(file), output=tmp_path / "run", resume=True)
    for expected, found in zip(run.model().get_weights(), resumed.model().get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert resumed.record.scores == run.record.scores


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    from conftest import in_process_converter

    copy = Run(shutil.copytree(run.path, tmp_path_factory.mktemp("exported") / "waves"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
        report = dlt.export(copy, formats=FORMATS)
    assert not report.failed
    return [copy.exports_path / result.file for result in report.results if result.file]


def test_files_give_the_answer_of_the_unpadded_sequence(run, exported, file):
    waves = sequences()[0][:12]
    serving = run.serving_models()[""]
    contract = serving.contract
    assert [(value.name, value.kind, value.shape) for value in contract.inputs] == [
        ("series", "series", (LONGEST, CHANNELS)),
        ("length", "length", ()),
    ]
    predictors = [dlt.load_predictor(path) for path in exported]
    assert len(predictors) == len(FORMATS)
    for wave in waves:
        series, length = wave[None].astype(np.float32), np.array([len(wave)], np.int32)
        expected = serving.model({"series": series, "length": length})["probabilities"].numpy()
        noise = np.full((1, LONGEST - len(wave), CHANNELS), 99, np.float32)  # padding of any value
        padded = {"series": np.concatenate([series, noise], axis=1), "length": length}
        np.testing.assert_allclose(serving.model(padded)["probabilities"], expected, atol=1e-6)
        for predictor in predictors:
            np.testing.assert_allclose(predictor(padded)["probabilities"], expected, atol=1e-5)


def test_files_evaluate_and_predict_as_the_run(run, exported, file):
    scores = dlt.evaluate(run)["scores"]
    assert scores == run.record.scores["test"]
    waves = sequences()[0][:5]
    expected = dlt.predict(run, [file])
    assert len(expected) == COUNT
    assert expected[0]["input"] == f"line 6 of {file}"
    for found in (dlt.predict(exported[0], [file]), dlt.predict(run, waves)):
        for one, other in zip(found, expected, strict=False):
            assert one["class"] == other["class"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)
    assert dlt.evaluate(exported[0], data=file, split="all")["examples"] == COUNT


def test_a_run_draws_its_sequences_and_has_its_neighbor(run):
    assert (run.figures_path / "sequences.png").stat().st_size > 5000
    names = [baseline.name for baseline in run.record.baselines.results]
    assert names == ["largest class", "logistic regression", "nearest neighbor"]
    assert all(baseline.scores for baseline in run.record.baselines.results)


def test_integer_files_of_masked_recurrent_layers_are_not_offered(run):
    from dltemplates.deploy.formats.format import load_format
    from dltemplates.deploy.part import layer_types, not_offered

    names = layer_types(run.serving_models()[""].model)
    for key, reason in (("tflite:int8", "mask"), ("tflite:int16x8", "CAST"), ("onnx:int8", "loop")):
        assert reason in (not_offered(load_format(key), names) or "")
    assert not_offered(load_format("tflite:int8"), names - {"LSTM"} - {n for n in names if "different" in n}) is None


def unmasked(input_shape, num_outputs, *, name="unmasked"):
    inputs = keras.Input(input_shape)
    x = layers.GlobalMaxPooling1D()(layers.Dense(4)(inputs))
    return keras.Model(inputs, layers.Dense(num_outputs)(x), name=name)


@pytest.mark.parametrize("name", ["mlp", f"{__name__}:unmasked"])
def test_a_network_that_needs_one_length_is_refused(file, name):
    with pytest.raises(ValueError, match=r"needs sequences of one length. Received: lengths that differ, up to 12"):
        prepare(template(file, model={"name": name}))


def test_a_wrong_option_is_named_before_the_lengths(file):
    with pytest.raises(ValueError, match="Unknown option of model `mlp`.*colour"):
        prepare(template(file, model={"name": "mlp", "colour": 1}))


@pytest.mark.parametrize("name", ["conv1d", "gru"])
def test_networks_of_the_catalog_ignore_the_padding(file, name):
    options = {"filters": [4, 4], "kernel_sizes": [3, 3]} if name == "conv1d" else {"units": [3]}
    assert prepare(template(file, model={"name": name, **options})).definition.count_params() > 0


def test_the_mask_layer_zeroes_and_masks_the_padding():
    layer = SequenceMask()
    x = np.ones((3, 4, 2), np.float32)
    lengths = np.array([2, 4, 0], np.int32)  # a length of 0 counts as 1
    output = np.asarray(layer([x, lengths]))
    np.testing.assert_array_equal(output[..., 0], [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
    np.testing.assert_array_equal(layer.compute_mask([x, lengths]), output[..., 0] == 1)
