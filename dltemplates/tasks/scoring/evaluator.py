"""The evaluator of generated images: a trained classifier that returns probabilities and features."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.datasets.spec import image_of
from dltemplates.datasets.storage.locate import cache_folder
from dltemplates.features import ClassId, classes_of
from dltemplates.runs import RUNS_FOLDER, Run, load_run

BATCH = 256


class Evaluator:
    """A trained image classifier.

    Attributes:
        run: Its run.
        classes: Its class names.
        sha256: Digest of its weights.
    """

    def __init__(self, run: Run):
        """Open the evaluator of a run.

        Raises:
            ValueError: If the run is not an image classifier, or has no dense layer.
        """
        import keras
        import tensorflow as tf

        from dltemplates.tasks.assemble import PREPROCESSING, logits_of

        self.run = run
        spec = run.record.spec
        image = image_of(spec)
        model = run.model()
        network = model.get_layer(model.name)
        dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
        if image is None or run.template.task.name != "classification" or not dense:
            raise ValueError(
                f"An evaluator must be an image classifier that ends in a dense layer. Received: {run.path}, "
                f"{run.template.model.name} for {run.template.task.name}. Choose another."
            )
        self.image = image
        self.classes = classes_of(spec.targets[0])
        self.sha256 = run.record.sha256[run.weights_path.name]
        inside = keras.Model(network.input, [logits_of(network.output), dense[-1].input])
        whole = keras.Model(model.input, inside(model.get_layer(PREPROCESSING).output))
        self._call = tf.function(lambda images: whole(images, training=False), reduce_retracing=True)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classify images.

        Args:
            images: (n, height, width, channels), 0..255.

        Returns:
            The probability of each class (n, classes), and the input features of the last dense layer (n, features);
            float64.

        Raises:
            ValueError: If the images differ in size from the training images.
        """
        check_size(str(self.run.path), self.image.shape, images.shape[1:])
        parts: list[Any] = []
        for start in range(0, len(images), BATCH):
            logits, features = self._call(images[start : start + BATCH].astype(self.image.dtype))
            parts.append((logits.numpy(), features.numpy()))
        logits, features = (np.concatenate(arrays).astype(np.float64) for arrays in zip(*parts, strict=True))
        if logits.shape[1] == 1:  # a binary network has only the logit of the second class; the first is 0
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True), features


def check_classes(name: str, known: tuple[str, ...], targets: Iterable[ClassId]) -> None:
    """Check that an evaluator has the classes of the data.

    Args:
        name: The evaluator's name for the message.
        known: Its classes.
        targets: The class targets of the data.

    Raises:
        ValueError: If the classes differ.
    """
    for value in targets:
        if value.classes != known:
            raise ValueError(
                f"An evaluator must have the classes of the data. Received: {name} for {', '.join(known)}, "
                f"while the data has {', '.join(value.classes)}. Choose another: "
                "--set task.evaluator=TEMPLATE; or none: --set task.evaluator=none."
            )


def check_size(name: str, known: tuple[int, ...], received: tuple[int, ...]) -> None:
    """Check that an evaluator was trained on images of the data's shape (height, width, channels).

    Raises:
        ValueError: If the shapes differ.
    """
    if received != known:
        raise ValueError(
            f"An evaluator must be trained on images of the same size. Received: images of {received} for {name}, "
            f"trained on {known}. Choose another: --set task.evaluator=TEMPLATE; or none: "
            "--set task.evaluator=none; or set `dataset.images.size`."
        )


def evaluator_path(name: str) -> Path:
    """Return the folder of an evaluator: a path, a finished run of that name, or a run in the user's cache."""
    if os.sep in name:
        return Path(name)
    run = Run(RUNS_FOLDER / name)
    is_finished = run.record_path.exists() and run.record.state == "done"
    return run.path if is_finished else cache_folder() / "evaluators" / name


def load_evaluator(name: str) -> Evaluator:
    """Open an evaluator.

    Args:
        name: The folder of a run, or the name of a template with a run in `saved_models/` or in the cache.

    Raises:
        ValueError: If its run is missing or incomplete, or it is not an image classifier.
    """
    path = evaluator_path(name)
    if not (path / "run.json").exists():
        raise ValueError(
            f"The evaluator must be trained. Received: {name!r}, without a run in {RUNS_FOLDER}/ or "
            f"{cache_folder()}. Train it: `dlt train {name}`."
        )
    return Evaluator(load_run(path))
