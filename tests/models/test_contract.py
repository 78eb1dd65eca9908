"""What every model of the catalog promises. A new model is a new row of `TINY`."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import dltemplates.models
from dltemplates import catalog
from dltemplates.models.build import build_network
from dltemplates.tasks.assemble import auxiliary_of, logits_of, without_auxiliary

TINY = {  # sizes and options that build fast
    "mlp": ({"input_shape": (6, 5), "num_outputs": 3}, {"units": [16], "dropout_rate": 0.1}),
    "lenet5": ({"input_shape": (12, 14, 1), "num_outputs": 3}, {}),
    "convnet": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {"filters": [8, 16], "dropout_rate": 0.1}),
    "resnet8": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "resnet20": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
}
SIBLINGS: set[str] = set()  # differ from another row by a number alone: their rows are slow
SIZES = {"input_shape", "num_outputs"}  # what tasks and data give; a model asks for them by these names
SOURCES = sorted(Path(dltemplates.models.__path__[0]).glob("*.py"))

models = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SIBLINGS else ()) for name in catalog.MODELS]
)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def build(name):
    sizes, options = TINY[name]
    return build_network(name, sizes, options)


def examples(network, count=4):
    return np.random.default_rng(0).normal(size=(count, *network.input_shape[1:])).astype("float32")


def answer(network, x):
    """Its logits, as NumPy has them."""
    return keras.ops.convert_to_numpy(logits_of(network(x)))


def test_every_model_has_a_row():
    assert sorted(TINY) == sorted(catalog.MODELS)
    assert set(TINY) > SIBLINGS


def test_every_model_has_the_sizes_of_its_paper():
    for name, entry in catalog.MODELS.items():
        assert SIZES >= set(entry.sizes) > set(), name


@models
def test_builder_takes_sizes_then_keywords_with_defaults(name):
    parameters = inspect.signature(catalog.load("model", name)).parameters
    assert len(parameters) <= 7
    assert parameters["name"].default == name
    for parameter in parameters.values():
        if parameter.default is parameter.empty:
            assert parameter.name in SIZES
            assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        else:
            assert parameter.kind is parameter.KEYWORD_ONLY


@models
def test_module_names_its_paper_and_builder_its_errors(name):
    builder = catalog.load("model", name)
    assert re.search(r"\b(19|20)\d\d\b.*\bhttps?://", importlib.import_module(builder.__module__).__doc__, re.DOTALL)
    for section in ("Args:", "Returns:", "Raises:"):
        assert section in builder.__doc__


@models
def test_network_is_functional_and_gives_finite_float32_logits_of_the_right_shape(name):
    network = build(name)
    x = examples(network)
    logits = answer(network, x)
    assert type(network).__name__ == "Functional"
    assert network.name == name
    assert logits_of(network.output).shape == (None, TINY[name][0]["num_outputs"])
    for auxiliary in auxiliary_of(network.output):
        assert auxiliary.shape == logits_of(network.output).shape
        assert auxiliary.dtype == "float32"
    assert logits.shape == (len(x), TINY[name][0]["num_outputs"])
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()
    assert (np.ptp(logits, axis=0) > 0).all()  # it looks at its input
    assert logits.min() < 0 or logits.max() > 1 or not np.allclose(logits.sum(axis=1), 1)  # and applies no softmax


@models
def test_logits_are_float32_under_mixed_precision(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build(name)
    finally:
        keras.config.set_dtype_policy(before)
    logits = answer(network, examples(network))
    assert any(layer.compute_dtype == "bfloat16" for layer in network.layers)
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()


@models
def test_definition_and_weights_bring_it_back(name, tmp_path):
    network = build(name)
    for weight in network.weights:  # moving averages too, and no bias at zero
        weight.assign(weight + keras.random.uniform(weight.shape, 0.0, 0.1))
    network.save_weights(tmp_path / "model.weights.h5")
    again = keras.models.model_from_json(network.to_json())
    x = examples(network)
    expected = answer(network, x)
    assert not np.allclose(answer(again, x), expected)
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(answer(again, x), expected)


@models
def test_training_overfits_one_batch(name):
    network = without_auxiliary(build(name))
    x = examples(network, count=6)
    y = np.arange(6) % 3
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)  # tracing would cost more than these steps
    losses = [network.train_on_batch(x, y)]
    while losses[-1] > 0.1 and len(losses) < 40:
        losses.append(network.train_on_batch(x, y))
    assert losses[0] > 0.5
    assert losses[-1] <= 0.1  # NaN is not


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_models_run_on_any_backend(path):
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(node.module.split(".")[0])
    assert not roots & {"tensorflow", "tf_keras", "torch", "jax"}
