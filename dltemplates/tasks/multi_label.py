"""Any number of labels: a sigmoid per label, macro F1 as the judge."""

from __future__ import annotations

from typing import Any

import numpy as np

from dltemplates.datasets.spec import DatasetSpec, Value
from dltemplates.tasks.task import Arrays, Task


class MultiLabel(Task):
    """Say of each label whether it applies.

    The network's logits (batch, labels) are presented as `probabilities`, float32, each between 0 and 1; a label
    applies from `threshold` up.
    """

    name = "multi_label"
    kind = "labels"
    monitor = "val_loss"
    monitor_direction = "min"

    def __init__(self, targets: tuple[Value, ...], *, threshold: float = 0.5):
        """Make the task.

        Args:
            targets: The labels to predict.
            threshold: Least probability of a label that applies, in (0, 1).

        Raises:
            ValueError: If the target is no set of labels or the threshold is out of range.
        """
        super().__init__(targets)
        if not (isinstance(threshold, (int, float)) and 0 < threshold < 1):
            raise ValueError(f"`threshold` must be in (0, 1). Received: {threshold!r}. Try 0.5.")
        self.threshold = threshold
        self.classes = self.target.classes or ()

    def sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {"input_shape": spec.inputs[0].shape, "num_outputs": len(self.classes)}

    def loss(self):
        import keras

        return keras.losses.BinaryCrossentropy(from_logits=True)

    def metrics(self):
        import keras

        return [keras.metrics.BinaryAccuracy(threshold=0.0, name="binary_accuracy")]  # a logit of 0 is one half

    def present(self, logits: Any) -> Any:
        import keras

        return keras.layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits)

    def output(self) -> Value:
        return Value(
            name="probabilities",
            kind="scores",
            dtype="float32",
            shape=(len(self.classes),),
            range=(0, 1),
            classes=self.classes,
        )

    def score(self, targets: Arrays, outputs: Arrays) -> dict[str, float]:
        from sklearn.metrics import f1_score

        labels, decided = targets[self.target.name].astype(int), self.decide(outputs)
        return {
            "macro_f1": float(f1_score(labels, decided, average="macro", zero_division=0.0)),
            "label_accuracy": float(np.mean(labels == decided)),
            "exact_match": float(np.mean((labels == decided).all(axis=1))),
        }

    def details(self, targets: Arrays, outputs: Arrays) -> dict[str, Any]:
        from sklearn.metrics import precision_recall_fscore_support

        precision, recall, _, support = precision_recall_fscore_support(
            targets[self.target.name].astype(int), self.decide(outputs), average=None, zero_division=0.0
        )
        return {
            "per_class": [
                {"class": name, "precision": float(p), "recall": float(r), "examples": int(n)}
                for name, p, r, n in zip(self.classes, precision, recall, support, strict=True)
            ]
        }

    def decide(self, outputs: Arrays) -> np.ndarray:
        return (outputs["probabilities"] >= self.threshold).astype(int)

    def captions(self, targets: Arrays, outputs: Arrays) -> tuple[list[str], np.ndarray]:
        labels, decided = targets[self.target.name].astype(int), self.decide(outputs)
        texts = [
            self._names(d) + ("" if (d == t).all() else f"\nis {self._names(t)}")
            for d, t in zip(decided, labels, strict=True)
        ]
        return texts, (decided != labels).mean(axis=1)

    def _names(self, flags: np.ndarray) -> str:
        return ", ".join(name for name, applies in zip(self.classes, flags, strict=True) if applies) or "nothing"

    def show(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [
            {
                "labels": [name for name, applies in zip(self.classes, flags, strict=True) if applies],
                "probabilities": {name: float(p) for name, p in zip(self.classes, row, strict=True)},
            }
            for flags, row in zip(self.decide(outputs), outputs["probabilities"], strict=True)
        ]
