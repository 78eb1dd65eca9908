"""What a network of one weighted sum has learned: what each input is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers
from matplotlib.figure import Figure
from scipy.linalg import block_diag

from dltemplates.features import Category, Feature, Number, classes_of, columns_of
from dltemplates.figures.outcomes import name_all
from dltemplates.tasks.assemble import PREPROCESSING
from dltemplates.tasks.serving.contract import ServingModel

MAX_BARS = 40  # inputs that are drawn; those of the greatest coefficients


def coefficients(serving: ServingModel) -> list[dict[str, Any]] | None:
    """Read the coefficients of linear, logistic or softmax regression.

    Args:
        serving: The trained network.

    Returns:
        For each output `output`, the `intercept`, and for each input its name with `coefficient`, what a unit of it
        adds, and `standardized`, what a standard deviation of it adds: to a number in its own unit, or to a logit of
        classes; a category adds as much in either. None where the network is more than a weighted sum of columns.
    """
    values = serving.contract.inputs
    if not all(isinstance(value, Number | Category) and value.columns for value in values):
        return None
    model = serving.model
    network = model.get_layer(model.name)
    dense = [layer for layer in network.layers if isinstance(layer, layers.Dense)]
    others = [
        layer for layer in network.layers if not isinstance(layer, (layers.Dense, layers.Flatten, layers.InputLayer))
    ]
    if len(dense) != 1 or others:
        return None
    kernel, bias = (weight.astype(np.float64) for weight in dense[0].get_weights())
    named, rows, scale, offset = _inputs(model, values)
    target, classes = serving.contract.targets[0], classes_of(serving.contract.outputs[0])
    names = classes[-kernel.shape[1] :] if classes else [target.name] * kernel.shape[1]
    unit, origin = np.array(1.0), np.array(0.0)
    if isinstance(target, Number):
        unit, origin = np.array(target.std), np.array(target.mean)
    kernel, bias = rows @ kernel, bias + offset @ kernel
    kernel, intercepts = kernel * unit, bias * unit + origin
    return [
        {
            "output": name,
            "intercept": float(intercepts[place]),
            "inputs": [
                {"name": column, "coefficient": float(weight * factor), "standardized": float(weight)}
                for column, weight, factor in zip(named, kernel[:, place], scale, strict=True)
            ],
        }
        for place, name in enumerate(names)
    ]


def _inputs(model: Any, values: tuple[Feature, ...]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """What stands in front of the weighted sum.

    Args:
        model: The served network.
        values: What it takes.

    Returns:
        The name of each input (inputs); what a deviation of it, or its category, is to the sum (inputs, kernel); how
        many deviations a unit of it is (inputs); and what all are where the numbers are 0 (kernel).
    """
    named: list[str] = []
    blocks, scales, offsets = [], [], []
    for value in values:
        columns = columns_of(value)
        if isinstance(value, Number):
            layer = model.get_layer(PREPROCESSING)
            named += [part for column in columns for part in column.parts]
            blocks.append(np.eye(len(layer.scale)))
            scales += list(layer.scale)
            offsets += list(layer.offset)
            continue
        for place, column in enumerate(columns):
            vectors = model.get_layer(f"embedding_{place}").get_weights()[0][1:]  # the first is of unknown ones
            named += [f"{column.name}={category}" for category in column.vocabulary]
            blocks.append(vectors.astype(np.float64))
            scales += [1.0] * len(vectors)
            offsets += [0.0] * vectors.shape[1]
    return named, block_diag(*blocks), np.array(scales, np.float64), np.array(offsets, np.float64)


def coefficients_figure(found: list[dict[str, Any]]) -> Figure:
    """Draw what a standard deviation of each input adds to each output."""
    names = [entry["name"] for entry in found[0]["inputs"]]
    worth = np.array([[entry["standardized"] for entry in output["inputs"]] for output in found])  # (outputs, inputs)
    order = np.argsort(-np.abs(worth).max(axis=0), kind="stable")[:MAX_BARS]
    figure = Figure(figsize=(7, 1.2 + (0.12 + 0.14 * len(found)) * len(order)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(found)
    drawn = []
    for place in range(len(found)):
        at = np.arange(len(order)) + (place - (len(found) - 1) / 2) * height
        drawn.append(axes.barh(at, worth[place, order], height))
    axes.set_yticks(range(len(order)), [names[index] for index in order], parse_math=False)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("what one standard deviation more, or the category, adds")
    if len(found) > 1:
        name_all(axes, drawn, [output["output"] for output in found])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure
