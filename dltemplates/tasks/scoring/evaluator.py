"""The evaluator of made images: a classifier that was trained before, and what it makes of them."""

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
    """A trained classifier of images.

    Attributes:
        run: Its run.
        classes: What it tells apart.
        sha256: Digest of its weights.
    """

    def __init__(self, run: Run):
        """Open it.

        Raises:
            ValueError: If it is no classifier of images that ends in a dense layer.
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
                f"An evaluator must be a classifier of images that ends in a dense layer. Received: {run.path}, "
                f"{run.template.model.name} for {run.template.task.name}. Choose another."
            )
        self.image = image
        self.classes = classes_of(spec.targets[0])
        self.sha256 = run.record.sha256[run.weights_path.name]
        inside = keras.Model(network.input, [logits_of(network.output), dense[-1].input])
        whole = keras.Model(model.input, inside(model.get_layer(PREPROCESSING).output))
        self._call = tf.function(lambda images: whole(images, training=False), reduce_retracing=True)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look at images.

        Args:
            images: (n, height, width, channels), 0..255.

        Returns:
            The probability of each class (n, classes), and the features that it decides by (n, features); float64.

        Raises:
            ValueError: If they are of another size than those it was trained on.
        """
        check_size(str(self.run.path), self.image.shape, images.shape[1:])
        parts: list[Any] = []
        for start in range(0, len(images), BATCH):
            logits, features = self._call(images[start : start + BATCH].astype(self.image.dtype))
            parts.append((logits.numpy(), features.numpy()))
        logits, features = (np.concatenate(arrays).astype(np.float64) for arrays in zip(*parts, strict=True))
        if logits.shape[1] == 1:  # of two classes, that of the second; the first has 0
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True), features


def check_classes(name: str, known: tuple[str, ...], asked: Iterable[ClassId]) -> None:
    """Check that an evaluator tells the classes of the data apart.

    Args:
        name: What to call it.
        known: Its classes.
        asked: What the data says of each image.

    Raises:
        ValueError: If it does not.
    """
    for value in asked:
        if value.classes != known:
            raise ValueError(
                f"An evaluator must know the classes of the data. Received: {name} for {', '.join(known)}, "
                f"where the data has {', '.join(value.classes)}. Choose another: "
                "--set task.evaluator=TEMPLATE; or none: --set task.evaluator=none."
            )


def check_size(name: str, known: tuple[int, ...], given: tuple[int, ...]) -> None:
    """Check that an evaluator looks at images of the size (height, width, channels) of the data's.

    Raises:
        ValueError: If it does not.
    """
    if given != known:
        raise ValueError(
            f"An evaluator must be trained on images of the same size. Received: images of {given} for {name}, "
            f"trained on {known}. Choose another: --set task.evaluator=TEMPLATE; or none: "
            "--set task.evaluator=none; or set `dataset.images.size`."
        )


def evaluator_path(name: str) -> Path:
    """Return the folder of an evaluator: the named one, a finished run of that name, or one in the user's cache."""
    if os.sep in name:
        return Path(name)
    run = Run(RUNS_FOLDER / name)
    is_finished = run.record_path.exists() and run.record.state == "done"
    return run.path if is_finished else cache_folder() / "evaluators" / name


def load_evaluator(name: str) -> Evaluator:
    """Open an evaluator.

    Args:
        name: The folder of a run, or the name of a template, whose run is then in `saved_models/` or in the cache.

    Raises:
        ValueError: If it is not there, not whole, or no classifier of images.
    """
    path = evaluator_path(name)
    if not (path / "run.json").exists():
        raise ValueError(
            f"The evaluator must be trained. Received: {name!r}, without a run in {RUNS_FOLDER}/ or "
            f"{cache_folder()}. Train it: `dlt train {name}`."
        )
    return Evaluator(load_run(path))
