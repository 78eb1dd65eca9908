"""A forgotten input range, and classes in another order than the model's outputs."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

from dltemplates.deploy.export_run import export
from dltemplates.tasks.load_for import load_for
from dltemplates.template import parse_template
from dltemplates.training.importing.import_checks import PREPARATIONS, find_mistake, format_range
from dltemplates.training.importing.import_model import import_model

CLASSES = "0,1,2,3,4,5,6,7,8,9"
WORDS = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return a file of the digits in color, dark on white, and their pixels and labels."""
    data = load_digits()
    images = 255 - np.uint8(data.images * 15)[..., None] * np.array([1.0, 0.6, 0.3])
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x=images.astype(np.uint8), y=data.target)
    return path, images.astype(np.uint8).astype(np.float32), data.target


def trained(digits, prepare, path, order=tuple(range(10)), epochs=8):
    """Train and save a network on `prepare(pixels)` whose outputs have the classes in this order."""
    _, images, labels = digits
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(inputs))
    x = layers.Flatten()(layers.Conv2D(8, 3, activation="tanh")(x))  # sensitive to the range
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(prepare(images.copy()), np.argsort(order)[labels], epochs=epochs, verbose=0)
    model.save(path)
    return model


def scaled(low, high):
    return lambda images: images / 255 * (high - low) + low


@pytest.mark.parametrize("limits", [(0, 1), (-1, 1)])
def test_a_forgotten_input_range_is_found_and_named(digits, tmp_path, limits):
    trained(digits, scaled(*limits), tmp_path / "theirs.keras")
    options = {"task": "classification", "data": str(digits[0]), "output": tmp_path / "run"}
    typed = format_range(limits)
    message = f"Received: 0,255, with an accuracy of .*; with {typed} it is .*Add --input-range {typed}, or "
    with pytest.raises(ValueError, match=message + "--input-range 0,255 to keep the present range") as caught:
        import_model(tmp_path / "theirs.keras", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    run = import_model(tmp_path / "theirs.keras", input_range=limits, **options)
    assert run.record.scores["test"]["accuracy"] > 0.9
    assert not run.record.spec.warnings


def test_a_doubtful_input_range_that_was_given_is_a_warning(digits, tmp_path):
    trained(digits, scaled(-1, 1), tmp_path / "theirs.keras")
    options = {"task": "classification", "data": str(digits[0]), "output": tmp_path / "run"}
    run = import_model(tmp_path / "theirs.keras", input_range=(0, 255), **options)
    (warning,) = run.record.spec.warnings
    assert re.search(r"Received: 0,255, .*Add --input-range -1,1\.$", warning)


def _fast_or_slow(name):
    is_fast = name in ("ImageNet's preprocessing (mode 'caffe')", "BGR pixels in 0,1")
    return name if is_fast else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", map(_fast_or_slow, PREPARATIONS))
def test_the_way_out_of_a_forgotten_preparation_works(digits, tmp_path, name):
    model = trained(digits, PREPARATIONS[name].apply, tmp_path / "theirs.keras")
    options = {"task": "classification", "data": str(digits[0]), "output": tmp_path / "run"}
    with pytest.raises(ValueError, match=rf"with {re.escape(name)} it is ") as caught:
        import_model(tmp_path / "theirs.keras", **options)
    program = re.search(r"export that file \((x = .*\.save\(\"with_preprocessing.keras\"\))\)", str(caught.value))[1]
    program = program.replace("with_preprocessing.keras", str(tmp_path / "with_preprocessing.keras"))
    exec(program, {"keras": keras, "model": model})
    run = import_model(tmp_path / "with_preprocessing.keras", **options)
    assert run.record.scores["test"]["accuracy"] > 0.9
    report = export(run, formats=["tflite:float32", "onnx:float32"])
    assert not report.failed, report


def test_a_forgotten_input_range_is_found_for_labels(digits, tmp_path):
    _, images, digit = digits
    labels = np.stack([digit % 2 == 1, digit > 4, digit < 2], axis=1).astype(np.float32)
    np.savez(tmp_path / "labels.npz", x=images.astype(np.uint8), y=labels.astype(np.uint8))
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(16, 3, activation="tanh")(inputs))
    model = keras.Model(inputs, layers.Dense(3, activation="sigmoid")(layers.Dense(32, activation="tanh")(x)))
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    model.fit(scaled(-1, 1)(images), labels, epochs=8, verbose=0)
    model.save(tmp_path / "theirs.keras")
    with pytest.raises(ValueError, match="Received: 0,255, .*; with -1,1 it is .*Add --input-range -1,1, or "):
        import_model(tmp_path / "theirs.keras", task="multi_label", data=str(tmp_path / "labels.npz"))


