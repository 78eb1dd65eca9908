"""Judge and use what was trained: a run, or an exported file in its own runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltemplates.datasets.folder import SUFFIXES
from dltemplates.datasets.images import read_image
from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import Value
from dltemplates.runs import load_run
from dltemplates.runtimes import KerasPredictor, Predictor, load_predictor
from dltemplates.settings import DatasetSettings, Named
from dltemplates.tasks.contract import Contract
from dltemplates.tasks.examples import as_taken
from dltemplates.tasks.task import Task, look_at, make_task


@dataclass(frozen=True)
class Subject:
    """What is judged or used: a predictor, its task, and the data it was trained on, where that is known."""

    predictor: Predictor
    task: Task
    data: DatasetSettings | None


def evaluate(path: str | Path, *, data: str | None = None, split: str = "test", threads: int = 1) -> dict[str, Any]:
    """Judge a run or an exported file on a split.

    TFLite and ONNX files are judged without TensorFlow.

    Args:
        path: A run folder, a `.tflite` or `.onnx` file, or a SavedModel folder.
        data: A dataset's name or path; by default what it was trained on.
        split: `train`, `validation` or `test`.
        threads: Threads of the runtime.

    Returns:
        `file`, `data`, `split`, `examples`, `scores` and `details`, ready for JSON.

    Raises:
        ValueError: If the file, the data or the split does not fit.
    """
    subject = _open(path, threads)
    contract = subject.predictor.contract
    if not contract.targets:
        raise ValueError(
            f"What is judged must have a target. Received: {path}, which has none: what it gives was held against "
            "Keras's when it was exported. Judge the whole network, or look at it by `dlt predict`."
        )
    settings = _settings(subject, data)
    dataset = load_dataset(settings, from_file=data is None, like=contract)
    named = Named(name=contract.task, **contract.task_options)
    dataset = as_taken(contract, look_at(named, dataset, from_file=True)[1])
    _check_targets(contract, dataset)
    source = dataset.split(split)
    targets, outputs = subject.predictor.predict(source)
    return {
        "file": str(path),
        "data": settings.name,
        "split": split,
        "examples": len(source),
        "scores": subject.task.score(targets, outputs),
        "details": subject.task.details(targets, outputs),
    } | ({"unknown": unknown} if (unknown := dataset.spec.unknown.get(split)) else {})


def predict(path: str | Path, inputs: Iterable[str | Path], *, threads: int = 1) -> list[dict[str, Any]]:
    """Say what a run or an exported file makes of the user's files.

    Args:
        path: A run folder, a `.tflite` or `.onnx` file, or a SavedModel folder.
        inputs: Image files, and folders of them; or CSV files, and rows as `datasets.rows.read_rows` takes them; or CSV
            files of series, whose continuation is forecast.
        threads: Threads of the runtime.

    Returns:
        For each example its `input` and what the task says of it, and the columns whose category is `unknown`, or the
        `dates` of what is forecast, where they are known; for a file in a folder that cannot be read, the `error`
        instead.

    Raises:
        ValueError: If a file that was named cannot be read, or there is no image.
    """
    subject = _open(path, threads)
    values = subject.predictor.contract.inputs
    if values[0].kind == "image":
        return list(_predict_images(subject, values[0], [Path(path) for path in inputs]))
    if values[0].kind == "series":
        return list(_predict_series(subject, values[0], list(inputs)))
    return list(_predict_rows(subject, values, list(inputs)))


def _predict_images(subject: Subject, value: Value, named: list[Path]) -> Iterator[dict[str, Any]]:
    files = list(_files(named))
    if not files:
        raise ValueError("There must be an image to predict. Received: none. Name files, or folders that hold some.")
    for file in files:
        try:
            image = read_image(file, value)
        except ValueError as error:
            if file in named:
                raise
            yield {"input": str(file), "error": str(error)}
            continue
        (result,) = subject.task.show(subject.predictor({value.name: image[None]}))
        yield {"input": str(file), **result}


def _predict_rows(subject: Subject, values: tuple[Value, ...], given: list[str | Path]) -> Iterator[dict[str, Any]]:
    from dltemplates.datasets.rows import read_rows

    rows = [row for text in given for row in read_rows(text, values)]
    if not rows:
        raise ValueError("There must be a row to predict. Received: none. Name a CSV file, or write one.")
    for name, arrays, unknown in rows:
        (result,) = subject.task.show(subject.predictor(arrays))
        yield {"input": name, **result} | ({"unknown": unknown} if unknown else {})


def _predict_series(subject: Subject, value: Value, given: list[str | Path]) -> Iterator[dict[str, Any]]:
    from dltemplates.datasets.series import next_window

    if not given:
        raise ValueError("There must be a series to continue. Received: none. Name its CSV file.")
    contract = subject.predictor.contract
    for path in given:
        window, dates = next_window(path, contract, contract.outputs[0].shape[0])
        (result,) = subject.task.show(subject.predictor({value.name: window}))
        yield {"input": str(path), **result} | ({"dates": dates} if dates else {})


def _open(path: str | Path, threads: int) -> Subject:
    path = Path(path)
    if (path / "run.json").exists() or (path.is_dir() and not (path / "saved_model.pb").exists()):
        run = load_run(path)
        serving = run.serving()
        return Subject(KerasPredictor(serving.model, serving.contract), run.task(), run.template.dataset)
    predictor = load_predictor(path, threads)
    contract = predictor.contract
    task = make_task(Named(name=contract.task, **contract.task_options), contract.targets, from_file=True)
    return Subject(predictor, task, contract.data)


def _settings(subject: Subject, data: str | None) -> DatasetSettings:
    """The data to judge on, its images brought to what the contract says."""
    if data is None and subject.data is None:
        raise ValueError("An exported file does not know the user's data. Received: no dataset. Name it by --data.")
    settings = subject.data or DatasetSettings(name=str(data))
    update: dict[str, Any] = {"name": data or settings.name}
    value = subject.predictor.contract.inputs[0]
    if value.kind == "image":
        height, width, channels = value.shape
        update |= {"image_size": (height, width), "channels": channels, "resize": value.resize}
    return settings.model_copy(update=update)


def _check_targets(contract: Contract, dataset: Dataset) -> None:
    if not contract.targets:  # what the data says of its examples is not looked at
        return
    for expected, given in zip(contract.targets, dataset.spec.targets, strict=True):
        if _meaning(expected) != _meaning(given):
            raise ValueError(
                f"The data must have the targets of the network, {_describe(expected)}. Received: {_describe(given)}. "
                "Choose other data by --data."
            )


def _meaning(value: Value) -> tuple[Any, ...]:
    return value.kind, value.shape, value.classes


def _describe(value: Value) -> str:
    if value.classes:
        few = ", ".join(value.classes[:5]) + (", ..." if len(value.classes) > 5 else "")
        return f"{len(value.classes)} classes ({few})"
    return f"{value.kind} {value.shape}"


def _files(inputs: Iterable[Path]) -> Iterable[Path]:
    for path in inputs:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            yield from (file for file in files if not _is_hidden(file.relative_to(path)))
        elif path.is_file():
            yield path
        else:
            raise ValueError(f"An input must be an image file or a folder of them. Received: {path}. Check the path.")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
