"""Judge and use what was trained: a run, or an exported file in its own runtime."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.given import Given, read_given
from dltemplates.datasets.images.folder import SUFFIXES
from dltemplates.datasets.source import ALL, Dataset
from dltemplates.deploy.report import load_run_report
from dltemplates.deploy.system import find_system
from dltemplates.features import AnyFeature, Feature, Image, Noise, Probabilities, classes_of
from dltemplates.runs import Run, atomic_path, check_folder, load_run
from dltemplates.runtimes import KerasPredictor, load_predictor
from dltemplates.settings import DatasetSettings, ImageSettings, Named
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.parity import Parity
from dltemplates.tasks.scoring.evaluation import WHOLE, System
from dltemplates.tasks.serving.contract import Contract
from dltemplates.tasks.serving.serving_examples import contract_examples
from dltemplates.tasks.task import Task, make_task


@dataclass(frozen=True)
class Subject:
    """What is scored or used.

    Attributes:
        system: The parts in one runtime; a single one has the name of the whole.
        contract: The inputs, outputs and targets: those of the whole network, or where it has none of its data.
        task: Its task.
        data: The data that it was trained on, where that is known.
        run: The run that it is, or is a file of; None where that is not known.
    """

    system: System
    contract: Contract
    task: Task
    data: DatasetSettings | None
    run: Run | None = None


def evaluate(path: str | Path, *, data: str | None = None, split: str = "test", threads: int = 1) -> dict[str, Any]:
    """Judge a run or an exported file on a split.

    TFLite and ONNX files are judged without TensorFlow, unless the task has a judge of its own, which is a run.

    Args:
        path: A run folder, a `.tflite` or `.onnx` file, or a SavedModel folder.
        data: A dataset's name or path; by default what it was trained on.
        split: `train`, `validation` or `test`; or `all`, for data that is not what it was trained on.
        threads: Threads of the runtime.

    Returns:
        `file`, `data`, `split`, `examples`, how many those are `of`, `scores` and `details`, and a `data_note`: how the
        data differs from what was trained on, None where it does not; ready for JSON.

    Raises:
        ValueError: If the file, the data or the split does not fit.
    """
    subject = _open(path, threads)
    contract = subject.contract
    if isinstance(subject.task, Parity):
        raise ValueError(
            f"What is evaluated must have a target. Received: {path}, which has none: its output was compared with "
            "Keras's when it was exported. Evaluate the whole network, or use `dlt predict`."
        )
    settings = _settings(subject, data)
    _, dataset = load_for(contract, settings=settings, run=subject.run, whole=split == ALL, from_file=data is None)
    if not isinstance(contract.inputs[0], Noise):  # the targets of a generator are real examples
        _check_data(contract, dataset)
    source = contract_examples(contract, split, dataset.split(split))
    evaluation = subject.task.evaluate(subject.system, source)
    return {
        "file": str(path),
        "data": settings.name,
        "split": split,
        "examples": len(source),
        "of": sum(len(part) for name, part in dataset.splits.items() if name != ALL),
        "scores": evaluation.scores,
        "details": evaluation.details,
        "data_note": dataset.note,
    } | ({"unknown": unknown} if (unknown := dataset.spec.unknown.get(split)) else {})


def predict(
    path: str | Path,
    inputs: Iterable[str | Path],
    *,
    part: str = "",
    output: str | Path | None = None,
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Say what a run or an exported file makes of the user's files, or of noise.

    Args:
        path: A run folder, a `.tflite` or `.onnx` file, or a SavedModel folder.
        inputs: Image files, and folders of them; or CSV files, and rows as `datasets.tables.rows.read_rows` takes
            them; or CSV files of series, whose continuation is forecast; or for a generator seeds, and noise as
            `datasets.seeds.read_noise` takes it.
        part: Of a run, which part of the network, such as `decoder`; by default the whole.
        output: The folder where images that are made go, as PNG files; or a `.csv` file where the predictions go, as
            `write_table` writes them. By default neither is written.
        threads: Threads of the runtime.

    Returns:
        For each example its `input` and what the task says of it, and the columns whose category is `unknown`, or the
        `dates` of what is forecast, where they are known; of an image that was written, its path. For a file in a
        folder that cannot be read, the `error` instead.

    Raises:
        ValueError: If a file that was named cannot be read, there is no image, the noise is of the wrong length, there
            is no such part, images are to go into a table, or nothing can be written to the output.
    """
    subject = _open(path, threads, part)
    contract = subject.contract
    made = [value for value in contract.outputs if value.suffix]
    to_table = output is not None and Path(output).suffix == ".csv"
    if made and to_table:
        raise ValueError(
            f"Images go into a folder. Received: {output}, where `{made[0].name}` is an image. Name a folder."
        )
    inputs = list(inputs)
    if output is not None and (made or to_table):
        _check_output(Path(output), inputs, to_table=to_table)
    examples = read_given(contract.inputs[0], contract, inputs)
    found = (_said(subject, example, every_score=to_table) for example in examples)
    if to_table:
        results = list(found)
        write_table(Path(str(output)), results)
        return results
    if output is None or not made:
        return list(found)
    return [_write_images(result, made, Path(output), place) for place, result in enumerate(found)]