ORDER = (0, 1, 3, 2, 4, 5, 9, 6, 7, 8)


def test_another_order_of_the_classes_is_found_and_named(digits, tmp_path):
    model = trained(digits, scaled(0, 1), tmp_path / "theirs.keras", ORDER)
    typed = ",".join(map(str, ORDER))
    options = {"task": "classification", "data": str(digits[0]), "output": tmp_path / "run", "input_range": (0, 1)}
    message = (
        f"Received: {WORDS}, with .*; in the order {', '.join(map(str, ORDER))} it is "
        f".*Add --class-names {typed}, or --class-names {CLASSES}"
    )
    with pytest.raises(ValueError, match=message) as caught:
        import_model(tmp_path / "theirs.keras", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()

    run = import_model(tmp_path / "theirs.keras", class_names=tuple(map(str, ORDER)), **options)
    assert run.record.scores["test"]["accuracy"] > 0.9
    assert run.task().labels == tuple(map(str, ORDER))
    found = run.serving().model.predict(digits[1][:50].astype(np.uint8), verbose=0)["probabilities"]
    np.testing.assert_allclose(found, model.predict(digits[1][:50] / 255, verbose=0), atol=1e-4)
    report = export(run, formats=["tflite:float32"])
    assert not report.failed


def test_a_doubtful_order_that_was_given_is_a_warning(digits, tmp_path):
    trained(digits, scaled(0, 1), tmp_path / "theirs.keras", ORDER)
    options = {"task": "classification", "data": str(digits[0]), "output": tmp_path / "run", "input_range": (0, 1)}
    run = import_model(tmp_path / "theirs.keras", class_names=tuple(CLASSES.split(",")), **options)
    (warning,) = run.record.spec.warnings
    assert re.search(r"Add --class-names 0,1,3,2,4,5,9,6,7,8\.$", warning)


def test_a_range_and_an_order_are_found_together(digits, tmp_path):
    trained(digits, scaled(-1, 1), tmp_path / "theirs.keras", tuple(range(9, -1, -1)))
    options = {"task": "classification", "data": str(digits[0]), "output": tmp_path / "run"}
    backwards = ", ".join(reversed(WORDS.split(", ")))
    message = f"in the order {backwards}, and with -1,1 it is .*Add --class-names 9,8.*Add --input-range -1,1, "
    with pytest.raises(ValueError, match=message):
        import_model(tmp_path / "theirs.keras", **options)


@pytest.mark.parametrize("names", [("0", "1"), (*CLASSES.split(",")[:9], "ten"), ("0", *CLASSES.split(",")[:9])])
def test_class_names_must_be_those_of_the_data(digits, tmp_path, names):
    trained(digits, scaled(0, 1), tmp_path / "theirs.keras", epochs=1)
    with pytest.raises(
        ValueError, match=f"--class-names must be .*Received: {','.join(names)}. The classes are {CLASSES}"
    ):
        import_model(tmp_path / "theirs.keras", task="classification", data=str(digits[0]), class_names=names)


def test_class_names_are_for_classes(digits, tmp_path):
    np.savez(tmp_path / "numbers.npz", x=np.uint8(digits[1]), y=np.float32(digits[2])[:, None])
    trained(digits, scaled(0, 1), tmp_path / "theirs.keras", epochs=1)
    data = str(tmp_path / "numbers.npz")
    with pytest.raises(ValueError, match="--class-names is for data with classes.*Received: a,b for .* number"):
        import_model(tmp_path / "theirs.keras", task="image_regression", data=data, class_names=("a", "b"))


def untrained(seed):
    """Return an untrained network, from pixels to logits."""
    keras.utils.set_random_seed(seed)
    convolution = [layers.Conv2D(4, 3, activation="relu")] if seed % 2 else []
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), *convolution, layers.Flatten(), layers.Dense(10)]
    )


def test_an_untrained_model_and_a_trained_one_in_order_are_not_stopped(digits):
    settings = {"name": str(digits[0]), "images": {"size": [8, 8], "channels": 3}}
    _, dataset = load_for(parse_template({"task": "classification", "dataset": settings, "model": "x"}))
    for seed in range(10):
        model = untrained(seed)
        assert find_mistake(model, dataset, input_range=(0, 255), classes_are_given=False) is None, seed
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(digits[1], digits[2], epochs=4, verbose=0)  # not good yet
    assert find_mistake(model, dataset, input_range=None, classes_are_given=False) is None
