"""One device against several, in fresh processes: TensorFlow needs the number of devices before its first use."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from conftest import run_dlt, small_template
from dltemplates.compat import flatten_layers
from dltemplates.runs import load_run
from dltemplates.training.prepare import prepare, resolve_precision
from dltemplates.training.strategy import make_distribution
from dltemplates.training.workers.cluster import VARIABLE, read_cluster, tf_config
from dltemplates.training.workers.replicas import BatchNormalization, for_replicas

SETTINGS = {  # 42 steps
    "train__epochs": 2,
    "train__batch_size": 56,
    "train__optimizer": {"name": "sgd", "momentum": 0.9},
    "train__learning_rate": 0.05,
    "train__clip_norm": 0.5,
}
# Batch normalization, dropout and clipping can silently go wrong on several devices. Both networks are smooth: another
# order of a sum rounds differently, and the kink of a ReLU or a max pooling would turn that into a jump.
SMOOTH = {
    "normalizes": {"name": "convmixer", "patch_size": 2, "filters": 16, "depth": 2, "kernel_size": 3},
    "drops": {"name": "mlp", "activation": "tanh", "dropout_rate": 0.3},
}
VARIANCE_BOUND = 1e-6  # relative error of a batch variance
TOOL = Path(__file__).parents[3] / "tools" / "bench_replicas.py"
WORKER = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": %s}}'


@pytest.fixture(scope="module")
def template_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    files = {name: folder / f"{name}.toml" for name in SMOOTH}
    for name, file in files.items():
        file.write_text(small_template(**SETTINGS, model=SMOOTH[name]).to_toml())
    return files


@pytest.fixture(scope="module")
def alone(template_files):
    return cache(lambda network: train(template_files[network], "--strategy", "single"))


def slow(*values):
    """Mark a row as slow that has a fast one like it."""
    return pytest.param(*values, marks=pytest.mark.slow)


def train(template_file, *options):
    run = template_file.parent / "".join([template_file.stem, *options])
    done = run_dlt("train", template_file, "-o", run, *options)
    assert done.returncode == 0, done.stderr
    return load_run(run)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("normalizes", "--devices 2"),
        slow("drops", "--devices 2"),
        slow("normalizes", "--devices 4 --strategy mirrored"),
        slow("drops", "--devices 4 --strategy mirrored"),
        slow("normalizes", "--workers 2"),
        slow("drops", "--workers 2"),
    ],
)
def test_several_devices_train_the_same_weights_as_one(template_files, alone, network, options):
    single, run = alone(network), train(template_files[network], *options.split())
    first, second = single.model(), run.model()
    assert first.trainable_weights
    for one, several in zip(first.weights, second.weights, strict=True):
        expected = np.asarray(one)
        assert np.ptp(expected) > 0
        # The running variance is not trained and may be large: allow 1e-6 of its size.
        bound = 1e-6 if one.trainable else 1e-6 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(np.asarray(several), expected, rtol=0, atol=bound, err_msg=one.path)
    for row, other in zip(single.history_rows(), run.history_rows(), strict=True):
        for name in row.keys() - {"seconds"}:
            assert other[name] == pytest.approx(row[name], abs=1e-5), name


def run_script(path, *arguments):
    """Run a script in a process of its own; return the JSON object that it prints."""
    command = [sys.executable, str(path), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def normalized():
    """Return the errors of batch normalization on two and four devices, against one device and NumPy in float64."""
    return run_script(Path(__file__).with_name("normalize.py"))


@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.parametrize("case", ["plain", "masked", "channels first"])
def test_several_devices_normalize_a_batch_like_one(normalized, case, devices):
    errors = normalized[f"{case}, {devices}"]
    assert errors["one device"]["variance"] < VARIANCE_BOUND
    assert errors["exact"]["variance"] < VARIANCE_BOUND
    assert max(errors["one device"].values()) < 1e-5  # outputs, gradient, and the mean relative to the deviation
    assert max(errors["exact"].values()) < 1e-5


@pytest.mark.parametrize("devices", [2, 4])
def test_the_one_pass_variance_of_keras_is_too_inexact(normalized, devices):
    for origin in ("one device", "exact"):
        assert normalized[f"Keras's own, {devices}"][origin]["variance"] > 10 * VARIANCE_BOUND


@pytest.mark.parametrize("devices", [2, 4])
def test_half_precision_uses_float32_statistics_of_the_whole_batch(normalized, devices):
    errors = normalized[f"bfloat16, {devices}"]
    assert max(errors["exact"].values()) < VARIANCE_BOUND
    assert max(errors["one device"].values()) < 2**-8  # rounding of bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_the_first_step_of_a_network_has_exact_batch_statistics(devices):
    """One device is no reference here: its operation on a CPU is 1e-5 off the exact variance."""
    results = run_script(TOOL, "resnet8_digits", "--devices", devices, "--rounds", 0, "--json")
    errors = results[f"{devices} devices"]["from one device, statistics in float64"]
    assert errors["variance"] < VARIANCE_BOUND
    assert errors["mean"] < VARIANCE_BOUND
    assert errors["weights"] < VARIANCE_BOUND
    assert results["one device"]["from one device, statistics in float64"]["variance"] > 0


@pytest.mark.parametrize(
    ("options", "environment", "error"),
    [
        (
            ["--devices", "3"],
            {},
            r"a multiple of the number of replicas. Received: 56 for 3. Try .*batch_size=54",
        ),
        slow(["--devices", "0"], {}, "number of devices must be at least 1. Received: 0"),
        slow(["--devices", "2", "--strategy", "single"], {}, "Received: 2 devices and --strategy single"),
        slow(["--strategy", "mirrored"], {}, "Strategy mirrored needs several devices. Received: one"),
        slow(["--strategy", "multiworker"], {}, "needs several workers. Received: no TF_CONFIG with more than one"),
        slow(["--devices", "2"], {VARIABLE: WORKER % 0}, "Received: 2 devices and a training on several workers"),
        (["--workers", "1"], {}, "`--workers` must be at least 2. Received: 1"),
        (["--workers", "2", "--devices", "2"], {}, "--workers uses strategy multiworker.*Received: --devices 2"),
        (["--workers", "2", "--strategy", "single"], {}, "Received: --strategy single"),
        (["--workers", "2", "--max-restarts", "-1"], {}, "`max_restarts` must be at least 0. Received: -1"),
        (["--max-restarts", "1"], {}, "--max-restarts needs --workers"),
        (["--workers", "2", "--resume"], {}, "There must be a run to resume"),
        (["--workers", "2", "--resume", "--overwrite"], {}, "`--resume` and `--overwrite` exclude each other"),
        ([], {VARIABLE: "nonsense"}, "TF_CONFIG must be like .*Received: 'nonsense'"),
        slow([], {VARIABLE: WORKER % 2}, "TF_CONFIG must set .* to one of worker 0, worker 1. Received: worker 2"),
    ],
)
def test_conflicting_options_are_refused(template_files, tmp_path, options, environment, error):
    import re

    done = run_dlt("train", template_files["drops"], "-o", tmp_path / "run", *options, **environment)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert re.search(error, line), line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"cluster": {}}', "cluster: Dictionary should have at least 1 item"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}', "'chief' or 'worker'"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "should match pattern"),
        ('{"cluster": {"worker": ["a:1"]}}', "task: Field required"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
            "worker 0.*Received: chief 0",
        ),
        ("[]", "TF_CONFIG.*Received: "),
    ],
)
def test_an_invalid_cluster_is_refused(text, error):
    with pytest.raises(ValueError, match=error):
        read_cluster(text)


def test_a_cluster_ranks_its_chief_first():
    text = '{"cluster": {"worker": ["a:1", "b:1"], "chief": ["c:1"]}, "task": {"type": "worker", "index": "1"}}'
    cluster = read_cluster(text)
    assert cluster.addresses == ("c:1", "a:1", "b:1")
    assert cluster.rank == 2
    assert read_cluster(tf_config(["a:1", "b:1"], 1)).rank == 1
    assert read_cluster(tf_config(["a:1"], 0)) is None
    assert read_cluster("") is None


def test_devices_are_chosen_before_tensorflow_runs():
    with pytest.raises(ValueError, match="Received: 64 devices"):
        make_distribution("mirrored", 64)


def random_model(layer):
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.LSTM(3, dropout=0.2),
        lambda: layers.AlphaDropout(0.1),
        lambda: layers.Bidirectional(layers.GRU(3, recurrent_dropout=0.1)),
    ],
)
def test_noise_that_would_differ_is_refused(layer):
    with pytest.raises(ValueError, match="Received: "):
        for_replicas(random_model(layer()))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.LSTM(3),
        lambda: layers.Dropout(0.4),
        lambda: layers.SpatialDropout1D(0.4),
        lambda: layers.GaussianNoise(0.4),
        lambda: layers.GaussianDropout(0.4),
        lambda: layers.Dropout(0.0),
    ],
)
def test_noise_on_several_devices_equals_that_on_one(layer):
    plain = random_model(layer())
    copy = for_replicas(plain)
    x = np.random.default_rng(0).random((8, 6, 4)).astype("float32")
    first, second = (keras.ops.convert_to_numpy(model(x, training=True)) for model in (plain, copy))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(plain(x), copy(x))


def test_frozen_layers_stay_frozen():
    plain = random_model(layers.Bidirectional(layers.LSTM(3)))
    plain.layers[-1].trainable = False
    assert for_replicas(plain).trainable_variables == plain.trainable_variables == []
    plain.layers[-1].trainable = True
    plain.layers[-1].forward_layer.trainable = False
    original, copied = (
        [variable.path.split("/")[-3:] for variable in model.trainable_variables]
        for model in (plain, for_replicas(plain))
    )
    assert len(original) == 3
    assert copied == original


@keras.saving.register_keras_serializable("tests")
class OwnNormalization(layers.BatchNormalization):
    """A normalization layer of the user."""


@pytest.mark.parametrize(
    ("plain", "whole"), [(layers.BatchNormalization, BatchNormalization), (OwnNormalization, OwnNormalization)]
)
def test_nested_batch_normalization_uses_the_whole_batch(plain, whole):
    model = for_replicas(random_model(layers.TimeDistributed(plain())))
    (inner,) = [layer for layer in flatten_layers(model) if isinstance(layer, layers.BatchNormalization)]
    assert type(inner) is whole
    assert inner.synchronized


def test_precision_is_resolved():
    assert resolve_precision("auto") == "float32"  # on a CPU
    assert resolve_precision("mixed_float16") == "mixed_float16"


@pytest.mark.parametrize("precision", ["mixed_bfloat16", slow("mixed_float16")])
def test_mixed_precision_computes_in_half_and_stores_float32(tmp_path, precision):
    from dltemplates.training.train import train

    template = small_template(train__precision=precision, train__epochs=3, train__learning_rate=0.01)
    training = prepare(template)
    network = training.model.layers[-1]
    computed = {layer.compute_dtype for layer in network.layers}
    assert {precision.removeprefix("mixed_"), "float32"} == computed
    assert network.layers[-1].compute_dtype == "float32"
    assert hasattr(training.stages[-1].algorithm.optimizer, "dynamic_scale") == (precision == "mixed_float16")
    assert {weight.dtype for weight in training.model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    run = train(template, output=tmp_path / "run")
    assert precision not in run.definition_path.read_text()
    assert run.record.scores["test"]["accuracy"] > 0.5
