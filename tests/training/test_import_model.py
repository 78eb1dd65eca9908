"""Import of Keras models trained elsewhere."""

import os
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

from dltemplates import catalog
from dltemplates.deploy.export_run import export
from dltemplates.deploy.report import load_report
from dltemplates.new_runs import make_import, make_run
from dltemplates.runs import load_run
from dltemplates.training.importing.import_model import import_model


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return np.float32(data.images * (255 / 16))[..., None], data.target


def trained(digits, last, scale=1.0, offset=0.0):
    """Train a small network on `scale * bytes + offset` that ends in the layers of `last`."""
    keras.utils.set_random_seed(0)
    images, labels = digits
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    x = layers.Flatten()(x)
    for layer in last:
        x = layer(x)
    model = keras.Model(inputs, x)
    logits = not any(getattr(layer, "activation", None) is keras.activations.softmax for layer in last)
    logits = logits and not isinstance(last[-1], layers.Softmax)
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
    model.fit(images * scale + offset, labels, epochs=6, verbose=0)
    return model


@pytest.mark.parametrize(
    ("last", "scale", "offset", "input_range"),
    [
        pytest.param(lambda: [layers.Dense(10)], 1 / 255, 0.0, (0, 1), marks=pytest.mark.slow),
        (lambda: [layers.Dense(10, activation="softmax")], 1 / 127.5, -1.0, (-1, 1)),
        pytest.param(lambda: [layers.Dense(10), layers.Softmax()], 1 / 255, 0.0, (0, 1), marks=pytest.mark.slow),
        (lambda: [layers.Rescaling(1 / 255), layers.Dense(10), layers.Activation("softmax")], 1.0, 0.0, (0, 255)),
    ],
)
def test_a_model_keeps_its_accuracy_with_any_last_layer(digits, tmp_path, last, scale, offset, input_range):
    model = trained(digits, last(), scale, offset)
    model.save(tmp_path / "theirs.keras")
    run = import_model(
        tmp_path / "theirs.keras",
        task="classification",
        data="digits",
        input_range=input_range,
        output=tmp_path / "run",
    )
    assert run.record.state == "done"
    assert run.record.scores["test"]["accuracy"] > 0.9
    images, _ = digits
    expected = model.predict(images[:50] * scale + offset, verbose=0)
    found = run.serving().model.predict(images[:50], verbose=0)["probabilities"]
    if not np.allclose(expected.sum(axis=1), 1, atol=1e-3):
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_imported_model_is_exported(digits, tmp_path):
    trained(digits, [layers.Dense(10)], 1 / 255).save(tmp_path / "theirs.keras")
    run = import_model(
        tmp_path / "theirs.keras", task="classification", data="digits", input_range=(0, 1), output=tmp_path / "run"
    )
    report = export(run, formats=["tflite:float32", "tflite:int8", "onnx:float32"], max_drop=0.05)
    assert not report.failed, report


def test_a_model_may_have_the_name_of_its_input(digits, tmp_path):
    inputs = keras.Input((8, 8, 1), name="image")
    path = save(keras.Model(inputs, layers.Dense(10)(layers.Flatten()(inputs)), name="image"), tmp_path / "image.keras")
    assert import_model(path, task="classification", data="digits", output=tmp_path / "run").record.state == "done"


def test_numbers_keep_their_unit(digits, tmp_path):
    images, labels = digits
    np.savez(tmp_path / "numbers.npz", x=np.uint8(images), y=np.float32(labels)[:, None])
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(images, labels, epochs=10, verbose=0)
    model.save(tmp_path / "theirs.keras")
    run = import_model(
        tmp_path / "theirs.keras",
        task="image_regression",
        data=str(tmp_path / "numbers.npz"),
        output=tmp_path / "run",
    )
    found = run.serving().model.predict(images[:20], verbose=0)["value"]
    np.testing.assert_allclose(found, model.predict(images[:20], verbose=0), atol=1e-3)


def save(model, path):
    model.save(path)
    return path


def test_an_unsuitable_model_is_refused_in_one_line(digits, tmp_path):
    def refused(model, message):
        path = save(model, tmp_path / "theirs.keras")
        with pytest.raises(ValueError, match=message) as caught:
            import_model(path, task="classification", data="digits", output=tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()

    vector = keras.Sequential([keras.Input((64,)), layers.Dense(10)])
    refused(vector, "Received: .*theirs.keras, .*\\(None, 64\\)")
    free = keras.Sequential([keras.Input((None, None, 1)), layers.GlobalAveragePooling2D(), layers.Dense(10)])
    refused(free, "Received: .*theirs.keras, .*\\(None, None, None, 1\\).*--input-shape 224,224,1")
    seven = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(7)])
    refused(seven, "10 .*Received: .*theirs.keras, .*7")
    sigmoid = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10, activation="sigmoid")])
    refused(sigmoid, "softmax.*Received: .* sigmoid")
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match="Received: .*broken.keras, "):
        import_model(tmp_path / "broken.keras", task="classification", data="digits")
    with pytest.raises(ValueError, match="Received: .*none.keras, "):
        import_model(tmp_path / "none.keras", task="classification", data="digits")


