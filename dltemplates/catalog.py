"""What exists, listed without importing it: models, datasets, tasks, export formats.

To add one: write its file, add its line here, add its row to the contract test.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One name of the catalog: where it lives and what it is, in a sentence.

    Attributes:
        target: `module:name`.
        summary: What it is.
        sizes: Those of a model's paper, as its builder asks for them by name.
    """

    target: str
    summary: str
    sizes: dict[str, Any] = field(default_factory=dict)


def image(height: int, width: int, channels: int, num_outputs: int) -> dict[str, Any]:
    """The sizes of a classifier of images."""
    return {"input_shape": (height, width, channels), "num_outputs": num_outputs}


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        summary: What it is, in a sentence.
        suffix: How its file is named; empty for a folder.
        tolerance: Greatest error against Keras, divided by the spread of Keras's output; None where only the task's
            score and the changed predictions can tell (integer arithmetic).
    """

    summary: str
    suffix: str
    tolerance: float | None


def row(columns: int, num_outputs: int) -> dict[str, Any]:
    """The sizes of a network that sees rows of numbers."""
    return {"input_shape": (columns,), "num_outputs": num_outputs}


MNIST = image(28, 28, 1, 10)
CIFAR10 = image(32, 32, 3, 10)
IMAGENET = image(224, 224, 3, 1000)

MODELS = {
    "perceptron": Entry(
        "dltemplates.models.perceptron:perceptron", "one neuron, and where it all began (Rosenblatt 1958)", row(2, 1)
    ),
    "linear_regression": Entry(
        "dltemplates.models.regression:linear_regression", "a weighted sum (Gauss 1809)", row(10, 1)
    ),
    "logistic_regression": Entry(
        "dltemplates.models.regression:logistic_regression", "a weighted sum, as odds (Cox 1958)", row(30, 1)
    ),
    "softmax_regression": Entry(
        "dltemplates.models.regression:softmax_regression", "a weighted sum for each class (Bishop 2006)", row(4, 3)
    ),
    "mlp": Entry("dltemplates.models.mlp:mlp", "fully connected layers (Rumelhart 1986)", MNIST),
    "dfn": Entry("dltemplates.models.mlp:dfn", "a deep feedforward network for tables (Goodfellow 2016)", row(14, 2)),
    "autoencoder": Entry(
        "dltemplates.models.autoencoder:autoencoder",
        "through a code that is too small, and back (Hinton 2006)",
        {"input_shape": (28, 28, 1)},
    ),
    "sparse_autoencoder": Entry(
        "dltemplates.models.autoencoder:sparse_autoencoder",
        "a long code, few of whose units are active at once (Ng 2011)",
        {"input_shape": (28, 28, 1)},
    ),
    "conv_autoencoder": Entry(
        "dltemplates.models.autoencoder:conv_autoencoder",
        "an autoencoder of convolutions",
        {"input_shape": (28, 28, 1)},
    ),
    "denoising_autoencoder": Entry(
        "dltemplates.models.autoencoder:denoising_autoencoder",
        "gives back what was there before the noise (Vincent 2008)",
        {"input_shape": (28, 28, 1)},
    ),
    "fc_autoencoder": Entry(
        "dltemplates.models.autoencoder:fc_autoencoder",
        "MLPerf Tiny's anomaly detector (Banbury 2021)",
        {"input_shape": (640,)},
    ),
    "vae": Entry(
        "dltemplates.models.vae:vae",
        "a variational autoencoder: any code makes an example (Kingma 2014)",
        {"input_shape": (28, 28, 1)},
    ),
    "conv_vae": Entry(
        "dltemplates.models.vae:conv_vae", "a variational autoencoder of convolutions", {"input_shape": (28, 28, 1)}
    ),
    "gan": Entry(
        "dltemplates.models.gan:gan",
        "a generator against a discriminator (Goodfellow 2014)",
        {"input_shape": (28, 28, 1)},
    ),
    "dcgan": Entry("dltemplates.models.gan:dcgan", "both of convolutions (Radford 2016)", {"input_shape": (28, 28, 1)}),
    "cgan": Entry("dltemplates.models.gan:cgan", "both told the class (Mirza 2014)", MNIST),
    "wgan_gp": Entry(
        "dltemplates.models.gan:wgan_gp",
        "a generator and a critic whose slope is held at 1 (Gulrajani 2017)",
        {"input_shape": (28, 28, 1)},
    ),
    "rbm": Entry(
        "dltemplates.models.rbm:rbm",
        "a restricted Boltzmann machine, which dreams (Hinton 2002)",
        {"input_shape": (28, 28, 1)},
    ),
    "dbn": Entry("dltemplates.models.rbm:dbn", "a deep belief network, machine upon machine (Hinton 2006)", MNIST),
    "lstm": Entry(
        "dltemplates.models.lstm:lstm",
        "long short-term memory, for sequences (Hochreiter 1997)",
        {"input_shape": (48, 1), "num_outputs": 12},
    ),
    "lenet5": Entry(
        "dltemplates.models.lenet:lenet5", "the first convolutional network in wide use (LeCun 1998)", MNIST
    ),
    "cnn_gap": Entry(
        "dltemplates.models.cnn_gap:cnn_gap", "a first CNN, which shows where it looks (Lin 2014)", CIFAR10
    ),
    "convnet": Entry("dltemplates.models.convnet:convnet", "a plain modern small CNN (Ioffe 2015)", CIFAR10),
    "alexnet": Entry(
        "dltemplates.models.alexnet:alexnet",
        "the network that began it all, in two towers (Krizhevsky 2012)",
        image(227, 227, 3, 1000),
    ),
    "vgg11": Entry("dltemplates.models.vgg:vgg11", "11 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET),
    "vgg13": Entry("dltemplates.models.vgg:vgg13", "13 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET),
    "vgg16": Entry("dltemplates.models.vgg:vgg16", "16 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET),
    "vgg19": Entry("dltemplates.models.vgg:vgg19", "19 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET),
    "nin": Entry("dltemplates.models.nin:nin", "a small perceptron at every place (Lin 2014)", IMAGENET),
    "googlenet": Entry(
        "dltemplates.models.googlenet:googlenet", "inception modules, 22 layers of them (Szegedy 2015)", IMAGENET
    ),
    "resnet8": Entry("dltemplates.models.resnet:resnet8", "MLPerf Tiny's image classifier (Banbury 2021)", CIFAR10),
    "resnet20": Entry("dltemplates.models.resnet:resnet20", "20 layers, for small images (He 2016)", CIFAR10),
    "resnet32": Entry("dltemplates.models.resnet:resnet32", "32 layers, for small images (He 2016)", CIFAR10),
    "resnet44": Entry("dltemplates.models.resnet:resnet44", "44 layers, for small images (He 2016)", CIFAR10),
    "resnet56": Entry("dltemplates.models.resnet:resnet56", "56 layers, for small images (He 2016)", CIFAR10),
    "resnet110": Entry("dltemplates.models.resnet:resnet110", "110 layers, for small images (He 2016)", CIFAR10),
    "resnet1202": Entry("dltemplates.models.resnet:resnet1202", "1202 layers, for small images (He 2016)", CIFAR10),
    "resnet_cifar": Entry(
        "dltemplates.models.resnet:resnet_cifar", "any depth, with or without residuals (He 2016)", CIFAR10
    ),
    "resnet18": Entry("dltemplates.models.resnet_imagenet:resnet18", "18 layers, for photographs (He 2016)", IMAGENET),
    "resnet34": Entry("dltemplates.models.resnet_imagenet:resnet34", "34 layers, for photographs (He 2016)", IMAGENET),
    "resnet50": Entry("dltemplates.models.resnet_imagenet:resnet50", "50 layers, of bottlenecks (He 2016)", IMAGENET),
    "resnet101": Entry(
        "dltemplates.models.resnet_imagenet:resnet101", "101 layers, of bottlenecks (He 2016)", IMAGENET
    ),
    "resnet152": Entry(
        "dltemplates.models.resnet_imagenet:resnet152", "152 layers, of bottlenecks (He 2016)", IMAGENET
    ),
    "preact_resnet110": Entry(
        "dltemplates.models.preact_resnet:preact_resnet110", "identity mappings, 110 layers (He 2016)", CIFAR10
    ),
    "preact_resnet164": Entry(
        "dltemplates.models.preact_resnet:preact_resnet164", "identity mappings, 164 layers (He 2016)", CIFAR10
    ),
    "preact_resnet_cifar": Entry(
        "dltemplates.models.preact_resnet:preact_resnet_cifar", "identity mappings, any depth (He 2016)", CIFAR10
    ),
    "preact_resnet50": Entry(
        "dltemplates.models.preact_resnet:preact_resnet50", "identity mappings, for photographs (He 2016)", IMAGENET
    ),
    "preact_resnet101": Entry(
        "dltemplates.models.preact_resnet:preact_resnet101", "the same, 101 layers (He 2016)", IMAGENET
    ),
    "preact_resnet152": Entry(
        "dltemplates.models.preact_resnet:preact_resnet152", "the same, 152 layers (He 2016)", IMAGENET
    ),
    "densenet121": Entry(
        "dltemplates.models.densenet:densenet121", "every layer sees all before it (Huang 2017)", IMAGENET
    ),
    "mobilenet_v1": Entry(
        "dltemplates.models.mobilenet_v1:mobilenet_v1", "depthwise separable convolutions (Howard 2017)", IMAGENET
    ),
    "mobilenet_v1_025": Entry(
        "dltemplates.models.mobilenet_v1:mobilenet_v1_025",
        "MLPerf Tiny's person detector (Banbury 2021)",
        image(96, 96, 3, 2),
    ),
    "mobilenet_v2": Entry(
        "dltemplates.models.mobilenet_v2:mobilenet_v2", "inverted residuals, for phones (Sandler 2018)", IMAGENET
    ),
    "mobilenet_v3_small": Entry(
        "dltemplates.models.mobilenet_v3:mobilenet_v3_small", "searched on a phone, small (Howard 2019)", IMAGENET
    ),
    "mobilenet_v3_large": Entry(
        "dltemplates.models.mobilenet_v3:mobilenet_v3_large", "searched on a phone, large (Howard 2019)", IMAGENET
    ),
    "efficientnet_b0": Entry(
        "dltemplates.models.efficientnet:efficientnet_b0", "searched, to be scaled up (Tan 2019)", IMAGENET
    ),
    "efficientnet_lite0": Entry(
        "dltemplates.models.efficientnet:efficientnet_lite0", "the same for devices with integers (Liu 2020)", IMAGENET
    ),
    "dscnn": Entry(
        "dltemplates.models.dscnn:dscnn", "MLPerf Tiny's keyword spotter (Zhang 2017)", image(49, 10, 1, 12)
    ),
    "vit_tiny": Entry(
        "dltemplates.models.vit:vit_tiny", "a small Vision Transformer (Dosovitskiy 2021, Touvron 2021)", IMAGENET
    ),
    "convmixer": Entry(
        "dltemplates.models.convmixer:convmixer", "patches mixed by convolutions alone (Trockman 2022)", IMAGENET
    ),
}

DATASETS = {
    "digits": Entry(
        "dltemplates.datasets.digits:digits", "1,797 handwritten digits, 8x8 grey; ships with scikit-learn"
    ),
    "mnist": Entry("dltemplates.datasets.idx:mnist", "70,000 handwritten digits, 28x28 grey"),
    "fashion_mnist": Entry("dltemplates.datasets.idx:fashion_mnist", "70,000 pieces of clothing, 28x28 grey"),
    "cifar10": Entry("dltemplates.datasets.cifar:cifar10", "60,000 photographs of ten things, 32x32 colour"),
    "gates": Entry("dltemplates.datasets.gates:gates", "two bits in, one out: gates:and, :or, :nand, :xor"),
    "iris": Entry("dltemplates.datasets.sklearn_tables:iris", "150 irises of 3 kinds, 4 lengths; with scikit-learn"),
    "wine": Entry("dltemplates.datasets.sklearn_tables:wine", "178 wines of 3 growers, 13 figures; with scikit-learn"),
    "breast_cancer": Entry(
        "dltemplates.datasets.sklearn_tables:breast_cancer", "569 tumours, 30 figures; with scikit-learn"
    ),
    "diabetes": Entry(
        "dltemplates.datasets.sklearn_tables:diabetes", "442 patients, 10 figures, one number; with scikit-learn"
    ),
    "moons": Entry(
        "dltemplates.datasets.sklearn_tables:moons", "1,000 points of two half moons; drawn by scikit-learn"
    ),
    "adult": Entry(
        "dltemplates.datasets.named_tables:adult",
        "48,842 adults of a census, 8 categories and 5 numbers: who earns over 50,000",
    ),
    "california_housing": Entry(
        "dltemplates.datasets.named_tables:california_housing", "20,640 blocks of houses, 9 columns: their value"
    ),
    "sunspots": Entry("dltemplates.datasets.series:sunspots", "2,820 months of sunspots, from 1749 to 1983: a series"),
    "ecg5000": Entry("dltemplates.datasets.ecg5000:ecg5000", "5,000 heartbeats of 140 numbers, normal or not"),
    "nab": Entry(
        "dltemplates.datasets.nab:nab", "series of machines and cities with marked anomalies: nab:nyc_taxi and others"
    ),
}

TASKS = {
    "classification": Entry("dltemplates.tasks.classification:Classification", "one class of several per example"),
    "multi_label": Entry("dltemplates.tasks.multi_label:MultiLabel", "any number of labels per example"),
    "regression": Entry("dltemplates.tasks.regression:Regression", "one or more numbers"),
    "forecasting": Entry("dltemplates.tasks.forecasting:Forecasting", "the next values of a series"),
    "reconstruction": Entry("dltemplates.tasks.reconstruction:Reconstruction", "what was put in, through a code"),
    "anomaly": Entry("dltemplates.tasks.anomaly:Anomaly", "what is not as usual, learned from what is"),
    "variational": Entry("dltemplates.tasks.variational:Variational", "the same, through a code that is drawn"),
    "generation": Entry("dltemplates.tasks.generation:Generation", "images of noise, by two players"),
    "representation": Entry(
        "dltemplates.tasks.representation:Representation", "hidden units that stand for what is shown"
    ),
    "parity": Entry("dltemplates.tasks.parity:Parity", "the same as Keras; judges exports of parts of a network"),
    "image_regression": Entry(
        "dltemplates.tasks.regression:Regression", "numbers read from an image; another name of `regression`"
    ),
}

FORMATS = {
    "saved_model": Format("TensorFlow SavedModel, for servers", "", 1e-4),
    "tflite:float32": Format("TFLite, float32", ".tflite", 1e-4),
    "tflite:float16": Format("TFLite, float16 weights: half the size", ".tflite", 1e-2),
    "tflite:dynamic": Format("TFLite, int8 weights, float activations: a quarter of the size", ".tflite", None),
    "tflite:int8": Format("TFLite, int8 throughout, raw camera bytes in: for NPUs and boards", ".tflite", None),
    "tflite:int16x8": Format("TFLite, int8 weights, int16 activations: close to float", ".tflite", None),
    "onnx:float32": Format("ONNX, float32", ".onnx", 1e-4),
    "onnx:float16": Format("ONNX, float16: half the size", ".onnx", 1e-2),
    "onnx:int8": Format("ONNX, int8 weights and activations (QDQ), raw camera bytes in", ".onnx", None),
}

_RECURRENT = dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), "the TFLite converter crashes when it calibrates it")
_TEXT = {"CategoryLookup": "the TFLite converter crashes when it calibrates two texts or more"}
_ONNX_TEXT = {"CategoryLookup": "ONNX compares no text before opset 19, and it is converted to opset 17"}
_NO_16X8 = {
    "hard_silu": "HARD_SWISH",
    "elu": "ELU",
    "ELU": "ELU",
    "selu": "GREATER",
    "soft_shrink": "GREATER",
    "softsign": "DIV",
    "log_sigmoid": "NEG",
    "squareplus": "SQUARE",
    "PReLU": "PRELU",
    "Conv3D": "CONV_3D",
    "LayerNormalization": "NEG",
    "GroupNormalization": "NEG",
    "UnitNormalization": "SQUARE",
    "RMSNormalization": "SQUARE",
}
NOT_OFFERED: dict[str, dict[str, str]] = {
    "tflite:int8": _RECURRENT | _TEXT,
    "tflite:int16x8": _RECURRENT
    | _TEXT
    | {"Embedding": "the TFLite converter cannot calibrate the ids in front of it"}
    | {trait: f"the TFLite converter has no 16x8 form of its operator {name}" for trait, name in _NO_16X8.items()},
    "onnx:float32": _ONNX_TEXT,
    "onnx:float16": _ONNX_TEXT,
    "onnx:int8": _ONNX_TEXT,
}
"""What a format is known not to take: the class name of a layer or the name of an activation, and the reason."""

ONE_BY_ONE: dict[str, set[str]] = {key: set(_RECURRENT) for key in FORMATS if key.startswith("tflite:")}
"""Layers with which a format takes one example a call: TFLite's loop must know the sizes of what it gathers."""

