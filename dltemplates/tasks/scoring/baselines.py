"""Baselines: simple models of scikit-learn, fitted on the same rows as the network and scored on the same test rows.

A network that is not better than they are is not worth its training.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from dltemplates.compat import search_path, start_process
from dltemplates.datasets.series.sequences import are_sequences
from dltemplates.datasets.source import Arrays, Dataset, Source, batches_of, column, take
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import (
    Category,
    ClassId,
    Feature,
    Horizon,
    Image,
    Length,
    Number,
    Series,
    Tokens,
    classes_of,
    columns_of,
)
from dltemplates.tasks.scoring.intervals import ScoreInterval, score_intervals

if TYPE_CHECKING:
    from dltemplates.tasks.task import Task

WORKER = (sys.executable, "-P", "-m", "dltemplates.tasks.scoring.baseline_worker")
MIN_SECONDS = 10.0  # for all baselines together
TIME_SHARE = 0.1  # of the training time, if that is more
THUMBNAIL = 16  # pixels, the longest side
MAX_IMAGES = 5_000  # training images
MAX_NUMBERS = 2**25  # in the rows of train and test: 128 MiB
# On a busy machine, threads that wait actively made fits ten and more times slower.
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
LINEAR, BOOSTING, NEIGHBOR, SVM = "linear", "boosting", "neighbor", "svm"  # of `baseline_worker.py`


class Baseline(BaseModel):
    """One baseline, scored on test.

    Attributes:
        name: Its name, such as `logistic regression`.
        scores: Its scores, as the task computes them.
        intervals: The evidence behind each score.
        seconds: Time of the fit.
        note: What it was fitted on, if that is less than the network's rows.
        skipped: Why it has no scores; None if it has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    scores: dict[str, float] = {}
    intervals: dict[str, ScoreInterval] = {}
    seconds: float = 0.0
    note: str | None = None
    skipped: str | None = None


