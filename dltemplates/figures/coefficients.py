"""Coefficients of linear, logistic and softmax regression, as numbers and as a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.linalg import block_diag

from dltemplates.features import Category, Feature, Number, classes_of, columns_of
from dltemplates.figures.outcomes import name_all
from dltemplates.tasks.serving.contract import ServingModel

CAPTIONS = {  # by file name: heading and caption in the report
    "coefficients": (
        "Coefficients",
        "The weight of each input, per standard deviation. A bar to the right raises the output, a bar to the left "
        "lowers it.",
    ),
}

MAX_BARS = 40  # inputs in the figure: the ones with the largest coefficients


def coefficients(serving: ServingModel) -> list[dict[str, Any]] | None:
    """Read the coefficients of linear, logistic or softmax regression.

    Args:
        serving: The trained network.

    Returns:
        For each output its name as `output`, its `intercept`, and its `inputs`: each has a `name`, a `coefficient` per
        unit, and a `standardized` coefficient per standard deviation (equal for a category). Coefficients add to a
        number in its own unit, or to a class's logit. None if the network is more than a weighted sum of columns.
    """
    from keras import layers

    features = serving.contract.inputs
    if not all(isinstance(feature, Number | Category) and feature.columns for feature in features):
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
    inputs, matrix, scale, offset = _inputs(model, features)
    target, classes = serving.contract.targets[0], classes_of(serving.contract.outputs[0])
    names = classes[-kernel.shape[1] :] if classes else [target.name] * kernel.shape[1]
    unit, origin = np.array(1.0), np.array(0.0)
    if isinstance(target, Number):
        unit, origin = np.array(target.std), np.array(target.mean)
    kernel, bias = matrix @ kernel, bias + offset @ kernel
    kernel, intercepts = kernel * unit, bias * unit + origin
    return [
        {
            "output": name,
            "intercept": float(intercepts[index]),
            "inputs": [
                {"name": column, "coefficient": float(weight * factor), "standardized": float(weight)}
                for column, weight, factor in zip(inputs, kernel[:, index], scale, strict=True)
            ],
        }
        for index, name in enumerate(names)
    ]


def _inputs(model: Any, features: tuple[Feature, ...]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Read the preprocessing in front of the weighted sum.

    Args:
        model: The served network.
        features: Its inputs.

    Returns:
        The name of each input (inputs); the change of the dense layer's input for one standard deviation of the number,
        or for the category (inputs, kernel); standard deviations per unit (inputs); and the dense layer's input where
        all numbers are 0 (kernel).
    """
    from dltemplates.tasks.assemble import PREPROCESSING

    names: list[str] = []
    blocks, scales, offsets = [], [], []
    for feature in features:
        columns = columns_of(feature)
        if isinstance(feature, Number):
            layer = model.get_layer(PREPROCESSING)
            names += [part for column in columns for part in column.parts]
            blocks.append(np.eye(len(layer.scale)))
            scales += list(layer.scale)
            offsets += list(layer.offset)
            continue
        for index, column in enumerate(columns):
            vectors = model.get_layer(f"embedding_{index}").get_weights()[0][1:]  # row 0 is for unknown categories
            names += [f"{column.name}={category}" for category in column.vocabulary]
            blocks.append(vectors.astype(np.float64))
            scales += [1.0] * len(vectors)
            offsets += [0.0] * vectors.shape[1]
    return names, block_diag(*blocks), np.array(scales, np.float64), np.array(offsets, np.float64)


def coefficients_figure(outputs: list[dict[str, Any]]) -> Figure:
    """Draw the standardized coefficients of each output, from `coefficients`."""
    names = [entry["name"] for entry in outputs[0]["inputs"]]
    weights = np.array([[entry["standardized"] for entry in output["inputs"]] for output in outputs])
    order = np.argsort(-np.abs(weights).max(axis=0), kind="stable")[:MAX_BARS]
    figure = Figure(figsize=(7, 1.2 + (0.12 + 0.14 * len(outputs)) * len(order)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(outputs)
    bars = []
    for index, output_weights in enumerate(weights):
        y = np.arange(len(order)) + (index - (len(outputs) - 1) / 2) * height
        bars.append(axes.barh(y, output_weights[order], height))
    axes.set_yticks(range(len(order)), [names[index] for index in order], parse_math=False)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("contribution of one standard deviation, or of the category")
    if len(outputs) > 1:
        name_all(axes, bars, [output["output"] for output in outputs])
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure
