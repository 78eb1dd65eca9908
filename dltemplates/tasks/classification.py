"""Classification: cross-entropy loss, scored by accuracy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from dltemplates.datasets.series.sequences import are_sequences
from dltemplates.datasets.source import Dataset, Source, column
from dltemplates.datasets.spec import DatasetSpec, IOSpec, input_sizes
from dltemplates.features import AnyFeature, Tokens, classes_of
from dltemplates.tasks.model_signature import Shapes, vector_output
from dltemplates.tasks.scoring.evaluation import Evaluation, ScoreOf
from dltemplates.tasks.scoring.intervals import mean_of, ratio_of
from dltemplates.tasks.task import Arrays, SupervisedTask, probabilities_feature

LOSSES = ("cross_entropy", "perceptron")


class Classification(SupervisedTask):
    """Predict one class for each example.

    The network's logits (batch, classes) are presented as `probabilities`, float32, each row summing to 1. With
    `binary`, one logit suffices for two classes: the log-odds of the second.
    """

    name = "classification"
    has_head = True
    kind = "class"
    monitor = "val_accuracy"
    linear_baseline = "logistic regression"

    def __init__(
        self,
        spec: IOSpec,
        *,
        label_smoothing: float = 0.0,
        binary: bool = False,
        loss: Literal["cross_entropy", "perceptron"] = "cross_entropy",
        positive: str | None = None,
    ):
        """Create the task.

        Args:
            spec: The data, whose target is one class.
            label_smoothing: Share of the target spread evenly over all classes, in [0, 1) (Szegedy 2016 section 7).
            binary: Use one logit for two classes.
            loss: `cross_entropy`; or with `binary` also `perceptron`, whose gradient is Rosenblatt's rule.
            positive: The class to find, such as spam: its F1, precision and recall are scores too.

        Raises:
            ValueError: If the smoothing is out of range, `binary` is set without two classes, the loss or the class is
                unknown, or options exclude each other.
        """
        super().__init__(spec)
        if not (isinstance(label_smoothing, (int, float)) and 0 <= label_smoothing < 1):
            raise ValueError(f"`label_smoothing` must be in [0, 1). Received: {label_smoothing!r}. Try 0.1.")
        self.label_smoothing = label_smoothing
        self.classes = classes_of(self.target)
        if not isinstance(binary, bool) or (binary and len(self.classes) != 2):
            raise ValueError(
                f"`binary` must be true or false, and true needs two classes. Received: {binary!r} for "
                f"{len(self.classes)} classes. Leave it out."
            )
        self.binary = binary
        if loss not in LOSSES or (loss == "perceptron" and not binary):
            raise ValueError(
                f"`loss` must be cross_entropy, or with `binary` also perceptron. Received: {loss!r}. Leave it out."
            )
        if loss == "perceptron" and label_smoothing:
            raise ValueError(
                "`label_smoothing` is for `cross_entropy`: the perceptron loss needs targets of 0 and 1. Received: "
                f"label_smoothing = {label_smoothing!r} with loss = 'perceptron'. Drop one."
            )
        self.loss_name = loss
        if positive is not None and positive not in self.classes:
            raise ValueError(
                f"`positive` must be a class. Received: {positive!r}. There are: {', '.join(self.classes)}."
            )
        self.positive = positive

    def adapt(self, dataset: Dataset) -> Dataset:
        if len(self.classes) < 2:
            way_out = (
                "Put the images of each class in their own folder and name the parent folder, or add `y` to the .npz "
                "file."
            )
            if are_sequences(dataset.spec):
                way_out = "Add the class of each sequence."
            elif isinstance(dataset.spec.inputs[0], Tokens):
                way_out = "Add texts of another class."
            raise ValueError(
                f"Task {self.name} needs at least two classes. Received: one, {', '.join(self.classes)!r}. {way_out}"
            )
        return dataset

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {**input_sizes(spec), "num_outputs": 1 if self.binary else len(self.classes)}

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        return vector_output(self.model_sizes(spec))

    def loss(self):
        import keras

        if self.loss_name == "perceptron":
            from dltemplates.tasks.scoring.losses import PerceptronLoss

            return PerceptronLoss()
        if self.binary:
            return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=self.label_smoothing)
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=self.label_smoothing)

    def metrics(self):
        import keras

        if self.binary:
            return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]  # on logits
        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        top_5 = [keras.metrics.TopKCategoricalAccuracy(5, name="top_5")] if len(self.classes) > 5 else []
        return [accuracy, *top_5]

    def encode(self, target: Any) -> Any:
        import keras

        if self.binary:
            return keras.ops.cast(target, "float32")[:, None]
        return keras.ops.one_hot(target, len(self.classes))

    def present(self, logits: Any) -> Any:
        import keras

        if self.binary:  # the softmax of (0, logit)
            logits = keras.layers.ZeroPadding1D((1, 0), dtype="float32")(keras.layers.Reshape((1, 1))(logits))
            logits = keras.layers.Flatten()(logits)
        return keras.layers.Softmax(name="probabilities", dtype="float32")(logits)

    def output(self) -> AnyFeature:
        return probabilities_feature(self.classes)

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

        label, probabilities, predicted = targets[self.target.name], outputs["probabilities"], self.decide(outputs)
        is_right, confidence = predicted == label, probabilities.max(axis=1)
        shares = {"accuracy": is_right}
        if len(self.classes) > 5:
            best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
            shares["top_5"] = (best == label[:, None]).any(axis=1)
        ids = range(len(self.classes))
        precision, recall, _, support = precision_recall_fscore_support(label, predicted, labels=ids, zero_division=0.0)
        counts = np.bincount(predicted, minlength=len(self.classes))
        details = {
            "confusion_matrix": confusion_matrix(label, predicted, labels=ids).tolist(),
            "per_class": [
                {"class": name, "precision": float(p), "recall": float(r), "examples": int(n), "predicted": int(k)}
                for name, p, r, n, k in zip(self.classes, precision, recall, support, counts, strict=True)
            ],
        }
        scores = {name: float(np.mean(right)) for name, right in shares.items()}
        score_of: dict[str, ScoreOf] = {name: mean_of(right) for name, right in shares.items()}
        if self.positive is not None:
            place = self.classes.index(self.positive)
            for name, (top, bottom) in positive_counts(label == place, predicted == place).items():
                score_of[name] = ratio_of(top, bottom)
                scores[name] = float(top.sum() / max(bottom.sum(), 1))
        captions = [
            f"{self.classes[d]} {p:.2f}" + ("" if d == t else f"\nis {self.classes[t]}")
            for d, t, p in zip(predicted, label, confidence, strict=True)
        ]
        return Evaluation(
            scores,
            targets,
            outputs,
            details,
            decisions=predicted,
            errors=np.where(is_right, 0.0, confidence),
            is_accuracy=True,
            captions=tuple(captions),
            shares=shares,
            score_of=score_of,
        )

    def baselines(self, train: Source, targets: Arrays) -> dict[str, Arrays]:
        counts = np.bincount(column(train, self.target.name), minlength=len(self.classes))
        shares = (counts / counts.sum()).astype(np.float32)
        return {"largest class": {"probabilities": np.tile(shares, (len(targets[self.target.name]), 1))}}

    def decide(self, outputs: Arrays) -> np.ndarray:
        return outputs["probabilities"].argmax(axis=1)

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        best = np.argsort(-outputs["probabilities"], axis=1, kind="stable")[:, :5]
        return [
            {
                "class": self.classes[order[0]],
                "probability": float(row[order[0]]),
                "next": {self.classes[i]: float(row[i]) for i in order[1:]},
            }
            for row, order in zip(outputs["probabilities"], best, strict=True)
        ]

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.outcomes import confused_pairs_figure, confusion_matrix_figure

        matrix = np.array(evaluation.details["confusion_matrix"])
        pairs = confused_pairs_figure(matrix, self.classes)
        figures = {"confusion_matrix": confusion_matrix_figure(matrix, self.classes)}
        return figures | ({"confused_pairs": pairs} if pairs else {})


def positive_counts(is_positive: np.ndarray, is_found: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the numerator and the denominator of F1, precision and recall of one class, by example (n,)."""
    right = 1.0 * (is_positive & is_found)
    return {
        "f1": (2 * right, 1.0 * is_positive + is_found),
        "precision": (right, 1.0 * is_found),
        "recall": (right, 1.0 * is_positive),
    }