class Baselines(BaseModel):
    """The baselines of a run.

    Attributes:
        results: The baselines, the simplest first.
        none: Why there are none; None if there are some.
        advice: What to try if the network is not better than the best of them; None if it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    results: tuple[Baseline, ...] = ()
    none: str | None = None
    advice: str | None = None

    def best(self, direction: Literal["max", "min"]) -> Baseline | None:
        """Return the baseline with the best first score; None if none has scores."""
        sign = 1 if direction == "max" else -1
        scored = [baseline for baseline in self.results if baseline.scores]
        return max(scored, key=lambda baseline: sign * next(iter(baseline.scores.values())), default=None)


class _SkippedError(Exception):
    """The fitted baselines are skipped; the message says why."""


def seconds_for(training_seconds: float) -> float:
    """Return the time that all baselines have together."""
    return max(MIN_SECONDS, TIME_SHARE * training_seconds)


def fit_baselines(
    task: Task, dataset: Dataset, *, labeled: np.ndarray | None = None, seconds: float = MIN_SECONDS
) -> Baselines:
    """Fit the baselines of a task on its training split, and score them on its test split.

    Args:
        task: The network's task.
        dataset: The network's data, fitted.
        labeled: Indices of the training examples whose labels the network used; None for all.
        seconds: Time for all together. A baseline that is not ready by then is skipped.

    Returns:
        The baselines, without advice.
    """
    if task.linear_baseline is None:
        return Baselines(none=f"there is none for task {task.name}")
    end = time.monotonic() + seconds
    spec, train, test = dataset.spec, dataset.split("train"), dataset.split("test")
    train = train if labeled is None else take(train, labeled)
    targets = {value.name: column(test, value.name) for value in spec.targets}
    simple = task.baselines(train, targets)
    (output,) = next(iter(simple.values()))
    results = [_scored(task, Baseline(name=name), targets, outputs) for name, outputs in simple.items()]
    note = None
    if any(isinstance(value, Image) for value in spec.inputs):
        train, note = _some_images(train)
    titles = {LINEAR: task.linear_baseline}
    if all(isinstance(value, Number | Category) for value in spec.inputs):
        titles[BOOSTING] = "gradient boosting"
    if are_sequences(spec):
        titles[NEIGHBOR] = "nearest neighbor"
    if _are_texts(spec):
        titles = {LINEAR: f"TF-IDF and {task.linear_baseline}"}
        titles |= {SVM: "TF-IDF and linear SVM"} if isinstance(task.target, ClassId) else {}
    with tempfile.TemporaryDirectory() as folder:
        reason = None
        try:
            _write_job(Path(folder), tuple(titles), task, train, test, spec, end)
            run_worker(Path(folder), end)
        except _SkippedError as error:
            reason = str(error)
        for name, title in titles.items():
            baseline = Baseline(name=title, note=note)
            path = Path(folder) / f"{name}.npz"
            if not path.exists():
                results.append(baseline.model_copy(update={"skipped": reason}))
                continue
            with np.load(path, allow_pickle=False) as file:
                predictions, fit_seconds = file["predictions"], float(file["seconds"])
            if not np.isfinite(predictions).all():
                results.append(baseline.model_copy(update={"skipped": "its predictions are not finite"}))
                continue
            baseline = baseline.model_copy(update={"seconds": fit_seconds})
            results.append(_scored(task, baseline, targets, {output: predictions}))
    return Baselines(results=tuple(results))


def _scored(task: Task, baseline: Baseline, targets: Arrays, outputs: Arrays) -> Baseline:
    evaluation = task.compare(targets, outputs)
    return baseline.model_copy(update={"scores": evaluation.scores, "intervals": score_intervals(evaluation)})


def _some_images(train: Source) -> tuple[Source, str]:
    """Return at most `MAX_IMAGES` training images, and a note on them."""
    note = f"on thumbnails of at most {THUMBNAIL}x{THUMBNAIL} pixels"
    if len(train) <= MAX_IMAGES:
        return train, note
    chosen = np.sort(np.random.default_rng(0).permutation(len(train))[:MAX_IMAGES])
    return take(train, chosen), f"{note} of {MAX_IMAGES:,} training examples"


def _write_job(
    folder: Path, names: Sequence[str], task: Task, train: Source, test: Source, spec: DatasetSpec, end: float
) -> None:
    """Write the rows for the worker.

    Raises:
        _SkippedError: If the rows are too many, the time is over, or the disk is full.
    """
    target = task.target
    kinds = [ids for value in spec.inputs if not isinstance(value, Length) for ids in _kinds(value, task)]
    if (len(train) + len(test)) * len(kinds) > MAX_NUMBERS:
        raise _SkippedError(f"the rows take more than {MAX_NUMBERS * 4 // 2**20} MiB")
    wanted = column(train, target.name)
    rows = {"train": _read(train, spec, task, end), "test": _read(test, spec, task, end), "target": wanted}
    is_class = isinstance(target, ClassId)
    job = {
        "names": list(names),
        "kinds": kinds,
        "num_classes": len(classes_of(target)) if is_class else 0,
        "by_target": _by_target(spec, task),
        "are_texts": _are_texts(spec),
        "is_scaled": any(isinstance(value, Image) for value in spec.inputs),
    }
    try:
        np.savez(folder / "rows.npz", allow_pickle=False, **rows)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    except OSError as error:
        raise _SkippedError(f"the rows could not be written ({error.strerror})") from None


def _read(source: Source, spec: DatasetSpec, task: Task, end: float) -> np.ndarray:
    """Return the inputs of a split as float32 numbers and category ids, (n, columns).

    Raises:
        _SkippedError: If the time is over.
    """
    parts = []
    for arrays in batches_of(source):
        if time.monotonic() > end:
            raise _SkippedError("reading the examples took too long")
        inputs = [value for value in spec.inputs if not isinstance(value, Length)]
        columns = np.concatenate([_columns(value, arrays[value.name], task) for value in inputs], axis=1)
        if len(inputs) < len(spec.inputs):  # the padding of a sequence is 0, the mean of its channel
            (steps, channels), lengths = inputs[0].shape, arrays[spec.inputs[-1].name]
            columns *= np.repeat(np.arange(steps) < lengths[:, None], channels, axis=1)
        parts.append(columns)
    return np.concatenate(parts)


def _are_texts(spec: DatasetSpec) -> bool:
    return isinstance(spec.inputs[0], Tokens)


def _columns(value: Feature, array: np.ndarray, task: Task) -> np.ndarray:
    """Return an input as float32 numbers or category ids, (n, columns)."""
    if isinstance(value, Image):
        array = thumbnails(array) / value.unit
    elif isinstance(value, Series) and not isinstance(task.target, Horizon):
        array = value.standardize(array)  # so that each channel counts equally in a distance
    elif isinstance(value, Series):
        array = array[:, :, _channels(value, task)]
    return array.reshape(len(array), -1).astype(np.float32)


def _kinds(value: Feature, task: Task) -> list[int]:
    """Return for each column of an input 0 for a number, or the number of different ids of a category.

    Raises:
        _SkippedError: If the input has no columns.
    """
    if isinstance(value, Category):
        return [len(column.vocabulary) + 1 for column in value.columns or ()]
    if not isinstance(value, Number | Series | Image | Tokens):
        raise _SkippedError(f"there is none for inputs of kind `{value.kind}`")
    return [0] * _columns(value, np.zeros((1, *value.shape), np.float32), task).shape[1]


def _channels(value: Series, task: Task) -> list[int]:
    """Return the channels of a series for a baseline: for a forecast only those to forecast, an autoregression."""
    names, wanted = [column.name for column in columns_of(value)], [column.name for column in columns_of(task.target)]
    return [names.index(name) for name in wanted if name in names] or list(range(value.shape[1]))


def _by_target(spec: DatasetSpec, task: Task) -> list[list[int]] | None:
    """Return for each of several forecast columns its own inputs among the columns; None for another target.

    Each is forecast from its own past and from known values, since a joint fit would have more weights than rows.
    """
    if not (isinstance(task.target, Horizon) and len(task.target.shape) > 1):
        return None
    series, *known = spec.inputs
    count = task.target.shape[1]
    window = series.shape[0] * count  # numbers of the window, ordered (rows, columns)
    width = window + sum(math.prod(value.shape) for value in known)
    return [[*range(place, window, count), *range(window, width)] for place in range(count)]


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Average images (n, height, width, channels) over blocks, to at most 16 x 16 pixels; float32."""
    count, height, width, channels = images.shape
    rows = _averages(height) @ images.reshape(count, height, width * channels).astype(np.float32)
    return np.einsum("pw,nhwc->nhpc", _averages(width), rows.reshape(count, -1, width, channels), optimize=True)


def _averages(size: int) -> np.ndarray:
    """Return the matrix (blocks, size) that averages neighbors; at most `THUMBNAIL` blocks."""
    blocks = min(size, THUMBNAIL)
    matrix = np.zeros((blocks, size), np.float32)
    matrix[np.arange(size) * blocks // size, np.arange(size)] = 1
    return matrix / matrix.sum(axis=1, keepdims=True)


def run_worker(folder: Path, end: float) -> None:
    """Fit the baselines in a process of its own, and end it when the time is over.

    Raises:
        _SkippedError: If it did not finish all baselines.
    """
    left = end - time.monotonic()
    environment = {**os.environ, **THREADS, "PYTHONPATH": search_path()}
    with (folder / "log.txt").open("wb") as log:
        process = start_process(
            (*WORKER, str(folder)),
            dies_with_parent=True,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    try:
        status = process.wait(max(left, 0))
    except subprocess.TimeoutExpired:
        raise _SkippedError("it took too long") from None
    finally:
        process.kill()
        process.wait()
    if status != 0:
        lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise _SkippedError(f"it failed: {lines[-1] if lines else f'status {status}'}")
