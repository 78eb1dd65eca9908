"""Contract of every model in the catalog. A new model is a new row of `REGISTER` in register.py."""

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
from dltemplates.models.keras_applications import Pretrained
from dltemplates.models.summary import without_weights
from dltemplates.tasks.assemble import auxiliary_of, logits_of, without_auxiliary
from dltemplates.training.importing.pretrained import take_weights
from models.register import REGISTER, TOKENS, models, row_of

SIZES = {
    "input_shape",
    "num_outputs",
    "horizon",
    "vocabulary_size",
    "sequence_length",
}  # the sizes that tasks and data provide
SOURCES = sorted(Path(dltemplates.models.__path__[0]).rglob("*.py"))


built = models(lambda row: row.sizes)
classifiers = models(
    lambda row: row.sizes and "num_outputs" in row.sizes and row.output_shape is None,
    slow=lambda row: row.slow or (row.min_size and not row.fast),  # large networks take seconds
)
builders = pytest.mark.parametrize("name", catalog.MODELS)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def build(name):
    row = row_of(name)
    return build_network(name, row.sizes, row.options)


def output_shape(name):
    row = row_of(name)
    return row.output_shape or ((row.sizes["num_outputs"],) if "num_outputs" in row.sizes else row.sizes["input_shape"])


def examples(network, count=4):
    """Sample normal numbers for each float input, token ids for integer rows, and class ids for other integers."""
    random = np.random.default_rng(0)

    def sample(tensor):
        if tensor.dtype == "float32":
            return random.normal(size=(count, *tensor.shape[1:])).astype("float32")
        if len(tensor.shape) == 2:  # the vocabularies of the register have 7 ids
            return random.integers(1, 7, size=(count, tensor.shape[1] or TOKENS), dtype=tensor.dtype)
        return np.arange(count, dtype=tensor.dtype) % 3

    return keras.tree.map_structure(sample, network.input)


def answer(network, x):
    """Compute the logits as a NumPy array."""
    return keras.ops.convert_to_numpy(logits_of(network(x)))


def test_every_model_has_a_row():
    for name in catalog.MODELS:
        row_of(name)
    assert set(REGISTER) == set(catalog.MODELS) > set()


def test_a_model_without_a_row_fails():
    with pytest.raises(pytest.fail.Exception, match="add a row to REGISTER in tests/models/register.py for `vgg20`"):
        row_of("vgg20")


def test_every_model_has_the_sizes_of_its_paper():
    assert catalog.MODELS
    for name, entry in catalog.MODELS.items():
        assert SIZES >= set(entry.sizes) > set(), name


@builders
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


@builders
def test_module_names_its_paper_and_builder_its_errors(name):
    builder = catalog.load("model", name)
    assert re.search(r"\b(19|20)\d\d\b.*\bhttps?://", importlib.import_module(builder.__module__).__doc__, re.DOTALL)
    for section in ("Args:", "Returns:", "Raises:"):
        assert section in builder.__doc__


VARIANTS = [name for name, entry in catalog.MODELS.items() if entry.target.rpartition(":")[2] != name]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_a_function_of_its_familys_module_too(name):
    row = row_of(name)
    function = getattr(importlib.import_module(catalog.MODELS[name].target.partition(":")[0]), name)
    loaded = catalog.load("model", name)
    assert inspect.signature(function) == inspect.signature(loaded)
    assert not set(inspect.signature(function).parameters) & set(catalog.MODELS[name].options)
    if row.sizes:  # else it takes seconds to build
        ours, theirs = (
            without_weights(lambda build=build: build(**row.sizes, **row.options)) for build in (function, loaded)
        )
        assert ours.to_json() == theirs.to_json()


def test_variants_of_a_family_differ():
    entries = [catalog.MODELS[name] for name in VARIANTS if catalog.MODELS[name].options]
    assert len({(entry.target, *map(str, entry.options.items())) for entry in entries}) == len(entries) > 20


@built
def test_network_is_functional_and_gives_finite_float32_logits_of_the_right_shape(name):
    network = build(name)
    x = examples(network)
    logits = answer(network, x)
    assert type(network).__name__ == "Functional"
    assert network.name == name
    symbolic = logits_of(network.output).shape
    assert symbolic in ((None, *output_shape(name)), (None, None, *output_shape(name)[1:]))  # a text has any length
    for auxiliary in auxiliary_of(network.output):
        assert auxiliary.shape == logits_of(network.output).shape
        assert auxiliary.dtype == "float32"
    assert logits.shape == (4, *output_shape(name))
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()
    assert (np.ptp(logits, axis=0) > 0).all()  # the output depends on the input
    if "num_outputs" in row_of(name).sizes:
        assert logits.min() < 0 or logits.max() > 1 or not np.allclose(logits.sum(axis=1), 1)  # no softmax


@built
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


@built
def test_definition_and_weights_bring_it_back(name, tmp_path):
    network = build(name)
    random = np.random.default_rng(0)  # with moving averages, and no bias at zero
    network.set_weights([weight + random.uniform(0.0, 0.1, weight.shape) for weight in network.get_weights()])
    network.save_weights(tmp_path / "model.weights.h5")
    again = keras.models.model_from_json(network.to_json())
    x = examples(network)
    expected = answer(network, x)
    assert not np.allclose(answer(again, x), expected)
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(answer(again, x), expected)


@classifiers
def test_it_begins_with_weights_of_other_classes_but_for_what_tells_them_apart(name):
    row = row_of(name)
    source = build(name)
    network = build_network(name, row.sizes | {"num_outputs": row.sizes["num_outputs"] + 1}, row.options)
    fresh = take_weights(network, Pretrained(source, None, "a run"))
    changed = [
        layer.name
        for layer, given in zip(network.layers, source.layers, strict=True)
        if [weight.shape for weight in layer.weights] != [weight.shape for weight in given.weights]
    ]
    assert fresh == changed != []
    for layer, given in zip(network.layers, source.layers, strict=True):
        for weight, value in zip(layer.get_weights(), given.get_weights(), strict=True):
            assert layer.name in fresh or np.array_equal(weight, value)


@models(lambda row: row.sizes and row.learning_rate, slow=lambda row: "overfits" not in row.fast)
def test_training_overfits_one_batch(name):
    network = without_auxiliary(build(name))
    x = examples(network, count=6)
    if "num_outputs" in row_of(name).sizes:
        y, loss = np.arange(6) % 3, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        y, loss = x, keras.losses.MeanSquaredError()
    optimizer = keras.optimizers.Adam(row_of(name).learning_rate)
    network.compile(optimizer, loss, run_eagerly=True)  # tracing would take longer than these steps
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
