"""Two outputs: the boxes of bright and dark rectangles in an image, and their classes.

The network fills three slots from left to right. An empty slot has no weight in the loss of the boxes. Slots are
compared with the true boxes as sets.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dltemplates.datasets.features import image_value
from dltemplates.datasets.source import Arrays, ArraySource, Dataset, Source, batches_of
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Boxes, ClassId, Probabilities
from dltemplates.figures.outcomes import show_image
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.assemble import make_contract
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.scoring.evaluation import WHOLE, Evaluation, System
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.stage_plan import ALGORITHMS, StagePlan
from dltemplates.tasks.task import Task

SIDE, MOST = 16, 3  # pixels of an image's side, boxes in an image
SIDES = ("left", "top", "right", "bottom")
CLASSES = ("bright", "dark")
LEVELS = {"bright": (190, 255), "dark": (0, 60)}
SIZES = {"train": 1500, "validation": 150, "test": 150}
LEAST_SCORE = 0.5  # for a box to count as found
LEAST_OVERLAP = 0.5  # intersection over union, for two boxes to count as the same
SHOWN = 8  # images in the figure
EMPTY_WEIGHT = 0.5  # of an empty slot, in the loss of the classes


def dataset(settings) -> Dataset:
    """Return grey images with one to three rectangles, drawn from a seed for each split."""
    image = image_value((SIDE, SIDE), 1, resize="stretch")
    boxes = Boxes(name="boxes", dtype="float32", shape=(MOST, 4))
    labels = ClassId(name="labels", dtype="int64", shape=(MOST,), classes=CLASSES)
    splits: dict[str, Source] = {
        name: ArraySource(draw_examples(size, seed)) for seed, (name, size) in enumerate(SIZES.items())
    }
    return Dataset(DatasetSpec(inputs=(image,), targets=(boxes, labels), sizes=SIZES), splits)


def draw_examples(count: int, seed: int) -> Arrays:
    """Draw images (n, 16, 16, 1), boxes (n, 3, 4) in no order, and labels (n, 3); empty slots are -1."""
    random = np.random.default_rng(seed)
    images = random.normal(125, 8, (count, SIDE, SIDE, 1)).clip(0, 255).astype(np.uint8)
    boxes, labels = np.full((count, MOST, 4), -1, np.float32), np.full((count, MOST), -1, np.int64)
    for image, own_boxes, own_labels in zip(images, boxes, labels, strict=True):
        middles = random.permutation([3, 8, 13])[: random.integers(1, MOST + 1)]
        for place, middle in enumerate(middles):
            width, height = random.integers(3, 6, 2)
            left = int(np.clip(middle - width // 2 + random.integers(-1, 2), 0, SIDE - width))
            top = random.integers(0, SIDE - height + 1)
            own_labels[place] = random.integers(len(CLASSES))
            level = random.integers(*LEVELS[CLASSES[own_labels[place]]])
            image[top : top + height, left : left + width] = level
            own_boxes[place] = np.array([left, top, left + width, top + height]) / SIDE
    return {"image": images, "boxes": boxes, "labels": labels}


def network(input_shape, num_outputs, *, name="network") -> keras.Model:
    """Map an image to `boxes` (3, 4), as fractions of its sides, and `logits` (3, classes + 1), the last for no box."""
    inputs = keras.Input(input_shape)
    x = inputs
    for filters, strides in ((16, 1), (24, 2), (32, 2)):
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dense(96, activation="relu")(layers.Flatten()(x))
    boxes = layers.Reshape((MOST, 4), name="boxes")(layers.Dense(MOST * 4, activation="sigmoid")(x))
    logits = layers.Reshape((MOST, num_outputs), name="logits")(layers.Dense(MOST * num_outputs)(x))
    return keras.Model(inputs, {"boxes": boxes, "logits": logits}, name=name)


class Rectangles(Task):
    """Find rectangles, and classify each as bright or dark."""

    name = "rectangles"
    kind = "boxes"
    input_kinds = ("image",)
    target_kinds = ("boxes", "class")
    monitor = "val_loss"
    monitor_direction = "min"
    budget = "0.05"

    def __init__(self, spec):
        self.inputs = spec.inputs
        self.target, self.label = spec.targets
        self.classes = self.label.classes

    @property
    def labels(self):
        return self.classes

    def model_sizes(self, spec):
        return {"input_shape": spec.inputs[0].shape, "num_outputs": len(self.classes) + 1}

    def model_signature(self, spec):
        sizes = self.model_sizes(spec)
        return {"": Shapes(sizes["input_shape"], {"boxes": (MOST, 4), "logits": (MOST, sizes["num_outputs"])})}

    def batch(self, example: dict[str, Any], *, training: bool):
        boxes, labels = example[self.target.name], example[self.label.name]
        middles = ops.where(boxes[..., 0] >= 0, boxes[..., 0] + boxes[..., 2], 3.0)  # empty slots go last
        order = ops.argsort(middles, axis=1)
        boxes = ops.take_along_axis(boxes, order[..., None], axis=1)
        labels = ops.take_along_axis(labels, order, axis=1)
        has_box = boxes[..., 0] >= 0  # a cropped-away box keeps its class
        targets = {"boxes": boxes, "logits": ops.where(has_box, labels, len(self.classes))}
        weights = {"boxes": ops.cast(has_box, "float32"), "logits": ops.where(has_box, 1.0, EMPTY_WEIGHT)}
        return self.model_inputs(example), targets, weights

    def stages(self, model, template):
        losses = {
            "boxes": keras.losses.MeanAbsoluteError(),
            "logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        }
        metrics = {"logits": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}
        options = {"losses": losses, "metrics": metrics}
        return [StagePlan(f"{ALGORITHMS}.supervised:Supervised", template.train.epochs, options, only_labeled=True)]

    def serve(self, model, spec, template, *, name):
        outputs = model.output
        softmax = layers.Softmax(dtype="float32")(outputs["logits"])
        served = keras.Model(model.input, {"boxes": outputs["boxes"], "scores": softmax[..., :-1]}, name=model.name)
        boxes = self.target.model_copy(update={"range": (0.0, 1.0)})
        shape = (MOST, len(self.classes))
        scores = Probabilities(name="scores", dtype="float32", shape=shape, range=(0, 1), classes=self.classes)
        return {"": ServingModel(served, make_contract(spec, template, (boxes, scores), name=name))}

    def predict(self, system: System, inputs: Arrays) -> Arrays:
        """Run the network; set scores of empty slots and of duplicates to 0."""
        outputs = system.whole(inputs)
        return outputs | {"scores": suppress(outputs["boxes"], outputs["scores"])}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        names = [value.name for value in self.inputs]
        targets, outputs = [], []
        for arrays in batches_of(source):
            outputs.append(self.predict(system, {name: arrays[name] for name in names}))
            targets.append({name: arrays[name] for name in (self.target.name, self.label.name)})
        return self.compare(_joined(targets), _joined(outputs))

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        true_boxes, true_labels = targets[self.target.name], targets[self.label.name]
        scores = outputs["scores"]
        found, decided = scores.max(axis=-1) > 0, self.decide(outputs)
        right = np.array(
            [
                count_same(boxes[is_found], own[is_found], truth[labels >= 0], labels[labels >= 0])
                for boxes, own, is_found, truth, labels in zip(
                    outputs["boxes"], decided, found, true_boxes, true_labels, strict=True
                )
            ]
        )
        num_found, num_true = found.sum(axis=1), (true_labels >= 0).sum(axis=1)

        def f1(weights: np.ndarray) -> np.ndarray:
            return 2 * (weights @ right) / np.maximum(weights @ (num_found + num_true), 1)

        errors = num_found + num_true - 2 * right
        return Evaluation(
            {"f1": float(f1(np.ones(len(right)))), "images_right": float(np.mean(errors == 0))},
            targets,
            outputs,
            {"boxes": int(num_true.sum()), "found": int(num_found.sum()), "right": int(right.sum())},
            decisions=decided,
            errors=errors.astype(np.float64),
            captions=tuple(f"{r} of {t}" for r, t in zip(right, num_true, strict=True)),
            score_of={"f1": f1},
        )

    def model_figures(self, servings, source: Source) -> dict[str, Figure]:
        """Draw the found boxes in some images, with the true ones dotted."""
        serving = servings[WHOLE]
        arrays = source.read(np.arange(min(SHOWN, len(source))))
        system = System({WHOLE: KerasPredictor(serving.model, serving.contract)})
        found = self.format(self.predict(system, {"image": arrays["image"]}))
        figure = Figure(figsize=(1.4 * SHOWN, 1.6), layout="constrained")
        axes = figure.subplots(1, SHOWN).flat
        for panel, image, truth, own in zip(axes, arrays["image"], arrays[self.target.name], found, strict=False):
            panel.axis("off")
            show_image(panel, image)
            for box in truth[truth[:, 0] >= 0]:
                draw_box(panel, *box, color="white", linestyle=":")
            for box in own["boxes"]:
                draw_box(panel, *(box[side] for side in SIDES), color="tab:red")
        return {"found": figure}

    def decide(self, outputs: Arrays) -> np.ndarray:
        """Return the class of each slot (n, slots), -1 for none."""
        scores = outputs["scores"]
        return np.where(scores.max(axis=-1) > LEAST_SCORE, scores.argmax(axis=-1), -1)

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [
            {
                "boxes": [
                    {"class": self.classes[label], "score": float(score.max())}
                    | dict(zip(SIDES, map(float, box), strict=True))
                    for box, score, label in zip(boxes, scores, labels, strict=True)
                    if label >= 0
                ]
            }
            for boxes, scores, labels in zip(outputs["boxes"], outputs["scores"], self.decide(outputs), strict=True)
        ]


def draw_box(axes, left: float, top: float, right: float, bottom: float, **options) -> None:
    """Draw a box over an image; its sides are fractions of the image's."""
    place = SIDE * np.array([left, top]) - 0.5
    axes.add_patch(Rectangle(place, SIDE * (right - left), SIDE * (bottom - top), fill=False, **options))