KINDS: dict[str, dict[str, Any]] = {
    "model": MODELS,
    "dataset": DATASETS,
    "task": TASKS,
    "format": FORMATS,
}


def check_name(kind: str, name: str, known: Iterable[str] | None = None) -> None:
    """Raise a `ValueError` with the nearest names if `name` is no `kind` of the catalog (or of `known`)."""
    names = sorted(KINDS[kind] if known is None else known)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(names)}."
    raise ValueError(f"Unknown {kind}. Received: {name!r}. {hint}")


_trusted: set[str] = set()


def trust(module_name: str) -> None:
    """Import a module of the user's, and let names that are read from files refer to it from now on.

    Raises:
        ImportError: If it cannot be imported.
    """
    importlib.import_module(module_name)
    _trusted.add(module_name)


def load(kind: str, name: str, *, from_file: bool = False) -> Callable[..., Any]:
    """Import what a name stands for.

    Args:
        kind: `model`, `dataset` or `task`.
        name: A name of the catalog, or the user's own `package.module:function`.
        from_file: Whether the name was read from a run or an exported file. Such a name does not decide what code is
            run: the user's own is then taken from modules that the user has named before, here or by `trust`.

    Raises:
        ValueError: If there is no such name, module or function, or the module is not trusted.
    """
    own = ":" in name
    if not own:
        check_name(kind, name)
        name = KINDS[kind][name].target
    module_name, _, attribute = name.partition(":")
    if own and from_file and module_name not in _trusted:
        raise ValueError(
            f"A {kind} of your own is not imported because a file names it. Received: {name!r}. "
            f"If you trust it, add --import {module_name}."
        )
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(
            f"A {kind} of your own is named `package.module:function`. Received: {name!r} ({error}). "
            "Check the spelling and that the module can be imported from here."
        ) from error
    if own:
        _trusted.add(module_name)
    return found


