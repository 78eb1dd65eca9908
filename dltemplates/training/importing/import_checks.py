"""Checks of an imported model on labelled examples: the served network, the input range, the order of the classes."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras.applications.imagenet_utils import preprocess_input
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from dltemplates.datasets.names import few
from dltemplates.datasets.source import Dataset, column
from dltemplates.errors import first_line
from dltemplates.features import ClassId, classes_of

SEEDS = (0, 1)
EXAMPLES = 64  # per seed, for the comparison of the served network
MAX_TRIED, MIN_TRIED = 200, 50  # examples on which ranges and orders are tried
MIN_GAIN, MAX_P = 0.1, 0.001  # of accuracy; of McNemar's exact test
MAX_LOSS = 0.02  # of accuracy, for a range in place of a preparation
MIN_AGREEMENT = 0.8  # of the predictions in the orders of two halves; untrained networks have less
BATCH = 32

InputRange = tuple[float, float]
DEFAULT_RANGE: InputRange = (0.0, 255.0)


@dataclass(frozen=True)
class Preparation:
    """A preparation of colour pixels 0..255 that no `--input-range` describes.

    Attributes:
        apply: Prepare float32 pixels (n, height, width, 3).
        program: The same for the Keras tensor `x`, in Python.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    program: str


def _imagenet(mode: str) -> Preparation:
    return Preparation(
        partial(preprocess_input, data_format="channels_last", mode=mode),
        f'keras.applications.imagenet_utils.preprocess_input(x, mode="{mode}")',
    )


PREPARATIONS = {
    "ImageNet's preprocessing (mode 'torch')": _imagenet("torch"),
    "ImageNet's preprocessing (mode 'caffe')": _imagenet("caffe"),
    "BGR pixels in 0,255": Preparation(lambda x: x[..., ::-1], "keras.ops.flip(x, -1)"),
    "BGR pixels in 0,1": Preparation(lambda x: x[..., ::-1] / 255, "keras.ops.flip(x, -1) / 255"),
    "BGR pixels in -1,1": Preparation(lambda x: x[..., ::-1] / 127.5 - 1, "keras.ops.flip(x, -1) / 127.5 - 1"),
}


def to_range(images: np.ndarray, input_range: InputRange) -> np.ndarray:
    """Scale pixels (n, height, width, channels) of 0..255 to another range, as float32."""
    low, high = input_range
    return images.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)


def format_range(input_range: InputRange) -> str:
    """Return a range as it is typed, such as `-1,1`."""
    return ",".join(f"{value:g}" for value in input_range)


def run_model(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return a model's output in inference (n, ...), in batches of the model's fixed size if it has one."""
    batch = model.inputs[0].shape[0] or BATCH
    rows = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        padded = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
        (output,) = keras.tree.flatten(model(padded, training=False))
        rows.append(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))[: len(part)])
    return np.concatenate(rows)


def comparison_images(dataset: Dataset) -> np.ndarray:
    """Return pixels 0..255 for a comparison of networks, (n, height, width, channels).

    They are examples of all classes, drawn with two seeds; dark copies; and averages of two examples. A network is
    less certain about the last two, so that a softmax of nearly 1 does not hide a difference.
    """
    images = np.concatenate([read_examples(dataset, EXAMPLES, seed)[0] for seed in SEEDS])
    others = images[np.random.default_rng(SEEDS[0]).permutation(len(images))].astype(np.uint16)
    mixed = ((images + others) // 2)[: len(images) // 2]
    return np.concatenate([images, images[::4] // 8, mixed]).astype(images.dtype)


def read_examples(dataset: Dataset, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Read images and targets of the validation split, then of the training split, with each class equally often."""
    image, target = dataset.spec.inputs[0].name, dataset.spec.targets[0]
    images: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    for split in ("validation", "train"):
        source, missing = dataset.split(split), count - sum(len(part) for part in images)
        chosen = np.random.default_rng(seed).permutation(len(source))
        if isinstance(target, ClassId):
            labels = column(source, target.name)[chosen]
            ranks = np.empty(len(labels), np.int64)  # the first of each class, then the second of each, ...
            for label in np.unique(labels):
                ranks[labels == label] = np.arange(np.sum(labels == label))
            chosen = chosen[np.argsort(ranks, kind="stable")]
        if chosen[:missing].size:
            arrays = source.read(np.sort(chosen[:missing]))
            images.append(arrays[image])
            targets.append(arrays[target.name])
    return np.concatenate(images), np.concatenate(targets)


def check_outputs(model: keras.Model, network: keras.Model, images: np.ndarray, path: Path, *, rounded: bool) -> None:
    """Check that a model returns the same output each time, and that its float32 copy returns it too.

    Args:
        model: The model.
        network: Its copy in float32.
        images: Inputs in the model's range.
        path: Its file, for errors.
        rounded: Whether the model computes with fewer digits than float32.

    Raises:
        ValueError: If it does not, or does not run at all.
    """
    try:
        outputs = run_model(model, images)
    except Exception as error:  # each layer has its own errors
        raise ValueError(
            f"A model trained elsewhere must take images of {images.shape[1:]}. Received: {path} "
            f"({first_line(error)}). Give the size that it was trained on with --input-shape."
        ) from error
    if not np.isfinite(outputs).all():
        raise ValueError(
            f"A model trained elsewhere must return finite numbers. Received: {path}, which returns NaN or infinity. "
            "Check its weights and --input-range."
        )
    if not np.allclose(outputs, run_model(model, images), atol=_tolerance(outputs)):
        raise ValueError(
            "A model trained elsewhere must return the same output for the same image. "
            f"Received: {path}, which draws random numbers in inference. Leave out the layer that draws them."
        )
    if not np.allclose(outputs, run_model(network, images), atol=_tolerance(outputs) * (50 if rounded else 1)):
        raise ValueError(
            "A model trained elsewhere must return the same output after it is rebuilt from its definition and "
            f"weights. Received: {path}, whose outputs differ. Check `get_config` of its custom layers."
        )


def serves_outputs(served: np.ndarray, outputs: np.ndarray, kind: str, *, are_logits: bool) -> bool:
    """Return whether a served network returns the outputs of the user's own, as probabilities.

    Args:
        served: Served outputs, (n, ...).
        outputs: Outputs of the user's own, (n, ...).
        kind: Kind of the target.
        are_logits: Whether the user's own ends in logits.
    """
    if kind == "class" and outputs.shape[1] == 1:
        second = keras.ops.convert_to_numpy(keras.ops.sigmoid(outputs)) if are_logits else outputs
        expected = np.concatenate([1 - second, second], axis=1)
    elif are_logits and kind in ("class", "labels"):
        activation = keras.ops.softmax if kind == "class" else keras.ops.sigmoid
        expected = keras.ops.convert_to_numpy(activation(outputs))
    else:
        expected = outputs
    return served.shape == expected.shape and np.allclose(served, expected, atol=_tolerance(expected))


def _tolerance(outputs: np.ndarray) -> float:
    return 1e-3 * max(1.0, float(np.ptp(outputs)))


@dataclass
class Trial:
    """Predictions with one way to prepare the pixels.

    Attributes:
        name: The range to type, or the name of a preparation.
        preparation: The preparation; None for a range.
        predicted: Class ids (n,), or flags (n, labels).
        likelihood: Mean probability of the true class; breaks ties.
    """

    name: str
    preparation: Preparation | None
    predicted: np.ndarray
    likelihood: float


@dataclass
class Finding:
    """A better way to use the model.

    Attributes:
        message: The rule, the accuracies, and the options to type.
        is_forgotten: Whether an option was left out; otherwise its value is doubtful.
    """

    message: str
    is_forgotten: bool


def find_mistake(
    logits: keras.Model,
    dataset: Dataset,
    *,
    input_range: InputRange | None,
    classes_are_given: bool,
) -> Finding | None:
    """Look for another input range, or order of the classes, with a much better accuracy.

    Another one counts if its accuracy is better by more than 0.1, and if McNemar's exact test says p < .001. An order
    is fitted on one half of the examples and scored on the other half, since the best of many orders fits noise, too;
    and the two halves must agree.

    Args:
        logits: The network from pixels in its range to logits.
        dataset: The data.
        input_range: The given range; None if it was left out.
        classes_are_given: Whether the order of the classes was given.

    Returns:
        The mistake; None without one, or with fewer than 50 examples.
    """
    target = dataset.spec.targets[0]
    if target.kind not in ("class", "labels"):
        return None
    images, truth = read_examples(dataset, MAX_TRIED, SEEDS[0])
    if len(images) < MIN_TRIED:
        return None
    used = _try_range(logits, input_range or DEFAULT_RANGE, images, truth)
    is_right = _is_right(used.predicted, truth)
    if is_right.mean() + MIN_GAIN > 1:
        return None  # nothing can be better by more
    others = [trial for trial in _trials(logits, images, truth) if trial.name != used.name]
    best = _best_trial([used, *others], truth)
    better = _is_right(best.predicted, truth)
    examples = f"{len(images)} examples of validation and train"
    order = None
    if target.kind == "class":
        order = _find_order(used, others if input_range is None else [], better, truth, len(classes_of(target)))
    if order is None and not _is_much_better(better, is_right):
        return None
    if order is None:
        return Finding(
            "The pixels must be in the range that the model was trained with. "
            f"Received: {used.name}, with an accuracy of {is_right.mean():.2f} on {examples}; with {best.name} "
            f"it is {better.mean():.2f}. {_type_range(best, used, dataset, can_keep=input_range is None)}",
            is_forgotten=input_range is None,
        )
    best, reordered = order
    classes = classes_of(target)
    names = tuple(classes[label] for label in _best_order(best.predicted, truth, len(classes)))
    keep = "" if classes_are_given else f", or --class-names {_type_names(classes)} to keep the present order"
    also, way_out = "", ""
    if best is not used:
        also, way_out = f", and with {best.name}", f" {_type_range(best, used, dataset, can_keep=True)}"
    return Finding(
        "The classes must be in the order of the model's outputs. "
        f"Received: {few(classes)}, with an accuracy of {is_right.mean():.2f} on {examples}; in the order "
        f"{few(names)}{also} it is {reordered.mean():.2f}. Add --class-names {_type_names(names)}{keep}.{way_out}",
        is_forgotten=not classes_are_given or best is not used,
    )


def _find_order(
    used: Trial, others: list[Trial], better: np.ndarray, truth: np.ndarray, count: int
) -> tuple[Trial, np.ndarray] | None:
    """Return the trial that is much better in another order, and which examples are right then (n,).

    Args:
        used: The trial with the present range.
        others: Trials with other ranges; one of them must be much better than `used` in another order.
        better: Which examples are right in the present order with the best range.
        truth: Class ids (n,).
        count: Number of classes.
    """
    best, reordered = used, _cross_fitted(used.predicted, truth, count)
    for trial in others:
        is_right = _cross_fitted(trial.predicted, truth, count)
        if is_right.mean() > reordered.mean() and (best is not used or _is_much_better(is_right, reordered)):
            best, reordered = trial, is_right
    return (best, reordered) if _is_much_better(reordered, better) else None


def _trials(logits: keras.Model, images: np.ndarray, truth: np.ndarray) -> Iterator[Trial]:
    for input_range in (DEFAULT_RANGE, (0.0, 1.0), (-1.0, 1.0)):
        yield _try_range(logits, input_range, images, truth)
    if images.shape[-1] == 3:
        for name, preparation in PREPARATIONS.items():
            pixels = preparation.apply(images.astype(np.float32))  # `preprocess_input` changes floats in place
            yield _trial(run_model(logits, pixels), truth, name, preparation)


def _try_range(logits: keras.Model, input_range: InputRange, images: np.ndarray, truth: np.ndarray) -> Trial:
    return _trial(run_model(logits, to_range(images, input_range)), truth, format_range(input_range))


def _trial(outputs: np.ndarray, truth: np.ndarray, name: str, preparation: Preparation | None = None) -> Trial:
    if truth.ndim == 2:
        return Trial(name, preparation, outputs > 0, -float(np.mean(np.logaddexp(0, (1 - 2 * truth) * outputs))))
    if outputs.shape[1] == 1:
        outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=1)
    exponents = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    return Trial(name, preparation, outputs.argmax(axis=1), float(np.mean(probabilities[np.arange(len(truth)), truth])))


