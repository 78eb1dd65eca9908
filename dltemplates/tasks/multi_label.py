"""Multi-label classification: a sigmoid per label, scored by macro F1."""

from __future__ import annotations

from typing import Any

import numpy as np

from dltemplates.datasets.spec import DatasetSpec, IOSpec, input_sizes
from dltemplates.features import AnyFeature, classes_of
from dltemplates.tasks.model_signature import Shapes, vector_output
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.tasks.scoring.intervals import mean_of
from dltemplates.tasks.task import Arrays, SupervisedTask, probabilities_feature


class MultiLabel(SupervisedTask):
    """Predict whether each label applies.

    The network's logits (batch, labels) are presented as `probabilities`, float32, each in [0, 1]; a label applies
    from `threshold` up.
    """

    name = "multi_label"
    has_head = True
    kind = "labels"
    monitor = "val_cross_entropy"
    monitor_direction = "min"

    def __init__(self, spec: IOSpec, *, threshold: float = 0.5):
        """Create the task.

        Args:
            spec: The data, whose target is a set of labels.
            threshold: The least probability at which a label applies, in (0, 1).

        Raises:
            ValueError: If the threshold is out of range.
        """
        super().__init__(spec)
        if not (isinstance(threshold, (int, float)) and 0 < threshold < 1):
            raise ValueError(f"`threshold` must be in (0, 1). Received: {threshold!r}. Try 0.5.")
        self.threshold = threshold
        self.classes = classes_of(self.target)

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {**input_sizes(spec), "num_outputs": len(self.classes)}

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        return vector_output(self.model_sizes(spec))

    def loss(self):
        import keras

        return keras.losses.BinaryCrossentropy(from_logits=True)

    def metrics(self):
        import keras

        return [
            keras.metrics.BinaryAccuracy(threshold=float(np.log(self.threshold / (1 - self.threshold)))),  # on logits
            keras.metrics.BinaryCrossentropy(from_logits=True, name="cross_entropy"),  # the loss may include penalties
        ]

    def present(self, logits: Any) -> Any:
        import keras

        return keras.layers.Activation("sigmoid", name="probabilities", dtype="float32")(logits)

    def output(self) -> AnyFeature:
        return probabilities_feature(self.classes)

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        from sklearn.metrics import precision_recall_fscore_support

        labels, predicted = targets[self.target.name].astype(int), self.decide(outputs)
        rows = [
            precision_recall_fscore_support(truth, prediction, average="binary", zero_division=0.0)
            for truth, prediction in zip(labels.T, predicted.T, strict=True)
        ]
        is_exact, label_accuracy = (labels == predicted).all(axis=1), (labels == predicted).mean(axis=1)
        scores = {
            "macro_f1": float(np.mean([f1 for _, _, f1, _ in rows])),
            "label_accuracy": float(np.mean(labels == predicted)),
            "exact_match": float(np.mean(is_exact)),
        }
        per_class = [
            {
                "class": name,
                "precision": float(precision),
                "recall": float(recall),
                "examples": int(truth.sum()),
                "predicted": int(prediction.sum()),
            }
            for name, (precision, recall, _, _), truth, prediction in zip(
                self.classes, rows, labels.T, predicted.T, strict=True
            )
        ]
        captions = [
            self._names(d) + ("" if (d == t).all() else f"\nis {self._names(t)}")
            for d, t in zip(predicted, labels, strict=True)
        ]

        def macro_f1(weights: np.ndarray) -> np.ndarray:
            found = weights @ (labels & predicted)  # (draws, labels)
            return (2 * found / np.maximum(weights @ (labels + predicted), 1)).mean(axis=1)

        return Evaluation(
            scores,
            targets,
            outputs,
            {"per_class": per_class},
            decisions=predicted,
            errors=(predicted != labels).mean(axis=1),
            captions=tuple(captions),
            shares={"exact_match": is_exact},
            score_of={
                "macro_f1": macro_f1,
                "label_accuracy": mean_of(label_accuracy),
                "exact_match": mean_of(is_exact),
            },
        )

    def decide(self, outputs: Arrays) -> np.ndarray:
        return (outputs["probabilities"] >= self.threshold).astype(int)

    def _names(self, flags: np.ndarray) -> str:
        return ", ".join(name for name, applies in zip(self.classes, flags, strict=True) if applies) or "nothing"

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [
            {
                "labels": [name for name, applies in zip(self.classes, flags, strict=True) if applies],
                "probabilities": {name: float(p) for name, p in zip(self.classes, row, strict=True)},
            }
            for flags, row in zip(self.decide(outputs), outputs["probabilities"], strict=True)
        ]