def template_names() -> list[str]:
    """The names of the ready templates."""
    folder = resources.files("dltemplates") / "templates"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def template_text(name: str) -> str:
    """The TOML of a ready template, comments included.

    Raises:
        ValueError: If there is no such template.
    """
    check_name("template", name, template_names())
    return (resources.files("dltemplates") / "templates" / f"{name}.toml").read_text(encoding="utf-8")


def template_summary(name: str) -> str:
    """The first line of a ready template."""
    return template_text(name).partition("\n")[0].lstrip("# ")


def measured(model: str) -> dict[str, list[str]]:
    """What the ready templates say was measured of a model.

    Returns:
        For each template that trains it, by name, what follows `Measured:` in the comment at its head.
    """
    found = {}
    for name in template_names():
        text = template_text(name)
        if tomllib.loads(text).get("model", {}).get("name") == model:
            lines = re.findall(r"^# *Measured: (.*(?:\n# *(?!Measured:)\S.*)*)", text, re.MULTILINE)
            found[name] = [re.sub(r"\n# *", " ", line) for line in lines]
    return found


def describe(kind: str, name: str) -> dict[str, str]:
    """What a model, dataset or task says of itself, read from its source without running it.

    Returns:
        `summary`, `module` (its docstring), `signature`, and `docstring`.
    """
    check_name(kind, name)
    entry = KINDS[kind][name]
    module_name, _, attribute = entry.target.partition(":")
    package, _, file = module_name.rpartition(".")
    tree = ast.parse((resources.files(package) / f"{file}.py").read_text(encoding="utf-8"))
    node = next(n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name == attribute)
    function = node
    if isinstance(node, ast.ClassDef):
        function = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), node)
    signature = f"({ast.unparse(function.args)})" if isinstance(function, ast.FunctionDef) else "()"
    return {
        "summary": entry.summary,
        "module": ast.get_docstring(tree) or "",
        "signature": f"{attribute}{signature}",
        "docstring": ast.get_docstring(node) or "",
    }
