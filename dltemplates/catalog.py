"""The catalog of models, datasets, tasks and export formats, listed without importing them.

To add one, touch three places: its file, its line here (a model's in `catalog_models.py`), and its row in the register
of the contract test. docs/add_model.md lists the places.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

from dltemplates.catalog_models import MODELS, Entry

DATASETS = {
    "digits": Entry(
        "dltemplates.datasets.named.digits:digits",
        "1,797 handwritten digits, 8x8 grey",
        group="images",
        noun="digits",
        is_included=True,
    ),
    "mnist": Entry(
        "dltemplates.datasets.named.idx:mnist", "70,000 handwritten digits, 28x28 grey", group="images", noun="digits"
    ),
    "fashion_mnist": Entry(
        "dltemplates.datasets.named.idx:fashion_mnist",
        "70,000 clothes in 10 classes, 28x28 grey",
        group="images",
        noun="clothing",
    ),
    "cifar10": Entry(
        "dltemplates.datasets.named.cifar:cifar10",
        "60,000 photographs of 10 classes, 32x32 colour",
        group="images",
        noun="animals and cars",
    ),
    "gates": Entry(
        "dltemplates.datasets.named.gates:gates",
        "Logic gates of two bits: gates:and, or, nand, xor",
        group="tables",
        noun="logic gates",
        is_included=True,
    ),
    "iris": Entry(
        "dltemplates.datasets.named.sklearn_tables:iris",
        "150 irises, 3 species, 4 lengths",
        group="tables",
        noun="species of iris",
        is_included=True,
    ),
    "wine": Entry(
        "dltemplates.datasets.named.sklearn_tables:wine",
        "178 wines, 3 growers, 13 numbers",
        group="tables",
        noun="growers of wine",
        is_included=True,
    ),
    "breast_cancer": Entry(
        "dltemplates.datasets.named.sklearn_tables:breast_cancer",
        "569 tumours, 2 classes, 30 numbers",
        group="tables",
        noun="kinds of tumour",
        is_included=True,
    ),
    "diabetes": Entry(
        "dltemplates.datasets.named.sklearn_tables:diabetes",
        "442 patients, 10 numbers, 1 target",
        group="tables",
        noun="disease progress",
        is_included=True,
    ),
    "moons": Entry(
        "dltemplates.datasets.named.sklearn_tables:moons",
        "1,000 points on two half moons",
        group="tables",
        noun="two half moons",
        is_included=True,
    ),
    "adult": Entry(
        "dltemplates.datasets.named.csv_tables:adult",
        "48,842 adults: income over $50,000 a year",
        group="tables",
        noun="income over $50k",
    ),
    "california_housing": Entry(
        "dltemplates.datasets.named.csv_tables:california_housing",
        "20,640 blocks of houses: median house value",
        group="tables",
        noun="house prices",
    ),
    "sunspots": Entry(
        "dltemplates.datasets.series.csv_series:sunspots",
        "Sunspots in 2,820 months, from 1749 to 1983",
        group="series",
        noun="sunspots",
    ),
    "etth1": Entry(
        "dltemplates.datasets.named.etth1:etth1",
        "Hourly loads and temperature of a transformer",
        group="series",
        noun="power loads",
    ),
    "sms_spam": Entry(
        "dltemplates.datasets.named.corpora:sms_spam",
        "5,574 text messages, 747 of them spam",
        group="text",
        noun="spam messages",
    ),
    "polarity": Entry(
        "dltemplates.datasets.named.corpora:polarity",
        "10,662 lines of film reviews; polarity:0 to :9",
        group="text",
        noun="film reviews",
    ),
    "imdb": Entry(
        "dltemplates.datasets.named.corpora:imdb",
        "50,000 film reviews, positive or negative",
        group="text",
        noun="film reviews",
    ),
    "multi30k": Entry(
        "dltemplates.datasets.named.pairs:multi30k",
        "31,014 captions: multi30k:de-en translates German",
        group="text",
        noun="translations",
    ),
    "kor_eng": Entry(
        "dltemplates.datasets.named.pairs:kor_eng",
        "3,853 short sentences, Korean to English",
        group="text",
        noun="translations",
    ),
    "addition": Entry(
        "dltemplates.datasets.named.pairs:addition",
        "Sums as texts, such as 12+345, of up to 3 digits",
        group="text",
        noun="sums",
        is_included=True,
    ),
    "tinyshakespeare": Entry(
        "dltemplates.datasets.named.corpora:tinyshakespeare",
        "1.1 million characters of plays, to continue",
        group="text",
        noun="Shakespeare",
    ),
    "ecg5000": Entry(
        "dltemplates.datasets.named.ecg5000:ecg5000",
        "5,000 heartbeats of 140 numbers, some abnormal",
        group="series",
        noun="heartbeats",
    ),
    "nab": Entry(
        "dltemplates.datasets.named.nab:nab",
        "Series with known anomalies, such as nab:nyc_taxi",
        group="series",
        noun="values",
    ),
}

TASKS = {
    "classification": Entry(
        "dltemplates.tasks.classification:Classification", "Predict one class of several for each example"
    ),
    "multi_label": Entry("dltemplates.tasks.multi_label:MultiLabel", "Predict any number of labels for each example"),
    "regression": Entry("dltemplates.tasks.regression:Regression", "Predict one or more numbers for each example"),
    "forecasting": Entry("dltemplates.tasks.forecasting:Forecasting", "Predict the next values of a series"),
    "language_modeling": Entry(
        "dltemplates.tasks.language_modeling:LanguageModeling", "Predict the next token, and continue texts"
    ),
    "text_to_text": Entry(
        "dltemplates.tasks.text_to_text:TextToText", "Read a text and write another: translate, answer"
    ),
    "reconstruction": Entry(
        "dltemplates.tasks.reconstruction:Reconstruction",
        "Autoencoder: reconstruct the input through a latent vector",
    ),
    "anomaly": Entry("dltemplates.tasks.anomaly:Anomaly", "Detect anomalies: train an autoencoder on normal examples"),
    "variational": Entry(
        "dltemplates.tasks.variational:Variational", "Variational autoencoder: reconstruct from a drawn latent code"
    ),
    "generation": Entry(
        "dltemplates.tasks.generation:Generation", "Generate images from noise (generative adversarial network)"
    ),
    "representation": Entry(
        "dltemplates.tasks.representation:Representation", "Learn hidden features of images without labels"
    ),
    "parity": Entry("dltemplates.tasks.parity:Parity", "Compare the output of an exported part with Keras's"),
    "image_regression": Entry(
        "dltemplates.tasks.regression:Regression", "Predict numbers from an image; another name of `regression`"
    ),
}

FORMATS = {  # in the order of `--all` and of reports
    "saved_model": Entry("dltemplates.deploy.formats.saved_model:SAVED_MODEL", "TensorFlow SavedModel, for servers"),
    "tflite:float32": Entry("dltemplates.deploy.formats.tflite:FLOAT32", "TFLite, float32"),
    "tflite:float16": Entry("dltemplates.deploy.formats.tflite:FLOAT16", "TFLite, float16 weights: half the size"),
    "tflite:dynamic": Entry(
        "dltemplates.deploy.formats.tflite:DYNAMIC", "TFLite, int8 weights, float activations: a quarter of the size"
    ),
    "tflite:int8": Entry(
        "dltemplates.deploy.formats.tflite:INT8", "TFLite, all int8, takes raw camera bytes: for NPUs and boards"
    ),
    "tflite:int16x8": Entry(
        "dltemplates.deploy.formats.tflite:INT16X8", "TFLite, int8 weights, int16 activations: close to float"
    ),
    "onnx:float32": Entry("dltemplates.deploy.formats.onnx:FLOAT32", "ONNX, float32"),
    "onnx:float16": Entry("dltemplates.deploy.formats.onnx:FLOAT16", "ONNX, float16: half the size"),
    "onnx:int8": Entry("dltemplates.deploy.formats.onnx:INT8", "ONNX, all int8 (QDQ nodes), takes raw camera bytes"),
}

OWN_DATA = {  # what `--data` takes besides names
    "folder": Entry(
        "dltemplates.datasets.images.folder:folder",
        "Your images: one folder per class",
        group="images",
        example="photographs",
    ),
    ".npz": Entry(
        "dltemplates.datasets.images.npz:npz",
        "Your images as arrays: x_train, y_train, ...",
        group="images",
        example="images.npz",
    ),
    ".csv table": Entry(
        "dltemplates.datasets.tables.csv_table:csv_table",
        "Your table: a header, then one example per row",
        group="tables",
        example="customers.csv",
    ),
    ".csv series": Entry(
        "dltemplates.datasets.series.csv_series:csv_series",
        "Your series: a header, then one time step per row",
        group="series",
        example="sales.csv",
    ),
    ".ts sequences": Entry(
        "dltemplates.datasets.series.sequence_files:sequence_files",
        "Your sequences, each with a class or a number",
        group="series",
        example="gestures.ts",
    ),
    ".txt text": Entry(
        "dltemplates.datasets.text.stream:text_stream",
        "Your text, for a language model to continue",
        group="text",
        example="novel.txt",
    ),
    ".tsv pairs": Entry(
        "dltemplates.datasets.text.pairs:pair_files",
        "Your pairs: a text to read and one to write",
        group="text",
        example="translations.tsv",
    ),
    ".tsv texts": Entry(
        "dltemplates.datasets.text.text_files:text_files",
        "Your texts, each with a class or a number",
        group="text",
        example="reviews.tsv",
    ),
}

NEEDS = ("nothing", "your data", "download")
MAX_LISTED = 20  # names in an error

KINDS: dict[str, dict[str, Entry]] = {
    "model": MODELS,
    "dataset": DATASETS,
    "task": TASKS,
    "format": FORMATS,
}


def check_name(kind: str, name: str, known: Iterable[str] | None = None) -> None:
    """Raise a `ValueError` with the nearest names if `name` is not in the catalog under `kind` (or not in `known`)."""
    names = sorted(set(KINDS[kind] if known is None else known))
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif len(names) <= MAX_LISTED:
        hint = f"There are: {', '.join(names)}."
    elif kind == "name":
        hint = "`dlt list` and `dlt show template` have the names."
    else:
        hint = f"For the names, run {' and '.join(f'`dlt list {part}s`' for part in kind.split(' or '))}."
    raise ValueError(f"Unknown {kind}. Received: {name!r}. {hint}")


_trusted: set[str] = set()


def trust(module_name: str) -> None:
    """Import a user's module, so that names in runs and exported files may refer to it.

        dlt.trust("my_layers")  # before dlt.load_run

    Raises:
        ImportError: If the import fails.
    """
    importlib.import_module(module_name)
    _trusted.add(module_name)


def load(kind: str, name: str, *, from_file: bool = False) -> Any:
    """Import a model, dataset, task or format by its name.

    Args:
        kind: `model`, `dataset`, `task` or `format`.
        name: A name of the catalog, or the user's own `package.module:function`.
        from_file: Whether the name was read from a run or an exported file. For safety, a file must not
            choose which code runs: the user must have named the module before, here or in `trust`.

    Returns:
        The builder, loader, task class or format.

    Raises:
        ValueError: If the name, the module or the function is unknown, or the module is not trusted.
    """
    entry = KINDS[kind].get(name)
    if entry is None and ":" not in name:
        check_name(kind, name)
    module_name, _, attribute = (entry.target if entry else name).partition(":")
    if entry is None and from_file and module_name not in _trusted:
        raise ValueError(
            f"A file may use your own {kind} only after you import its module. Received: {name!r}. "
            f"If you trust the module, add --import {module_name}."
        )
    try:
        target = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ValueError(
            f"A {kind} of your own is named `package.module:function`. Received: {name!r} ({error}). "
            "Check the spelling and that the module can be imported from here."
        ) from error
    if entry is None:
        _trusted.add(module_name)
    elif kind == "model" and attribute != name:
        return variant(target, name)
    return target


def variant(builder: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the builder of a model of the catalog that is one of a family.

    Args:
        builder: The builder of the family, such as `resnet_cifar`.
        name: Name of the variant, such as `resnet20`. Its catalog entry fixes options of the family, such as
            `depth=20`; the variant has no such arguments.
    """
    fixed = MODELS[name].options
    signature = inspect.signature(builder)
    remaining = [parameter for key, parameter in signature.parameters.items() if key not in fixed]
    own = signature.replace(parameters=[p.replace(default=name) if p.name == "name" else p for p in remaining])

    @functools.wraps(builder)
    def build(*sizes: Any, **options: Any) -> Any:
        given = own.bind(*sizes, **options)
        return builder(*given.args, **{"name": name, **given.kwargs, **fixed})

    settings = ", ".join(f"{key}={value!r}" for key, value in fixed.items())
    build.__name__ = name
    build.__doc__ = f"Build `{builder.__name__}`{f' with {settings}' if settings else ''}.\n\n{builder.__doc__}"
    build.__signature__ = own  # type: ignore[attr-defined]
    return build


