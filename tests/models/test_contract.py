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
from dltemplates.models.keras_applications import Pretrained
from dltemplates.tasks.assemble import auxiliary_of, logits_of, without_auxiliary
from dltemplates.training.pretrained import take_weights

TINY = {  # sizes and options that build fast
    "perceptron": ({"input_shape": (6, 5), "num_outputs": 3}, {}),
    "linear_regression": ({"input_shape": (6, 5), "num_outputs": 3}, {}),
    "logistic_regression": ({"input_shape": (6, 5), "num_outputs": 3}, {}),
    "softmax_regression": ({"input_shape": (6, 5), "num_outputs": 3}, {}),
    "mlp": ({"input_shape": (6, 5), "num_outputs": 3}, {"units": [16], "dropout_rate": 0.1}),
    "dfn": ({"input_shape": (6, 5), "num_outputs": 3}, {"units": [32, 16], "dropout_rate": 0.1}),
    "lstm": ({"input_shape": (6, 5), "num_outputs": 3}, {"units": [8, 8], "dropout_rate": 0.1}),
    "lenet5": ({"input_shape": (12, 14, 1), "num_outputs": 3}, {}),
    "cnn_gap": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {"filters": [8, 16]}),
    "convnet": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {"filters": [8, 16], "dropout_rate": 0.1}),
    "alexnet": ({"input_shape": (67, 68, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "vgg11": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "vgg13": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "vgg16": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "vgg19": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "nin": ({"input_shape": (39, 40, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "nin_cifar": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "googlenet": ({"input_shape": (65, 66, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.1}),
    "resnet8": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "resnet20": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "resnet32": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "resnet44": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "resnet56": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "resnet110": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "resnet_cifar": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {"depth": 8, "batch_norm": False}),
    "resnet18": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "resnet34": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "resnet50": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "resnet101": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "resnet152": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "preact_resnet110": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "preact_resnet164": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {}),
    "preact_resnet_cifar": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {"depth": 11}),
    "preact_resnet50": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "preact_resnet101": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "preact_resnet152": ({"input_shape": (32, 33, 3), "num_outputs": 3}, {"width": 0.1}),
    "densenet121": ({"input_shape": (8, 9, 3), "num_outputs": 3}, {"growth_rate": 12, "blocks": [1, 2]}),
    "mobilenet_v1": ({"input_shape": (17, 18, 3), "num_outputs": 3}, {"width": 0.25}),
    "mobilenet_v1_025": ({"input_shape": (17, 18, 3), "num_outputs": 3}, {}),
    "mobilenet_v2": ({"input_shape": (17, 18, 3), "num_outputs": 3}, {"width": 0.25, "dropout_rate": 0.0}),
    "mobilenet_v3_small": ({"input_shape": (17, 18, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.0}),
    "mobilenet_v3_large": ({"input_shape": (17, 18, 3), "num_outputs": 3}, {"width": 0.1, "dropout_rate": 0.0}),
    "efficientnet_b0": (
        {"input_shape": (17, 18, 3), "num_outputs": 3},
        {"width": 0.25, "depth": 0.3, "dropout_rate": 0.0},
    ),
    "efficientnet_lite0": ({"input_shape": (17, 18, 3), "num_outputs": 3}, {"width": 0.1, "depth": 0.3}),
    "dscnn": (
        {"input_shape": (12, 10, 1), "num_outputs": 3},
        {"filters": 16, "blocks": 1, "dropout_rates": [0.1, 0.1]},
    ),
    "vit_tiny": (
        {"input_shape": (8, 12, 3), "num_outputs": 3},
        {"patch_size": 4, "units": 12, "depth": 1, "num_heads": 2},
    ),
    "convmixer": (
        {"input_shape": (8, 12, 3), "num_outputs": 3},
        {"patch_size": 4, "filters": 8, "depth": 1, "kernel_size": 3},
    ),
    "autoencoder": ({"input_shape": (6, 5)}, {"units": [16], "code": 8}),
    "sparse_autoencoder": ({"input_shape": (6, 5)}, {"code": 40}),
    "conv_autoencoder": ({"input_shape": (4, 8, 1)}, {"filters": [8, 16], "code": 8}),
    "denoising_autoencoder": ({"input_shape": (4, 8, 1)}, {"filters": [8, 16], "code": 8, "noise": 0.1}),
    "fc_autoencoder": ({"input_shape": (6, 5)}, {"units": [16, 16], "code": 8}),
    "vae": ({"input_shape": (6, 5)}, {"units": [16], "code": 8}),
    "conv_vae": ({"input_shape": (4, 8, 1)}, {"filters": [8, 16], "units": 16, "code": 8}),
    "gan": ({"input_shape": (4, 8, 1)}, {"units": [8, 16], "latent_dim": 5}),
    "dcgan": ({"input_shape": (4, 8, 1)}, {"filters": [8, 8], "latent_dim": 5}),
    "cgan": ({"input_shape": (4, 8, 1), "num_outputs": 3}, {"filters": [8, 8], "latent_dim": 5}),
    "wgan_gp": ({"input_shape": (4, 8, 1)}, {"filters": [8, 8], "latent_dim": 5}),
    "rbm": ({"input_shape": (6, 5)}, {"units": 7}),
    "dbn": ({"input_shape": (6, 5), "num_outputs": 3}, {"units": [16, 16]}),
}
PLAYERS = {"gan", "dcgan", "cgan", "wgan_gp"}  # from noise to what the discriminator says of it
GIVES = dict.fromkeys(PLAYERS, (1,)) | {"rbm": (7,)}  # where that is neither a logit a class nor the input again
TRAINED_ELSEWHERE = {*PLAYERS, "rbm", "vae", "conv_vae"}  # by algorithms of their own: see tests/training
SIBLINGS = {  # differ from another row by a number alone: their rows are slow
    "vgg11",
    "vgg13",
    "vgg19",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet34",
    "resnet101",
    "resnet152",
    "preact_resnet110",
    "preact_resnet164",
    "preact_resnet50",
    "preact_resnet101",
    "preact_resnet152",
    "mobilenet_v1_025",
    "mobilenet_v3_large",
    "efficientnet_lite0",
}
ELSEWHERE = {"resnet1202"}  # its logits overflow until it is trained, and a step takes a minute: see test_resnet.py
LEARNING_RATES = {"vgg11": 0.001, "vgg13": 0.001, "vgg16": 0.001, "vgg19": 0.001, "googlenet": 0.003, "dbn": 0.03}
"""Where 0.01 kills rectifiers that nothing normalizes, or moves too little what begins near 0."""
# One of each kind; others are slow.
OVERFITTED = {"mlp", "lenet5", "convnet", "resnet8", "vit_tiny", "conv_autoencoder", "dbn"}
SIZES = {"input_shape", "num_outputs"}  # what tasks and data give; a model asks for them by these names
SOURCES = sorted(Path(dltemplates.models.__path__[0]).glob("*.py"))


def rows(names):
    """A test of each, the siblings' slow."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=pytest.mark.slow if name in SIBLINGS else ()) for name in names]
    )


models = rows(TINY)
classifiers = rows(name for name, (sizes, _) in TINY.items() if "num_outputs" in sizes and name not in PLAYERS)
builders = pytest.mark.parametrize("name", catalog.MODELS)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def build(name):
    sizes, options = TINY[name]
    return build_network(name, sizes, options)


def output_shape(name):
    sizes = TINY[name][0]
    return GIVES.get(name) or ((sizes["num_outputs"],) if "num_outputs" in sizes else sizes["input_shape"])


def examples(network, count=4):
    """Normal numbers for each input, and ids for one of classes."""
    random = np.random.default_rng(0)
    made = [
        random.normal(size=(count, *tensor.shape[1:])).astype("float32")
        if tensor.dtype == "float32"
        else np.arange(count, dtype=tensor.dtype) % 3
        for tensor in network.inputs
    ]
    return made if len(made) > 1 else made[0]


def answer(network, x):
    """Its logits, as NumPy has them."""
    return keras.ops.convert_to_numpy(logits_of(network(x)))


def test_every_model_has_a_row():
    assert sorted([*TINY, *ELSEWHERE]) == sorted(catalog.MODELS)
    assert set(TINY) > SIBLINGS


def test_every_model_has_the_sizes_of_its_paper():
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


@models
def test_network_is_functional_and_gives_finite_float32_logits_of_the_right_shape(name):
    network = build(name)
    x = examples(network)
    logits = answer(network, x)
    assert type(network).__name__ == "Functional"
    assert network.name == name
    assert logits_of(network.output).shape == (None, *output_shape(name))
    for auxiliary in auxiliary_of(network.output):
        assert auxiliary.shape == logits_of(network.output).shape
        assert auxiliary.dtype == "float32"
    assert logits.shape == (4, *output_shape(name))
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()
    assert (np.ptp(logits, axis=0) > 0).all()  # it looks at its input
    if "num_outputs" in TINY[name][0]:
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


@classifiers
def test_it_begins_with_weights_of_other_classes_but_for_what_tells_them_apart(name):
    sizes, options = TINY[name]
    source = build(name)
    network = build_network(name, sizes | {"num_outputs": sizes["num_outputs"] + 1}, options)
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


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in OVERFITTED else pytest.mark.slow)
        for name in TINY
        if name not in TRAINED_ELSEWHERE
    ],
)
def test_training_overfits_one_batch(name):
    network = without_auxiliary(build(name))
    x = examples(network, count=6)
    if "num_outputs" in TINY[name][0]:
        y, loss = np.arange(6) % 3, keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        y, loss = x, keras.losses.MeanSquaredError()
    optimizer = keras.optimizers.Adam(LEARNING_RATES.get(name, 0.01))
    network.compile(optimizer, loss, run_eagerly=True)  # tracing would cost more than these steps
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
