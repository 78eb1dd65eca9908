"""Sizes and options with which tests build, train and export the models. A new model is a new row of `REGISTER`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dltemplates import catalog


@dataclass(frozen=True)
class Export:
    """Training of a few seconds, after which every export passes.

    Attributes:
        options: Options of the builder.
        data: A dataset of the catalog.
        image_size: Side of the digits in pixels, if they are the data.
        epochs: Passes over the training split.
        task: A task of the catalog, or a table with its options.
        batch_size: Examples per step.
        keep: Which epoch's weights are exported: `best` or `last`.
    """

    options: dict[str, Any] = field(default_factory=dict)
    data: str = "digits"
    image_size: int = 8
    epochs: int = 4
    task: str | dict[str, Any] = "classification"
    batch_size: int = 64
    keep: str = "best"


@dataclass(frozen=True)
class Row:
    """Test settings of a model.

    Attributes:
        sizes: Sizes that build fast; None for a model with its own tests only.
        options: Options that build fast.
        min_size: Least side of an image in pixels, with the default options; None if no side is too small.
        min_steps: Least number of steps of a sequence.
        output_shape: Output shape of one example, if it is neither one logit per class nor the input shape.
        learning_rate: Adam's learning rate to overfit one batch; None if tests/training has its own tests.
        export: Training before the export; None if tests/deploy has its own tests.
        fast: Names of its tests, `overfits` and `exports`, that are not marked slow.
        slow: Whether all its tests are marked slow, since it differs from another model only by a number.
        deep: Whether it takes seconds to build at the sizes of its paper.
    """

    sizes: dict[str, Any] | None
    options: dict[str, Any] = field(default_factory=dict)
    min_size: int | None = None
    min_steps: int = 1
    output_shape: tuple[int, ...] | None = None
    learning_rate: float | None = 0.01
    export: Export | None = field(default_factory=Export)
    fast: tuple[str, ...] = ()
    slow: bool = False
    deep: bool = False


def row_of(name: str) -> Row:
    """Return the row of a model of the catalog, or fail the test that asks for it."""
    if name not in REGISTER:
        pytest.fail(f"add a row to REGISTER in tests/models/register.py for `{name}`")
    return REGISTER[name]


def models(
    has: Callable[[Row], Any] = lambda row: True, *, slow: Callable[[Row], bool] = lambda row: row.slow
) -> pytest.MarkDecorator:
    """Parametrize a test over the models of the catalog, by `name`.

    Args:
        has: Returns whether the test is for a model with this row. Models without a row are included; `row_of` fails.
        slow: Returns whether the test is slow for a model with this row.
    """
    known = {name: REGISTER.get(name) for name in catalog.MODELS}
    names = {name: row for name, row in known.items() if row is None or has(row)}
    marks = {name: pytest.mark.slow if row and slow(row) else () for name, row in names.items()}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=marks[name]) for name in names])


def shape(*input_shape: int) -> dict[str, Any]:
    """Return the sizes of a network without classes."""
    return {"input_shape": input_shape}


def classifier(*input_shape: int) -> dict[str, Any]:
    """Return the sizes of a network with three outputs."""
    return {"input_shape": input_shape, "num_outputs": 3}


def forecaster(steps: int, channels: int) -> dict[str, Any]:
    """Return the sizes of a network that forecasts three steps of each channel."""
    return {"input_shape": (steps, channels), "horizon": 3}


def text_classifier(vocabulary_size: int) -> dict[str, Any]:
    """Return the sizes of a network for texts with three outputs."""
    return {"vocabulary_size": vocabulary_size, "num_outputs": 3}


def sibling(row: Row, **changes: Any) -> Row:
    """Return the row of a model that differs from another only by a number."""
    return replace(row, slow=True, **changes)


def generator(sizes: dict[str, Any], *, options: dict[str, Any], export: Export, min_size: int | None = 4) -> Row:
    """Return the row of a generator and a discriminator, with one output."""
    return Row(sizes, options, min_size, output_shape=(1,), learning_rate=None, export=replace(export, keep="last"))


BINARY = {"name": "classification", "binary": True}
DROPOUT = {"dropout_rate": 0.1}
NO_DROPOUT = {"dropout_rate": 0.0}
THIN = {"width": 0.1}
CONV = {"filters": [8, 16], "latent_dim": 8}
LATENT = {"filters": [8, 8], "latent_dim": 5}
LATENT_EXPORT = {"filters": [16, 8], "latent_dim": 8}

# with 0.01, ReLU units without normalization die
VGG = Row(classifier(32, 33, 3), THIN | DROPOUT, 32, learning_rate=0.001, export=Export(THIN, image_size=32))
CIFAR_RESNET = Row(classifier(8, 9, 3), min_size=8)
IMAGENET_RESNET = Row(classifier(32, 33, 3), THIN, 32, export=Export(THIN, image_size=32))
MOBILENET_V1 = Row(classifier(17, 18, 3), {"width": 0.25}, 17, export=Export({"width": 0.25}, image_size=17, epochs=20))
MOBILENET_V3 = Row(classifier(17, 18, 3), THIN | NO_DROPOUT, 17, export=Export({"width": 0.35}, image_size=17))
EFFICIENTNET_EXPORT = Export({"width": 0.25, "depth": 0.3}, image_size=17)
TINY_TRANSFORMER = {"units": 8, "depth": 2, "num_heads": 2}
TOKENS = 5  # in each example of a text
RECURRENT = Row(classifier(6, 5), {"units": [8, 8]} | DROPOUT, export=None)
TEXT_RNN = Row(text_classifier(7), {"embedding_dim": 8, "units": [8, 8]} | DROPOUT, export=None)

REGISTER = {
    "perceptron": Row(
        classifier(6, 5), export=Export(data="gates:and", task=BINARY | {"loss": "perceptron"}, batch_size=1)
    ),
    "linear_regression": Row(classifier(6, 5), export=Export(data="diabetes", task="regression", epochs=20)),
    "logistic_regression": Row(classifier(6, 5), export=Export(data="breast_cancer", task=BINARY)),
    "softmax_regression": Row(classifier(6, 5), export=Export(data="iris", epochs=20)),
    "mlp": Row(
        classifier(6, 5), {"units": [16]} | DROPOUT, export=Export({"units": [32]}), fast=("overfits", "exports")
    ),
    "dfn": Row(classifier(6, 5), {"units": [32, 16]} | DROPOUT, export=Export({"units": [32, 16]})),
    "autoencoder": Row(
        shape(6, 5),
        {"units": [16], "latent_dim": 8},
        export=Export({"units": [32], "latent_dim": 8}, task="reconstruction"),
    ),
    "sparse_autoencoder": Row(
        shape(6, 5), {"latent_dim": 40}, export=Export({"latent_dim": 32}, task="reconstruction")
    ),
    "conv_autoencoder": Row(shape(4, 8, 1), CONV, 4, export=Export(CONV, task="reconstruction"), fast=("overfits",)),
    "denoising_autoencoder": Row(shape(4, 8, 1), CONV | {"noise": 0.1}, 4, export=Export(CONV, task="reconstruction")),
    "fc_autoencoder": Row(
        shape(6, 5),
        {"units": [16, 16], "latent_dim": 8},
        export=Export({"units": [32], "latent_dim": 8}, task="reconstruction"),
    ),
    "vae": Row(
        shape(6, 5),
        {"units": [16], "latent_dim": 8},
        learning_rate=None,
        export=Export({"units": [32], "latent_dim": 4}, task="variational"),
    ),
    "conv_vae": Row(
        shape(4, 8, 1),
        CONV | {"units": 16},
        4,
        learning_rate=None,
        export=Export(CONV | {"units": 16, "latent_dim": 4}, task="variational"),
    ),
    "gan": generator(
        shape(4, 8, 1),
        options={"units": [8, 16], "latent_dim": 5},
        export=Export({"units": [16, 32], "latent_dim": 8}, task="generation"),
        min_size=None,
    ),
    "dcgan": generator(shape(4, 8, 1), options=LATENT, export=Export(LATENT_EXPORT, task="generation")),
    "cgan": generator(classifier(4, 8, 1), options=LATENT, export=Export(LATENT_EXPORT, task="generation")),
    "wgan_gp": generator(
        shape(4, 8, 1),
        options=LATENT,
        export=Export(LATENT_EXPORT, task={"name": "generation", "loss": "wasserstein"}),
    ),
    "rbm": Row(
        shape(6, 5),
        {"units": 7},
        output_shape=(7,),
        learning_rate=None,
        export=Export({"units": 32}, task="representation"),
    ),
    "dbn": Row(
        classifier(6, 5),
        {"units": [16, 16]},
        learning_rate=0.03,  # 0.01 is too low for initial weights near 0
        export=Export({"units": [32, 32]}, epochs=20),
        fast=("overfits",),
    ),
    "ltsf_linear": Row(classifier(6, 5), learning_rate=0.1, export=None),  # 0.01 is too low for so few weights
    "dlinear": Row(forecaster(6, 5), {"kernel_size": 3}, output_shape=(3, 5), learning_rate=None, export=None),
    "nlinear": Row(forecaster(6, 5), output_shape=(3, 5), learning_rate=None, export=None),
    "simple_rnn": RECURRENT,
    "lstm": RECURRENT,
    "gru": RECURRENT,
    "bilstm": RECURRENT,
    "conv1d": Row(classifier(6, 5), {"filters": [8, 8], "kernel_sizes": [4, 3]} | DROPOUT, export=None),
    "inception_time": Row(
        classifier(6, 5),
        {"depth": 3, "filters": 2, "bottleneck": 2, "kernel_size": 4},
        learning_rate=0.03,
        export=None,
    ),
    "tcn": Row(classifier(6, 5), {"filters": [8, 8], "kernel_size": 2} | DROPOUT, learning_rate=0.03, export=None),
    "patch_tst": Row(
        forecaster(16, 5),
        {"units": 4, "depth": 1, "num_heads": 2} | DROPOUT,
        min_steps=16,
        output_shape=(3, 5),
        learning_rate=None,
        export=None,
    ),
    "textcnn": Row(text_classifier(7), {"embedding_dim": 8, "filters": 8} | DROPOUT, export=None),
    "text_lstm": TEXT_RNN,
    "text_gru": TEXT_RNN,
    "seq2seq": Row(
        {"vocabulary_size": 7},
        {"embedding_dim": 8, "units": 8} | DROPOUT,
        output_shape=(TOKENS, 7),
        learning_rate=None,
        export=None,
    ),
    "transformer_encoder": Row(text_classifier(7), TINY_TRANSFORMER | {"depth": 1} | DROPOUT, export=None),
    "gpt": Row(
        {"sequence_length": 6, "vocabulary_size": 7},
        TINY_TRANSFORMER | DROPOUT,
        output_shape=(TOKENS, 7),
        learning_rate=None,
        export=None,
    ),
    "transformer": Row(
        {"vocabulary_size": 7},
        TINY_TRANSFORMER | {"hidden": 16} | DROPOUT,
        output_shape=(TOKENS, 7),
        learning_rate=None,
        export=None,
    ),
    "lenet5": Row(classifier(12, 14, 1), min_size=8, fast=("overfits",)),
    "cnn_gap": Row(classifier(8, 9, 3), {"filters": [8, 16]}, 4, export=Export({"filters": [16, 32]})),
    "convnet": Row(
        classifier(8, 9, 3),
        {"filters": [8, 16]} | DROPOUT,
        8,
        export=Export({"filters": [8, 16]}),
        fast=("overfits",),
    ),
    "alexnet": Row(classifier(67, 68, 3), THIN | DROPOUT, 67, export=Export(THIN, image_size=67)),
    "vgg11": sibling(VGG),
    "vgg13": sibling(VGG),
    "vgg16": VGG,
    "vgg19": sibling(VGG),
    "nin": Row(classifier(39, 40, 3), THIN | DROPOUT, 39, export=Export(THIN, image_size=39)),
    "nin_cifar": Row(  # after 4 epochs its accuracy is a third
        classifier(8, 9, 3), THIN | DROPOUT, 8, export=Export(THIN, epochs=16)
    ),
    "googlenet": Row(
        classifier(65, 66, 3), THIN | DROPOUT, 65, learning_rate=0.003, export=Export(THIN, image_size=65)
    ),
    "resnet8": replace(CIFAR_RESNET, fast=("overfits",)),
    "resnet20": CIFAR_RESNET,
    "resnet32": sibling(CIFAR_RESNET),
    "resnet44": sibling(CIFAR_RESNET),
    "resnet56": sibling(CIFAR_RESNET),
    "resnet110": sibling(CIFAR_RESNET, deep=True),
    # Its logits overflow without training, and tracing a step takes minutes: see test_resnet.py.
    "resnet1202": Row(None, min_size=8, export=None, deep=True),
    "resnet_cifar": replace(
        CIFAR_RESNET,
        options={"depth": 8, "batch_norm": False},
        export=Export({"depth": 8, "residual": False}),
    ),
    "resnet18": IMAGENET_RESNET,
    "resnet34": sibling(IMAGENET_RESNET),
    "resnet50": replace(IMAGENET_RESNET, export=Export(THIN | {"stride_on_3x3": True}, image_size=32)),
    "resnet101": sibling(IMAGENET_RESNET),
    "resnet152": sibling(IMAGENET_RESNET, export=Export(THIN, image_size=32, epochs=10), deep=True),
    "preact_resnet110": sibling(CIFAR_RESNET, deep=True),
    "preact_resnet164": sibling(CIFAR_RESNET, export=Export(epochs=10), deep=True),
    "preact_resnet_cifar": replace(CIFAR_RESNET, options={"depth": 11}, export=Export({"depth": 11}), deep=True),
    "preact_resnet50": sibling(IMAGENET_RESNET),
    "preact_resnet101": sibling(IMAGENET_RESNET),
    "preact_resnet152": sibling(IMAGENET_RESNET, export=Export(THIN, image_size=32, epochs=10), deep=True),
    "densenet121": Row(
        classifier(8, 9, 3),
        {"growth_rate": 12, "blocks": [1, 2]},
        32,
        export=Export({"growth_rate": 8, "blocks": [2, 2, 2]}, image_size=32),
        deep=True,
    ),
    "mobilenet_v1": MOBILENET_V1,
    "mobilenet_v1_025": sibling(MOBILENET_V1, options={}, export=Export(image_size=17, epochs=20)),
    "mobilenet_v2": Row(
        classifier(17, 18, 3),
        {"width": 0.25} | NO_DROPOUT,
        17,
        export=Export({"width": 0.35} | NO_DROPOUT, image_size=17, epochs=12),
    ),
    "mobilenet_v3_small": MOBILENET_V3,
    "mobilenet_v3_large": sibling(MOBILENET_V3, export=Export({"width": 0.35}, image_size=17, epochs=8)),
    "efficientnet_b0": Row(
        classifier(17, 18, 3), {"width": 0.25, "depth": 0.3} | NO_DROPOUT, 17, export=EFFICIENTNET_EXPORT
    ),
    "efficientnet_lite0": sibling(
        Row(classifier(17, 18, 3), THIN | {"depth": 0.3}, 17, export=replace(EFFICIENTNET_EXPORT, epochs=8))
    ),
    "dscnn": Row(
        classifier(12, 10, 1),
        {"filters": 16, "blocks": 1, "dropout_rates": [0.1, 0.1]},
        2,
        export=Export({"dropout_rates": [0.0, 0.1]}),
        fast=("exports",),
    ),
    "vit_tiny": Row(
        classifier(8, 12, 3),
        {"patch_size": 4, "units": 12, "depth": 1, "num_heads": 2},
        16,
        export=Export({"patch_size": 2, "units": 32, "depth": 2, "num_heads": 2}),
        fast=("overfits",),
    ),
    "convmixer": Row(
        classifier(8, 12, 3),
        {"patch_size": 4, "filters": 8, "depth": 1, "kernel_size": 3},
        14,
        export=Export({"patch_size": 2, "filters": 32, "depth": 2, "kernel_size": 3}),
    ),
}