def dataset_overview() -> dict[str, dict[str, Any]]:
    """Return the group, needs and summary of each dataset, and of the kinds of data that a user may bring."""
    named = {name: (entry, "nothing" if entry.is_included else "download") for name, entry in DATASETS.items()}
    own = {name: (entry, "your data") for name, entry in OWN_DATA.items()}
    return {
        name: {"group": entry.group, "needs": needs, "summary": entry.summary}
        for name, (entry, needs) in (own | named).items()
    }


def describe(kind: str, name: str) -> dict[str, str]:
    """Read the documentation of a model, dataset or task from its source, without running it.

    Returns:
        `summary`; `module`, the docstring of the module; `docstring`, of the function or class; `signature`; and
        `arguments`, the docstring that explains them: the function's, or the own or inherited `__init__`'s.
    """
    check_name(kind, name)
    entry = KINDS[kind][name]
    module_name, _, attribute = entry.target.partition(":")
    package, _, file = module_name.rpartition(".")
    tree = ast.parse((resources.files(package) / f"{file}.py").read_text(encoding="utf-8"))
    node = next(n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name == attribute)
    if kind == "model" and isinstance(node, ast.FunctionDef):
        attribute = name
        pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        remaining = [(argument, default) for argument, default in pairs if argument.arg not in entry.options]
        node.args.kwonlyargs = [argument for argument, _ in remaining]
        node.args.kw_defaults = [
            ast.Constant(name) if argument.arg == "name" else default for argument, default in remaining
        ]
    texts = {
        "summary": entry.summary,
        "module": ast.get_docstring(tree) or "",
        "docstring": ast.get_docstring(node) or "",
    }
    function = node
    if isinstance(node, ast.ClassDef):
        function = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), node)
    if isinstance(function, ast.FunctionDef):
        arguments = ast.get_docstring(function) or ""
        return {**texts, "signature": f"{attribute}({ast.unparse(function.args)})", "arguments": arguments}
    classes = {other.target.partition(":")[2]: key for key, other in KINDS[kind].items()}
    names = [base.id for base in getattr(node, "bases", ()) if isinstance(base, ast.Name)]
    bases = [classes[base] for base in names if base in classes]
    inherited = describe(kind, bases[0]) if bases else {"signature": f"{attribute}()", "arguments": ""}
    return {**texts, "signature": inherited["signature"], "arguments": inherited["arguments"]}
