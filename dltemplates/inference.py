"""Evaluation and prediction with a run, or with an exported file in its own runtime."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates.datasets.images.layout import SUFFIXES
from dltemplates.datasets.in_memory import arrays_of, passed
from dltemplates.datasets.prediction_inputs import PredictionInput, read_arrays, read_inputs
from dltemplates.datasets.source import ALL, Dataset
from dltemplates.deploy.report import load_run_report
from dltemplates.deploy.system import find_system
from dltemplates.features import AnyFeature, Feature, Image, Noise, Probabilities, classes_of
from dltemplates.files import atomic_path, check_folder
from dltemplates.runs import Run, load_run, near_run
from dltemplates.runtimes import KerasPredictor, load_predictor, read_contract
from dltemplates.settings import ARRAYS, DatasetSettings, ImageSettings, Named
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.parity import Parity
from dltemplates.tasks.scoring.evaluation import WHOLE, System, infinite_examples
from dltemplates.tasks.scoring.intervals import score_intervals
from dltemplates.tasks.serving.contract import Contract
from dltemplates.tasks.serving.serving_examples import contract_examples
from dltemplates.tasks.serving.stream import over_windows
from dltemplates.tasks.task import Task, make_task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LoadedSystem:
    """A run or an exported file, ready to evaluate and predict.

    Attributes:
        system: The parts in one runtime; a single part has the name of the whole network.
        contract: The inputs, outputs and targets of the whole network, the system, or a single part.
        task: The task, which scores and formats the outputs.
        data: Settings of the training data; None if unknown.
        run: The run, or the run of the exported file; None if unknown.
    """

    system: System
    contract: Contract
    task: Task
    data: DatasetSettings | None
    run: Run | None = None


def evaluate(
    path: Run | str | Path,
    *,
    data: Any = None,
    split: str = "test",
    options: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Evaluate a run or an exported file on a split.

        dlt.evaluate(run)["scores"]
        dlt.evaluate("transfer_folder-int8.tflite", data="photographs", split="all")

    TFLite and ONNX files run without TensorFlow, unless the task's evaluator is a run.

    Args:
        path: A run or its folder, a `.tflite` or `.onnx` file, or a SavedModel folder.
        data: A dataset's name or path, or arrays as in `train`; by default the training data.
        split: `train`, `validation` or `test`; `all` for data other than the training data.
        options: Options of the task to change, such as `{"beam": 4}`; see `Task.prediction_options`.
        threads: Threads of the runtime.

    Returns:
        A dictionary for JSON: `file`, `data`, `split`, `examples` (their number), `of` (examples in all splits),
        `scores`, `intervals` (the number of units and the 95% interval of each score), `note` (None, or what to know
        about the scores), `details`, and `data_note`, the difference from the training data (None if there is none).

    Raises:
        ValueError: If the file, the data or the split does not fit.
    """
    loaded = _with_options(_open(path, threads), options or {})
    contract = loaded.contract
    if isinstance(loaded.task, Parity):
        raise ValueError(
            f"`evaluate` needs a network with a target. Received: {path}, a part without one; its export was compared "
            "with Keras's output. Evaluate the whole network, or use `dlt predict`."
        )
    arrays = arrays_of(data)
    if data is None and loaded.data is None:
        if loaded.run and loaded.run.template.dataset.name == ARRAYS:
            raise ValueError(
                f"A run on arrays does not keep them. Received: {path}. Pass them again in Python, as in "
                "evaluate(file, data=(x, y))."
            )
        known = loaded.run.template.dataset.name if loaded.run else "NAME|PATH"
        raise ValueError(
            f"An exported file does not know the path of its data. Received: {path} without --data. "
            f"Try `dlt evaluate {path} --data {known}`."
        )
    settings = _settings(loaded, ARRAYS if arrays is not None else data)
    with passed(arrays):
        _, dataset = load_for(contract, settings=settings, run=loaded.run, whole=split == ALL, from_file=data is None)
    if not isinstance(contract.inputs[0], Noise):  # a generator's targets are real examples, its inputs noise
        _check_data(contract, dataset)
    source = contract_examples(contract, split, dataset.split(split))
    evaluation = loaded.task.evaluate(loaded.system, source)
    return {
        "file": str(path.path if isinstance(path, Run) else path),
        "data": settings.name,
        "split": split,
        "examples": len(source),
        "of": sum(len(source) for name, source in dataset.splits.items() if name != ALL),
        "scores": evaluation.scores,
        "intervals": {name: interval.model_dump() for name, interval in score_intervals(evaluation).items()},
        "note": loaded.run.split_note(split) if loaded.run is not None and data is None else None,
        "details": evaluation.details,
        "data_note": dataset.note,
    } | ({"unknown": unknown} if (unknown := dataset.spec.unknown.get(split)) else {})