OTHER_TASKS = catalog.TASKS.keys() - {"classification", "multi_label", "regression", "image_regression"}


@pytest.mark.parametrize("task", [*sorted(OTHER_TASKS), "pathlib:Path", "os:getcwd"])
def test_an_unsuitable_task_is_refused_before_the_file_is_read(tmp_path, task):
    message = f"Received: {task}. Try classification"
    with pytest.raises(ValueError, match=message) as caught:
        import_model(tmp_path / "none.keras", task=task, data="digits", output=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_lambda_is_not_run(tmp_path):
    inputs = keras.Input((8, 8, 1))
    x = layers.Lambda(lambda t: t / 255, output_shape=(8, 8, 1))(inputs)
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    path = save(model, tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match=f"Received: {path}, .*--import"):
        import_model(path, task="classification", data="digits", output=tmp_path / "run")


@pytest.mark.slow
def test_layers_of_the_user_are_imported(tmp_path):
    (tmp_path / "their_layers.py").write_text(
        "import keras\n\n@keras.saving.register_keras_serializable('theirs')\n"
        "class Halve(keras.layers.Layer):\n    def call(self, x):\n        return x / 2\n"
    )
    script = (
        "import sys, keras\nfrom their_layers import Halve\n"
        "m = keras.Sequential([keras.Input((8, 8, 1)), Halve(), keras.layers.Flatten(), keras.layers.Dense(10)])\n"
        "m.save('own.keras')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    command = [
        sys.executable,
        "-m",
        "dltemplates",
        "export",
        "own.keras",
        "--task",
        "classification",
        "--data",
        "digits",
    ]
    command += ["--to", "onnx:float32", "-o", "own"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--import" in done.stderr
    done = subprocess.run(
        [*command, "--import", "their_layers"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


KILLED = """
    import os, signal, sys
    from dltemplates.cli import main
    {patch}

    def die(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    {module}.{name} = die
    sys.exit(main.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("module", "name", "output"),
    [
        pytest.param("dltemplates.training.importing.import_model", "begin_run", "run", marks=pytest.mark.slow),
        pytest.param("dltemplates.training.importing.import_model", "score_run", None, marks=pytest.mark.slow),
        ("dltemplates.deploy.export._Exporter", "_place", "run"),
    ],
)
def test_a_killed_import_is_repeated_by_the_same_command(digits, tmp_path, module, name, output):
    trained(digits, [layers.Dense(10)], 1 / 255).save(tmp_path / "theirs.keras")
    command = ["export", "theirs.keras", "--task", "classification", "--data", "digits", "--input-range", "0,1"]
    command += ["--to", "tflite:float32", *(["-o", output] if output else [])]
    folder = tmp_path / (output or "saved_models/theirs")
    imported = module.removesuffix("._Exporter")
    program = textwrap.dedent(KILLED).format(patch=f"import {imported}", module=module, name=name)
    killed = subprocess.run([sys.executable, "-c", program, *command], cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert folder.exists()
    with pytest.raises(ValueError, match="whose import is not done. Wait for it, or repeat"):
        load_run(folder)
    again = [sys.executable, "-m", "dltemplates", *command]
    assert subprocess.run(again, cwd=tmp_path).returncode == 0
    run = load_run(folder)
    assert run.record.state == "done"
    assert load_report(run.exports_path).results[0].verdict == "passed"
    assert not list(folder.rglob(".partial-*"))
    assert [path.name for path in folder.parent.glob("theirs*")].count("theirs-2") == 0
    if output:  # a finished import is not replaced silently
        refused = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True)
        assert (refused.returncode, "Add --overwrite." in refused.stderr) == (2, True)


@pytest.mark.parametrize("exists", [False, True])
def test_an_error_removes_the_import(digits, tmp_path, monkeypatch, exists):
    trained(digits, [layers.Dense(10)], 1 / 255).save(tmp_path / "theirs.keras")
    run = tmp_path / "run"
    if exists:
        run.mkdir()

    def fail(*arguments):
        raise ValueError("no score")

    monkeypatch.setattr("dltemplates.training.importing.import_model.score_run", fail)
    with pytest.raises(ValueError, match="no score"):
        import_model(tmp_path / "theirs.keras", task="classification", data="digits", output=run)
    assert not run.exists()


def test_an_import_that_still_runs_is_not_replaced(tmp_path):
    with make_import("theirs", tmp_path / "run") as run:
        assert not run.is_abandoned_import()
        with pytest.raises(ValueError, match="must be new"):
            make_run("theirs", tmp_path / "run")
        run.template_path.touch()
    assert run.template_path.exists()
    assert not run.import_path.exists()