def _check_output(path: Path, inputs: list[str | Path], *, to_table: bool) -> None:
    """Raise a `ValueError` unless predictions can go to a path, before they take their time."""
    check_folder(path.parent if to_table else path)
    if to_table and path.is_dir():
        raise ValueError(f"A table must be a file. Received: {path}, which is a folder. Choose another name.")
    if to_table and path.exists() and any(os.path.exists(given) and path.samefile(given) for given in inputs):
        raise ValueError(f"The output must not replace an input. Received: {path} for both. Choose another name.")


def write_table(path: Path, results: list[dict[str, Any]]) -> None:
    """Write predictions as a CSV file, a row for each.

    What is nested gets a column for each of its parts, `values.0` and `probabilities.cat`. A prediction with a list of
    objects, such as boxes, gets a row for each of them; where there are none, one row whose `boxes.left` and so on are
    empty.

    Args:
        path: The file.
        results: As `predict` gives them.
    """
    rows = [row for result in results for row in _rows_of(result)]
    columns = dict.fromkeys(name for row in rows for name in row)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def _rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    objects = {name: value for name, value in result.items() if isinstance(value, list) and _all_dicts(value)}
    shared = _flat({name: value for name, value in result.items() if name not in objects})
    rows = [shared | _flat({name: item}) for name, items in objects.items() for item in items]
    return rows or [shared]


def _all_dicts(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """The parts of something nested by their dotted names."""
    if not isinstance(value, (dict, list)):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: part for inner, each in items for key, part in _flat(each, f"{name}.{inner}".lstrip(".")).items()}


def _write_images(result: dict[str, Any], made: list[AnyFeature], folder: Path, place: int) -> dict[str, Any]:
    """Put the images of a prediction into files, and their paths into their places."""
    for value in made:
        if value.name in result:
            path = folder / f"{place:03d}_{_file_name(result['input'])}{value.suffix}"
            with atomic_path(path) as temporary:
                value.write(temporary, np.array(result[value.name]))
            result[value.name] = str(path)
    return result


def _file_name(text: str) -> str:
    """What of an input can be part of a file's name, and is short."""
    path = Path(text)
    name = path.stem if path.suffix.lower() in SUFFIXES else path.name
    return re.sub(r"[^\w.-]+", "_", name)[:40]


def _said(subject: Subject, example: Given, *, every_score: bool) -> dict[str, Any]:
    """Predict one example, and return what the task says of it; with `every_score` the score of each class too."""
    if example.arrays is None:
        return {"input": example.name, **example.remarks}
    outputs = subject.task.predict(subject.system, example.arrays)
    (result,) = subject.task.format(outputs)
    scores = [value for value in subject.contract.outputs if isinstance(value, Probabilities) and len(value.shape) == 1]
    if every_score and scores:  # in place of those of a few classes
        result = {name: part for name, part in result.items() if not isinstance(part, dict)}
        result |= {
            value.name: dict(zip(value.classes, outputs[value.name][0].tolist(), strict=True)) for value in scores
        }
    return {"input": example.name, **result, **example.remarks}


