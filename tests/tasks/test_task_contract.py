"""The contract of every task of the catalog, and the kinds of data that each can use.

A task trains, is scored, serves, exports, evaluates, predicts and reports; data that it cannot use is refused before
training, in one line. A new task is a new row of `REGISTER`, a new kind of data a new function below `kind_of_data`.
"""

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_iris

import dltemplates as dlt
from dltemplates import catalog
from dltemplates.datasets.features import class_value, with_statistics
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Number
from dltemplates.tasks import representation
from dltemplates.tasks.scoring.intervals import format_score
from dltemplates.training.prepare import prepare

FORMAT = "tflite:float32"
CLASSES = ("normal", "other")
IMAGES, SIZE = 80, 16  # number of images; length of a window


@dataclass(frozen=True)
class Row:
    """The smallest training of a task, and the kinds of data that it can use.

    Attributes:
        model: The model and its options; empty if the task trains nothing.
        data: Kinds of data that the task can use; the fast tests train on the first.
        task: The task's options.
        parts: Parts of the network that are served in addition to the whole, if there is one.
        has_whole: Whether the whole network is served.
        example: Input of `predict`, if it is not an example of the data.
    """

    model: dict[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    task: dict[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    has_whole: bool = True
    example: str | None = None


MLP = {"name": "mlp", "units": [8]}
AUTOENCODER = {"name": "autoencoder", "units": [8], "latent_dim": 4}
EVERY_IMAGE = ("images", "images_class", "images_number", "images_labels")
NUMBERS = ("table_number", "windows", "sequences")
ATTENTION = {"units": 8, "depth": 1, "num_heads": 2}

REGISTER = {
    "classification": Row(MLP, data=("table_category", "table_class", "images_class", "windows", "sequences")),
    "multi_label": Row(MLP, data=("images_labels",)),
    "regression": Row(MLP, data=("table_number", "images_number")),
    "image_regression": Row(MLP, data=("images_number", "table_number")),
    "forecasting": Row(MLP, data=("series",)),
    "language_modeling": Row(
        {"name": "gpt", **ATTENTION},
        data=("running_text",),
        task={"max_tokens": 20},
        parts=("prefill", "decode"),
        has_whole=False,
    ),
    "text_to_text": Row(
        {"name": "transformer", "hidden": 8, **ATTENTION}, data=("pairs",), parts=("encoder", "decode"), has_whole=False
    ),
    "reconstruction": Row(AUTOENCODER, data=(*EVERY_IMAGE, *NUMBERS), parts=("encoder", "decoder")),
    "anomaly": Row(
        AUTOENCODER, data=("table_class", "images_class", "windows", "sequences"), task={"anomalies": "drop"}
    ),
    "variational": Row(
        {"name": "vae", "units": [8], "latent_dim": 2}, data=(*NUMBERS, *EVERY_IMAGE), parts=("encoder", "decoder")
    ),
    "generation": Row({"name": "gan", "units": [8, 16], "latent_dim": 4}, data=EVERY_IMAGE, example="7"),
    "representation": Row({"name": "rbm", "units": 8}, data=EVERY_IMAGE),
    "parity": Row(),  # it compares exported parts with Keras
}


@dataclass(frozen=True)
class Kind:
    """A kind of data.

    Attributes:
        settings: The template's `[dataset]`.
        example: One example, as input of `predict`.
        values: The kind of each input and target, by name.
        target: The column to predict, for tasks with a target.
        noun: What a message may call it.
    """

    settings: dict[str, Any]
    example: str
    values: dict[str, str]
    target: str | None = None
    noun: str = "such data"


KINDS: dict[str, Callable[[Path], Kind]] = {}


def kind_of_data(write: Callable[[Path], Kind]) -> Callable[[Path], Kind]:
    """Register a function that writes a kind of data into a folder."""
    KINDS[write.__name__] = write
    return write


def write_images(folder: Path, target: dict[str, np.ndarray], **values: str) -> Kind:
    """Write real digits, 8x8, and their targets."""
    pixels = np.uint8(load_digits().images[:IMAGES] * 15.9)
    np.savez(folder / "images.npz", x=pixels, **target)
    Image.fromarray(pixels[0]).save(folder / "image.png")
    return Kind({"name": str(folder / "images.npz")}, str(folder / "image.png"), {"image": "image", **values})


@kind_of_data
def images(folder: Path) -> Kind:
    return write_images(folder, {})


@kind_of_data
def images_class(folder: Path) -> Kind:
    return write_images(folder, {"y": load_digits().target[:IMAGES] % 2, "classes": np.array(CLASSES)}, label="class")


@kind_of_data
def images_number(folder: Path) -> Kind:
    return write_images(folder, {"y": load_digits().target[:IMAGES] / 2}, value="number")


@kind_of_data
def images_labels(folder: Path) -> Kind:
    digits = load_digits().target[:IMAGES, None]
    return write_images(folder, {"y": np.int64(digits % (2, 3) == 0)}, labels="labels")


def write_table(folder: Path, table: pd.DataFrame, **values: str) -> Kind:
    """Write a table; return its first row as the example."""
    table.to_csv(folder / "table.csv", index=False)
    table.head(1).to_csv(folder / "row.csv", index=False)
    kinds = {"features": "number", **values}
    return Kind({"name": str(folder / "table.csv")}, str(folder / "row.csv"), kinds, target=str(table.columns[-1]))


def irises() -> pd.DataFrame:
    """Return four numbers of each of 150 irises, and their class."""
    table = load_iris(as_frame=True).frame.set_axis(["a", "b", "c", "d", "kind"], axis=1)
    return table.assign(kind=table["kind"].map(dict(enumerate(("normal", "other", "third")))))


@kind_of_data
def table_class(folder: Path) -> Kind:
    return write_table(folder, irises(), label="class")


@kind_of_data
def table_number(folder: Path) -> Kind:
    numbers = irises().drop(columns="kind")
    return write_table(folder, numbers, value="number")


@kind_of_data
def table_category(folder: Path) -> Kind:
    table = irises()
    table.insert(0, "size", np.where(table["a"] > 5.8, "large", "small"))
    return write_table(folder, table, categories="category", label="class")


@kind_of_data
def series(folder: Path) -> Kind:
    days = np.arange(200)
    noise = np.random.default_rng(0).normal(0, 0.1, len(days))
    dates = pd.date_range("2000-01-01", periods=len(days))
    pd.DataFrame({"day": dates, "sold": np.sin(days / 5) + noise}).to_csv(folder / "series.csv", index=False)
    settings = {"name": str(folder / "series.csv"), "series": {"window": 8, "horizon": 2}}
    return Kind(settings, settings["name"], {"series": "series", "future": "horizon"})


@kind_of_data
def sequences(folder: Path) -> Kind:
    """Write sequences of one length with a class; an autoencoder reads each as a row."""
    label = np.arange(80) % 2
    x = np.random.default_rng(0).normal(3 * label[:, None, None], size=(80, 6, 2))
    np.savez(folder / "sequences.npz", x=x, y=label, classes=np.array(CLASSES))
    np.savez(folder / "one.npz", x=x[:1])
    settings = {"name": str(folder / "sequences.npz"), "series": {"sequences": True}}
    kinds = {"series": "series", "features": "number", "label": "class"}
    return Kind(settings, str(folder / "one.npz"), kinds)


CHARACTERS = {"tokenizer": "characters"}


@kind_of_data
def running_text(folder: Path) -> Kind:
    (folder / "novel.txt").write_text("Once upon a time there was a small network.\n" * 40)
    settings = {"name": str(folder / "novel.txt"), "text": {"window": 16, **CHARACTERS}}
    return Kind(settings, "Once upon a", {"text": "tokens", "next": "tokens"}, noun="one running text")


@kind_of_data
def pairs(folder: Path) -> Kind:
    lines = [f"{c * i} {c * j}\t{c.upper()}" for c in "abcd" for i in range(1, 5) for j in range(1, 5)]
    (folder / "pairs.tsv").write_text("\n".join(lines))
    settings = {"name": str(folder / "pairs.tsv"), "text": {"source": "1", "target": "2", **CHARACTERS}}
    return Kind(settings, "aa b", {"source": "tokens", "target": "tokens"}, noun="pairs of texts")


@kind_of_data
def windows(folder: Path) -> Kind:
    """Return numbers that are not table columns, loaded by a function of the user."""
    example = ",".join(f"{number:g}" for number in np.linspace(-1, 1, SIZE))
    return Kind({"name": f"{__name__}:own_windows"}, example, {"features": "number", "label": "class"})


def own_windows(settings: Any) -> Dataset:
    """Return a dataset of the user, half of it anomalies; `windows` names it."""
    random, splits = np.random.default_rng(0), {}
    for split, count in (("train", 96), ("validation", 32), ("test", 32)):
        label = np.arange(count) % 2
        rows = random.normal(3 * label[:, None], size=(count, SIZE)).astype("float32")
        splits[split] = ArraySource({"features": rows, "label": label})
    features = Number(name="features", dtype="float32", shape=(SIZE,))
    spec = DatasetSpec(
        inputs=(with_statistics(features, splits["train"].arrays["features"]),),
        targets=(class_value(CLASSES),),
        sizes={split: len(source) for split, source in splits.items()},
        fingerprint="windows",
    )
    return Dataset(spec, splits)


def row_of(task: str) -> Row:
    if task not in REGISTER:
        pytest.fail(f"add a row to REGISTER in tests/tasks/test_task_contract.py for `{task}`")
    return REGISTER[task]


def template(task: str, kind: Kind, **settings: Any) -> dlt.Template:
    """Return a template of one epoch of a few steps; `settings` are dotted paths, a double underscore is a dot."""
    row = row_of(task)
    target = {"target": kind.target} if catalog.load("task", task).needs_target and kind.target else {}
    tables = {
        "task": {"name": task, **row.task},
        "dataset": {"validation": 0.2, **target, **kind.settings},
        "model": row.model or MLP,
        "train": {"epochs": 1, "batch_size": 16, "restore": "last"},
    }
    return dlt.load_template("mlp_digits", tables | {key.replace("__", "."): value for key, value in settings.items()})


@pytest.fixture(scope="session")
def kinds(tmp_path_factory) -> dict[str, Kind]:
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in KINDS.items()}


@pytest.fixture(scope="session")
def trained(kinds, tmp_path_factory):
    """Return a function that trains a task on a kind of data once; tests read the run and never write it."""

    @cache
    def get(task: str, kind: str = "") -> dlt.Run:
        kind = kind or row_of(task).data[0]
        return dlt.train(template(task, kinds[kind]), output=tmp_path_factory.mktemp("runs") / f"{task}-{kind}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(representation, "GIBBS_STEPS", (0, 1, 10))  # up to 1,000 are drawn else
        yield get


@pytest.fixture
def copied(trained, tmp_path):
    """Return a function that copies a run, so that a test may write it."""
    return lambda task: dlt.load_run(shutil.copytree(trained(task).path, tmp_path / "run"))


tasks = pytest.mark.parametrize(
    "task", [task for task in catalog.TASKS if task not in REGISTER or REGISTER[task].model]
)


def test_every_task_has_a_row():
    for task in catalog.TASKS:
        assert set(row_of(task).data) <= set(KINDS), task
    assert set(catalog.TASKS) == set(REGISTER) > {"parity"}


def test_a_task_without_a_row_fails():
    with pytest.raises(
        pytest.fail.Exception, match="add a row to REGISTER in tests/tasks/test_task_contract.py for `segmentation`"
    ):
        row_of("segmentation")


@tasks
def test_a_task_trains_and_scores(trained, task):
    run = trained(task)
    assert (run.record.state, run.record.epochs) == ("done", 1)
    assert run.record.scores["test"].keys() == run.record.scores["validation"].keys() > set()
    assert all(math.isfinite(score) for scores in run.record.scores.values() for score in scores.values())
    for split, scores in run.record.scores.items():
        assert run.record.intervals[split].keys() == scores.keys()
        assert all(interval.units for name, interval in run.record.intervals[split].items() if interval.right is None)
    assert bool(run.record.baselines.results) != bool(run.record.baselines.none)
    assert all(baseline.scores or baseline.skipped for baseline in run.record.baselines.results)


@tasks
def test_each_served_part_matches_its_contract(trained, task):
    servings = trained(task).serving_models()
    assert set(servings) == {*([""] if row_of(task).has_whole else []), *row_of(task).parts}
    for part, serving in servings.items():
        assert {tensor.name for tensor in serving.model.inputs} == {v.name for v in serving.contract.inputs}, part
        assert set(serving.model.output) == {value.name for value in serving.contract.outputs}, part
        inputs = {value.name: np.zeros((3, *value.shape), value.dtype) for value in serving.contract.inputs}
        outputs = serving.model(inputs if len(inputs) > 1 else next(iter(inputs.values())))
        for value in serving.contract.outputs:
            assert np.asarray(outputs[value.name]).shape == (3, *value.shape), part
            assert np.isfinite(np.asarray(outputs[value.name])).all(), part


@tasks
def test_evaluate_repeats_the_scores_of_the_run(trained, task):
    run = trained(task)
    result = dlt.evaluate(run.path)
    assert result["scores"] == pytest.approx(run.record.scores["test"], abs=1e-6)
    assert result["examples"] == run.record.spec.sizes["test"] > 0
    json.dumps(result)


@tasks
def test_an_exported_file_agrees_with_its_run(trained, copied, kinds, task, in_process):
    row, run = row_of(task), copied(task)
    kind = kinds[row.data[0]]
    report = dlt.export(run, formats=[FORMAT])
    assert not report.failed
    assert {report.part, *report.parts} == {"" if row.has_whole else row.parts[0], *row.parts}
    file = next(run.exports_path.rglob(report.result(FORMAT).file))
    result = dlt.evaluate(file, data=kind.settings["name"])
    of_run = dlt.evaluate(run.path)
    assert result["examples"] == of_run["examples"] > 0
    assert result["scores"].keys() > set()
    for name, score in result["scores"].items():  # some scores, such as a loss, exist for runs only
        assert score == pytest.approx(of_run["scores"][name], rel=1e-3, abs=1e-3), name
    (prediction,), (expected,) = (dlt.predict(path, [row.example or kind.example]) for path in (file, run.path))
    assert prediction.keys() == expected.keys() > {"input"}
    for name, value in numbers_in(prediction).items():
        assert value == pytest.approx(numbers_in(expected)[name], rel=1e-3, abs=1e-2), name
    assert numbers_in(prediction) or prediction == expected
    json.dumps(prediction)


def numbers_in(value: Any, path: str = "") -> dict[str, float]:
    """Collect all numbers of a prediction, by their path."""
    if isinstance(value, dict):
        return {key: n for name, part in value.items() for key, n in numbers_in(part, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {key: n for place, part in enumerate(value) for key, n in numbers_in(part, f"{path}/{place}").items()}
    return {path: value} if isinstance(value, (int, float)) else {}


@tasks
def test_a_report_is_written(trained, copied, task):
    run = copied(task)
    page = dlt.write_report(run).read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    for name, score in run.record.scores["test"].items():
        assert name in page
        assert format_score(score) in page


FITTING = [(task, kind) for task, row in REGISTER.items() for kind in row.data[1:]]
HOLDING = {"table_number": ("table_class", "table_category"), "table_class": ("table_category",)}
"""Tables that hold the columns of another, and more."""
REFUSED = [(task, kind) for task, row in REGISTER.items() for kind in KINDS if kind not in row.data]


@pytest.mark.parametrize(("task", "kind"), FITTING)
def test_a_task_accepts_other_kinds_of_data(kinds, task, kind):
    training = prepare(template(task, kinds[kind]))
    assert {value.name for value in training.dataset.spec.inputs} <= set(kinds[kind].values)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "kind"), FITTING)
def test_a_task_trains_on_other_kinds_of_data(trained, kinds, task, kind):
    run = trained(task, kind)
    result = dlt.evaluate(run.path)
    assert result["scores"] == pytest.approx(run.record.scores["test"], abs=1e-6)
    (prediction,) = dlt.predict(run.path, [row_of(task).example or kinds[kind].example])
    assert numbers_in(prediction)


@pytest.mark.parametrize(("task", "kind"), REFUSED)
def test_a_task_refuses_unsuitable_data(kinds, tmp_path, task, kind):
    if kind == "images":
        rule, received = f"Task {task} (needs|is for)", ""  # images without labels are of one class
    elif task == "parity":
        rule, received = "Task parity", "a training for parity"
    else:
        values = "|".join(f"`{name}` of kind `{value}`" for name, value in kinds[kind].values.items())
        rule, received = (
            f"Task {task} (needs|predicts)",
            f"({values}|{kinds[kind].target}, which has|{kinds[kind].noun})",
        )
    with pytest.raises(ValueError, match=rf"^{rule} .* Received: .*{received}.*\. [A-Z]\w+ .*\.$") as refused:
        dlt.train(template(task, kinds[kind]), output=tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@tasks
def test_a_run_refuses_to_evaluate_another_kind_of_data(trained, kinds, task):
    first, *others = row_of(task).data
    refused = KINDS.keys() - {first, *others, *HOLDING.get(first, ())}
    assert refused
    for kind in refused:
        with pytest.raises(ValueError, match=r"Received: .*\. [A-Z]") as error:
            dlt.evaluate(trained(task).path, data=kinds[kind].settings["name"])
        assert "\n" not in str(error.value), kind
    for kind in HOLDING.get(first, ()):
        assert dlt.evaluate(trained(task).path, data=kinds[kind].settings["name"])["scores"]


@pytest.mark.parametrize(
    ("task", "kind", "settings", "match"),
    [
        ("classification", "table_class", {"train__augment": {"flip": True}}, "`train.augment` .*features"),
        ("forecasting", "series", {"train__augment": {"cutout": 3}}, "`train.augment` .*series"),
        ("generation", "images_class", {"train__augment": {"mixup": 0.2}}, "`train.augment.mixup`"),
        ("reconstruction", "table_number", {"task__loss": "cross_entropy"}, "`loss` .*'cross_entropy'"),
        ("reconstruction", "images", {"train__class_weight": "balanced"}, "`train.class_weight` .*`image`"),
        ("regression", "table_number", {"train__class_weight": "balanced"}, "`train.class_weight` .*`number`"),
        ("variational", "images", {"train__num_labeled": 16}, "`train.num_labeled` .*16 for variational"),
        ("generation", "images", {"train__restore": "best"}, "train.restore = 'best'"),
        ("classification", "table_class", {"train__layerwise_pretrain": {}}, "`train.layerwise_pretrain` .*mlp"),
        ("classification", "images_class", {"task__normal": "other"}, "normal .*dlt show classification"),
        ("classification", "table_class", {"model": {"name": "gan"}}, "`gan` .*input_shape=\\(4,\\)"),
        ("classification", "images_class", {"model": {"name": "gan"}}, "`gan` .*task classification"),
        ("forecasting", "series", {"model": {"name": "convnet"}}, "`convnet` .*input_shape=\\(8, 1\\)"),
        ("generation", "images_number", {"model": {"name": "cgan"}}, "`cgan` .*`num_outputs`"),
        ("reconstruction", "images", {"model": MLP}, "`mlp` .*`num_outputs`"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_before_training(kinds, tmp_path, task, kind, settings, match):
    with pytest.raises(ValueError, match=match) as refused:
        dlt.train(template(task, kinds[kind], **settings), output=tmp_path / "run")
    assert re.search(r"Received: .*\. [A-Z]", str(refused.value))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()