def predict(
    path: Run | str | Path,
    inputs: str | Path | Iterable[str | Path] | np.ndarray | pd.DataFrame,
    *,
    part: str = "",
    output: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Predict images, table rows, a series, texts, or noise with a run or an exported file.

        dlt.predict(run, "cat.jpg")
        dlt.predict(run, images)  # an array (n, height, width, channels)
        dlt.predict(run, rows)  # a DataFrame

    Args:
        path: A run or its folder, a `.tflite` or `.onnx` file, or a SavedModel folder.
        inputs: An array (n, ...); a DataFrame of rows, or of a series to forecast; or paths: image files and folders;
            CSV files and rows (see `datasets.tables.row_inputs.read_rows`); CSV files of series to forecast; or, for a
            generator, seeds and noise (see `datasets.noise_inputs.read_noise`).
        part: Part of a run, such as `decoder`, or of a file that holds several; by default the whole network.
        output: A folder for output images, written as PNG files; or a `.csv` file for the predictions, written by
            `write_table`, after the columns of an input `.csv`. By default, nothing is written.
        options: Options of the task to change, such as `{"temperature": 0.5}`; see `Task.prediction_options`.
        threads: Threads of the runtime.

    Returns:
        For each example its `input` and the prediction; with the columns of an `unknown` category, or the `dates` of a
        forecast, if known. A written image is replaced by its path. A file of a folder that cannot be read, or an
        example whose outputs are NaN or infinite, has an `error` instead.

    Raises:
        ValueError: If a named file cannot be read, there is no image, the noise has a wrong length, the part does not
            exist, the output is a table for images, or the output cannot be written.
    """
    loaded = _with_options(_open(path, threads, part), options or {})
    contract = loaded.contract
    images = [value for value in contract.outputs if value.suffix]
    to_table = output is not None and Path(output).suffix == ".csv"
    if images and to_table:
        raise ValueError(
            f"Images need an output folder. Received: {output}, where `{images[0].name}` is an image. Name a folder."
        )
    inputs = [inputs] if isinstance(inputs, (str, Path)) else inputs
    is_files = not isinstance(inputs, np.ndarray) and not hasattr(inputs, "to_csv") and not _are_arrays(inputs)
    named = list(inputs) if is_files else []
    if output is not None and (images or to_table):
        _check_output(Path(output), named, to_table=to_table)
    examples = read_inputs(contract.inputs[0], contract, named) if is_files else read_arrays(contract, inputs)
    if to_table:
        read = list(examples)
        results = [_predict_one(loaded, example, all_classes=True) for example in read]
        rows = [_beside_cells(result, example.cells) for example, result in zip(read, results, strict=True)]
        write_table(Path(str(output)), rows)
        return results
    predictions = (_predict_one(loaded, example, all_classes=False) for example in examples)
    if output is None or not images:
        return list(predictions)
    return [_write_images(result, images, Path(output), index) for index, result in enumerate(predictions)]


def _are_arrays(inputs: Any) -> bool:
    """Return whether the inputs are a list of sequences of different lengths."""
    return isinstance(inputs, list) and bool(inputs) and all(isinstance(array, np.ndarray) for array in inputs)


def _check_output(path: Path, inputs: list[str | Path], *, to_table: bool) -> None:
    """Raise a `ValueError` if the output cannot be written, before the predictions take time."""
    check_folder(path.parent if to_table else path)
    if to_table and path.is_dir():
        raise ValueError(f"A table must be a file. Received: {path}, which is a folder. Choose another name.")
    if to_table and path.exists() and any(os.path.exists(name) and path.samefile(name) for name in inputs):
        raise ValueError(f"The output must not replace an input. Received: {path} for both. Choose another name.")


def write_table(path: Path, results: list[dict[str, Any]]) -> None:
    """Write predictions as a CSV file, one row each.

    Each number of a list or a dictionary gets its own column, such as `values.0` and `probabilities.cat`. A prediction
    with a list of objects, such as boxes, gets one row per object; without objects, one row with empty columns.

    Args:
        path: The file.
        results: The results of `predict`.
    """
    rows = [row for result in results for row in _table_rows(result)]
    columns = dict.fromkeys(name for row in rows for name in row)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def _beside_cells(result: dict[str, Any], cells: dict[str, str]) -> dict[str, Any]:
    """Put a prediction after the user's own columns; one of the same name becomes `predicted_NAME`."""
    if not cells:
        return result
    own = {f"predicted_{name}" if name in cells else name: item for name, item in result.items() if name != "input"}
    return {**cells, **own}


def _table_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    objects = {name: value for name, value in result.items() if isinstance(value, list) and _all_dicts(value)}
    shared = _flat({name: value for name, value in result.items() if name not in objects})
    rows = [shared | _flat({name: item}) for name, items in objects.items() for item in items]
    return rows or [shared]


def _all_dicts(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the values of a nested structure by dotted name."""
    if not isinstance(value, (dict, list)):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: leaf for inner, item in items for key, leaf in _flat(item, f"{name}.{inner}".lstrip(".")).items()}


def _write_images(result: dict[str, Any], images: list[AnyFeature], folder: Path, index: int) -> dict[str, Any]:
    """Write the images of a prediction to files, and replace each by its path."""
    for value in images:
        if value.name in result:
            path = folder / f"{index:03d}_{_file_name(result['input'])}{value.suffix}"
            with atomic_path(path) as temporary:
                value.write(temporary, np.array(result[value.name]))
            result[value.name] = str(path)
    return result


def _file_name(text: str) -> str:
    """Return a short form of an input that is safe in a file's name."""
    path = Path(text)
    name = path.stem if path.suffix.lower() in SUFFIXES else path.name
    return re.sub(r"[^\w.-]+", "_", name)[:40]


def _predict_one(loaded: LoadedSystem, example: PredictionInput, *, all_classes: bool) -> dict[str, Any]:
    """Predict one example and format the result; with `all_classes`, include the probability of every class."""
    if example.arrays is None:
        return {"input": example.name, **example.remarks}
    outputs = loaded.task.predict(loaded.system, example.arrays)
    if found := infinite_examples(outputs):
        error = (
            f"{example.name}: a prediction must be finite. Received: NaN or infinity in `{found[0]}`. Check the input "
            "for values far from the training data; if the run itself is finite here, export another format."
        )
        return {"input": example.name, "error": error, **example.remarks}
    (result,) = loaded.task.format(outputs)
    probabilities = [
        value for value in loaded.contract.outputs if isinstance(value, Probabilities) and len(value.shape) == 1
    ]
    if all_classes and probabilities:  # in place of the few most probable classes
        result = {name: item for name, item in result.items() if not isinstance(item, dict)}
        result |= {
            value.name: dict(zip(value.classes, outputs[value.name][0].tolist(), strict=True))
            for value in probabilities
        }
    return {"input": example.name, **result, **example.remarks}


def _open(path: Run | str | Path, threads: int, part: str = "") -> LoadedSystem:
    path = path.path if isinstance(path, Run) else Path(path)
    if (path / "run.json").exists() or (path.is_dir() and not (path / "saved_model.pb").exists()):
        return _open_run(load_run(path), part)
    if not path.exists():
        raise ValueError(f"A run or an exported file must exist. Received: {path}. {near_run(path)}")
    if path.is_file() and path.suffix in (*SUFFIXES, ".csv", ".npz"):
        raise ValueError(
            f"A run or an exported file comes before the data. Received: {path}. Try `dlt predict RUN {path}`, or "
            f"`dlt evaluate RUN --data PATH`."
        )
    if part:
        predictor = load_predictor(path, threads, part)
        contract = predictor.contract
        return LoadedSystem(System({WHOLE: predictor}), contract, Parity(), contract.data, _find_run(path))
    if path.suffix == ".tflite" and (contract := read_contract(path)).parts:
        predictors = {name: load_predictor(path, threads, name) for name in contract.parts}
        return LoadedSystem(System(predictors), contract, _make_task(contract), contract.data, _find_run(path))
    predictor = over_windows(load_predictor(path, threads))
    contract = predictor.contract
    if contract.system is not None:
        predictors = {name: load_predictor(file, threads) for name, file in find_system(path).items()}
        contract = contract.of_system()
        return LoadedSystem(System(predictors), contract, _make_task(contract), contract.data, _find_run(path))
    return LoadedSystem(System({WHOLE: predictor}), contract, _make_task(contract), contract.data, _find_run(path))


def _open_run(run: Run, part: str) -> LoadedSystem:
    servings = run.serving_models()
    if part not in servings and (part or WHOLE in servings):
        known = ", ".join(name for name in servings if name) or "none"
        raise ValueError(f"The run must have this part. Received: {part!r}. There are: {known}.")
    predictors = {name: KerasPredictor(serving.model, serving.contract) for name, serving in servings.items()}
    whole = servings.get(WHOLE)
    if part:
        system = System({WHOLE: predictors[part]})
        return LoadedSystem(system, servings[part].contract, Parity(), run.template.dataset, run)
    if whole:
        system, contract = System(predictors, whole.model), whole.contract
    else:
        system, contract = System(predictors), next(iter(servings.values())).contract.of_system()
    return LoadedSystem(system, contract, run.task(), run.template.dataset, run)


def _with_options(loaded: LoadedSystem, options: Mapping[str, Any]) -> LoadedSystem:
    """Change options of the task.

    Raises:
        ValueError: If an option is unknown, out of range, or changes the network.
    """
    known = loaded.task.prediction_options
    for name in options:
        if name not in known:
            names = ", ".join(f"task.{each}" for each in known) or "none"
            raise ValueError(
                f"Only some options can change after the training. Received: task.{name}. For the task "
                f"{loaded.contract.task} there are: {names}. Train again to change another."
            )
    if not options:
        return loaded
    contract = loaded.contract.model_copy(update={"task_options": loaded.contract.task_options | dict(options)})
    return replace(loaded, contract=contract, task=_make_task(contract))


def _make_task(contract: Contract) -> Task:
    return make_task(Named(name=contract.task, **contract.task_options), contract, from_file=True)


def _find_run(file: Path) -> Run | None:
    """Return the run that an exported file belongs to, by its folder and weights; None if there is none."""
    run = Run(file.resolve().parents[1])
    if file.resolve().parent != run.exports_path or not run.record_path.exists():
        return None
    try:
        report = load_run_report(run)
        if report is None or not report.is_of(run):
            return None
    except ValueError:  # an intact file works even if its run is broken
        return None
    return run if file.name in {result.file for result in report.results} else None


def _settings(loaded: LoadedSystem, data: str | None) -> DatasetSettings:
    """Return the settings of the evaluation data, with the contract's image size and channels."""
    contract = loaded.contract
    split = contract.split.model_dump() if contract.split else {}
    settings = loaded.data or DatasetSettings(name=str(data), **split)
    update: dict[str, Any] = {"name": data or settings.name}
    if data is not None:  # a CSV file of another program may have another separator
        detected = {"separator": None, "encoding": None}
        tables = {"table": settings.table, "series": settings.series}
        update |= {key: table.model_copy(update=detected) for key, table in tables.items() if table}
    value = next((value for value in (*contract.inputs, *contract.targets) if isinstance(value, Image)), None)
    if value:
        height, width, channels = value.shape
        fixed = {"size": (height, width), "channels": channels, "resize": value.resize or "stretch", "bits": value.bits}
        update["images"] = ImageSettings(**settings.of_images().model_dump() | fixed)
    return settings.model_copy(update=update)


def _check_data(contract: Contract, dataset: Dataset) -> None:
    """Raise a `ValueError` unless the data has the network's inputs, and its targets if it has any."""
    spec = dataset.spec
    pairs = {"inputs": (contract.inputs, spec.inputs)}
    if contract.targets:  # without targets, labels in the data do not matter
        pairs = {"targets": (contract.targets, spec.targets)} | pairs
    for field, (expected, received) in pairs.items():
        if [_signature(value) for value in expected] != [_signature(value) for value in received]:
            raise ValueError(
                f"The data must have the {field} of the network, {_describe(expected)}. Received: "
                f"{_describe(received)}. Choose other data with --data."
            )


def _signature(value: Feature) -> tuple[Any, ...]:
    return value.kind, value.shape, classes_of(value)


def _describe(values: Iterable[Feature]) -> str:
    return ", ".join(map(_describe_one, values))


def _describe_one(value: Feature) -> str:
    if classes := classes_of(value):
        names = ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
        return f"{len(classes)} classes ({names})"
    return f"{value.kind} {value.shape}"