def suppress(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Set scores (n, slots, classes) to 0 for empty slots and for slots that overlap one with a higher score."""
    best = scores.max(axis=-1)
    remaining = scores * (best > LEAST_SCORE)[..., None]
    for row, own in enumerate(boxes):
        for slot in np.argsort(-best[row], kind="stable"):
            rivals = (overlaps(own, own[slot]) > LEAST_OVERLAP) & (best[row] < best[row, slot])
            if remaining[row, slot].any():
                remaining[row, rivals] = 0
    return remaining


def count_same(boxes: np.ndarray, labels: np.ndarray, truth: np.ndarray, true_labels: np.ndarray) -> int:
    """Count the boxes (n, 4) that match a true box (m, 4) of the same label; each true box matches once."""
    is_free = np.ones(len(truth), bool)
    for box, label in zip(boxes, labels, strict=True):
        overlap = overlaps(truth, box) * (is_free & (true_labels == label))
        if len(overlap) and overlap.max() >= LEAST_OVERLAP:
            is_free[overlap.argmax()] = False
    return int((~is_free).sum())


def overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes (n, 4) with a box (4,)."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    common = sides.clip(0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1), (box[2:] - box[:2]).clip(0).prod()
    return common / np.maximum(areas[0] + areas[1] - common, 1e-9)


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