def _open(path: str | Path, threads: int, part: str = "") -> Subject:
    path = Path(path)
    if (path / "run.json").exists() or (path.is_dir() and not (path / "saved_model.pb").exists()):
        return _open_run(load_run(path), part)
    if part:
        raise ValueError(f"A part is for runs. Received: {part!r} for {path}. Name the file of the part itself.")
    predictor = load_predictor(path, threads)
    contract = predictor.contract
    if contract.system is not None:
        predictors = {name: load_predictor(file, threads) for name, file in find_system(path).items()}
        contract = contract.of_system()
        return Subject(System(predictors), contract, _task_of(contract), contract.data, _run_of(path))
    return Subject(System({WHOLE: predictor}), contract, _task_of(contract), contract.data, _run_of(path))


def _open_run(run: Run, part: str) -> Subject:
    servings = run.servings()
    if part not in servings and (part or WHOLE in servings):
        known = ", ".join(name for name in servings if name) or "none"
        raise ValueError(f"A part must be one that is served. Received: {part!r}. There are: {known}.")
    predictors = {name: KerasPredictor(serving.model, serving.contract) for name, serving in servings.items()}
    whole = servings.get(WHOLE)
    if part:
        system = System({WHOLE: predictors[part]})
        return Subject(system, servings[part].contract, Parity(), run.template.dataset, run)
    if whole:
        system, contract = System(predictors, whole.model), whole.contract
    else:
        system, contract = System(predictors), next(iter(servings.values())).contract.of_system()
    return Subject(system, contract, run.task(), run.template.dataset, run)


def _task_of(contract: Contract) -> Task:
    return make_task(Named(name=contract.task, **contract.task_options), contract, from_file=True)


def _run_of(file: Path) -> Run | None:
    """The run in whose folder an exported file lies, and of whose weights it was made; None where there is none."""
    run = Run(file.resolve().parents[1])
    if file.resolve().parent != run.exports_path or not run.record_path.exists():
        return None
    try:
        report = load_run_report(run)
        if report is None or not report.is_of(run):
            return None
    except ValueError:  # a broken run is no reason not to judge a whole file
        return None
    return run if file.name in {result.file for result in report.results} else None


def _settings(subject: Subject, data: str | None) -> DatasetSettings:
    """The data to judge on, its images brought to what the contract says."""
    if data is None and subject.data is None:
        raise ValueError("An exported file does not know the user's data. Received: no dataset. Name it by --data.")
    contract = subject.contract
    split = contract.split.model_dump() if contract.split else {}
    settings = subject.data or DatasetSettings(name=str(data), **split)
    update: dict[str, Any] = {"name": data or settings.name}
    value = next((value for value in (*contract.inputs, *contract.targets) if isinstance(value, Image)), None)
    if value:
        height, width, channels = value.shape
        update["images"] = ImageSettings(size=(height, width), channels=channels, resize=value.resize or "stretch")
    return settings.model_copy(update=update)


def _check_data(contract: Contract, dataset: Dataset) -> None:
    """Raise a `ValueError` unless the data has the inputs, and the targets if any, of the network."""
    spec = dataset.spec
    pairs = {"inputs": (contract.inputs, spec.inputs)}
    if contract.targets:  # else what the data says of its examples is not looked at
        pairs = {"targets": (contract.targets, spec.targets)} | pairs
    for what, (expected, given) in pairs.items():
        if [_meaning(value) for value in expected] != [_meaning(value) for value in given]:
            raise ValueError(
                f"The data must have the {what} of the network, {_describe(expected)}. Received: {_describe(given)}. "
                "Choose other data by --data."
            )


def _meaning(value: Feature) -> tuple[Any, ...]:
    return value.kind, value.shape, classes_of(value)


def _describe(values: Iterable[Feature]) -> str:
    return ", ".join(map(_describe_one, values))


def _describe_one(value: Feature) -> str:
    if classes := classes_of(value):
        few = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
        return f"{len(classes)} classes ({few})"
    return f"{value.kind} {value.shape}"