def _best_trial(trials: list[Trial], truth: np.ndarray) -> Trial:
    """Return the most accurate trial, or a range that is nearly as accurate: it takes one option, not a program."""

    def accuracy(trial: Trial) -> float:
        return float(_is_right(trial.predicted, truth).mean())

    best, best_range = (
        max(group, key=lambda trial: (accuracy(trial), trial.likelihood))
        for group in (trials, [trial for trial in trials if trial.preparation is None])
    )
    return best_range if accuracy(best) - accuracy(best_range) <= MAX_LOSS else best


def _is_right(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return which examples are right (n,); of several labels all must be."""
    return (predicted == truth).reshape(len(truth), -1).all(axis=1)


def _is_much_better(better: np.ndarray, worse: np.ndarray) -> bool:
    wins, losses = int(np.sum(better & ~worse)), int(np.sum(worse & ~better))
    return better.mean() - worse.mean() > MIN_GAIN and binomtest(wins, wins + losses).pvalue < MAX_P


def _best_order(predicted: np.ndarray, truth: np.ndarray, count: int) -> np.ndarray:
    """Return the class id (count,) of each output that makes the most predictions right."""
    confusion = np.zeros((count, count))
    np.add.at(confusion, (predicted, truth), 1)
    confusion += 0.5 * np.eye(count)  # an output without evidence keeps its class
    return linear_sum_assignment(confusion, maximize=True)[1]


def _cross_fitted(predicted: np.ndarray, truth: np.ndarray, count: int) -> np.ndarray:
    """Return which examples are right (n,) in the order that fits the other half of the examples best.

    None is right if the two halves give different orders: then no order is known well enough to name it.
    """
    half = np.random.default_rng(SEEDS[0]).permutation(len(truth)) % 2 == 0
    orders = [_best_order(predicted[part], truth[part], count) for part in (half, ~half)]
    if np.mean(orders[0][predicted] == orders[1][predicted]) < MIN_AGREEMENT:
        return np.zeros(len(truth), bool)
    return np.where(half, orders[1][predicted], orders[0][predicted]) == truth


def _type_range(best: Trial, used: Trial, dataset: Dataset, *, can_keep: bool) -> str:
    keep = f", or --input-range {used.name} to keep the present range." if can_keep else "."
    if best.preparation is None:
        return f"Add --input-range {best.name}{keep}"
    shape = dataset.spec.inputs[0].shape
    return (
        f"Save the model with its preprocessing and export that file (x = keras.Input({shape}); y = "
        f'{best.preparation.program}; keras.Model(x, model(y)).save("with_preprocessing.keras")){keep}'
    )


def _type_names(names: tuple[str, ...] | list[str]) -> str:
    """Return class names as they are typed in a shell, separated by commas."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return shlex.quote(line.getvalue())
