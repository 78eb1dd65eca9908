"""Anomaly detection: an autoencoder trained on normal examples reconstructs them well, and anomalies badly.

The score of an example is its mean squared reconstruction error. An example is an anomaly if its score is above the
threshold, a high quantile of the scores of normal validation examples. Sakurada, Yairi: "Anomaly Detection Using
Autoencoders with Nonlinear Dimensionality Reduction", MLSDA 2014, https://doi.org/10.1145/2689746.2689747.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dltemplates.datasets.names import same_as
from dltemplates.datasets.series.windows import LabeledWindowSource
from dltemplates.datasets.source import Dataset, Source, batches_of, column, join_batches, origin
from dltemplates.datasets.spec import DatasetSpec, IOSpec, reconstructs_input
from dltemplates.datasets.splitting.splits import Strata
from dltemplates.features import Binary, Feature, Number, classes_of, columns_of
from dltemplates.tasks.reconstruction import Reconstruction
from dltemplates.tasks.scoring import ranking
from dltemplates.tasks.scoring.anomaly_labels import TRUTH, LabeledSource, anomalies_of, check_both, normal_of
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.task import Arrays

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.serving.contract import ServingModel
    from dltemplates.template import Template

NORMAL = "normal"  # the normal class by default
EQUAL_TOLERANCE = 1e-3  # largest relative difference of scores that count as equal
THRESHOLD_MARGIN = 0.1  # relative distance of the threshold from the greatest score


class Anomaly(Reconstruction):
    """Detect anomalies after training on normal examples alone.

    The served model returns `score`, the mean squared reconstruction error on pixels in [0, 1] or on standardized
    numbers, and `decision`, 1 where the score is above the threshold; both float32 (batch,).
    """

    name = "anomaly"
    needs_target = True
    target_kinds = ("class",)
    direction = "max"
    parts = ()  # it serves only the whole network

    def __init__(
        self,
        spec: IOSpec,
        *,
        normal: str | int | None = None,
        anomalies: Literal["refuse", "drop", "keep"] = "refuse",
        quantile: float = 0.99,
    ):
        """Create the task.

        Args:
            spec: The data, with a class or an anomaly label for each example.
            normal: The normal class; by default the class named `normal`. All other classes are anomalies.
            anomalies: How to treat anomalies in the training split: `refuse` them with an error, `drop` them, or
                `keep` them if they are few.
            quantile: Share of the normal validation scores below the threshold; at least one score is above it, unless
                the greatest scores are equal.

        Raises:
            ValueError: If an option is out of range.
        """
        super().__init__(spec)
        self.truth = next((value for value in spec.targets if isinstance(value, Binary)), TRUTH)
        if isinstance(normal, bool) or not isinstance(normal, (str, int, type(None))):
            raise ValueError(f"`normal` must be the name of a class. Received: {normal!r}. Try task.normal=NAME.")
        self.normal = NORMAL if normal is None else str(normal)
        if anomalies not in ("refuse", "drop", "keep"):
            raise ValueError(f"`anomalies` must be refuse, drop or keep. Received: {anomalies!r}. Leave it out.")
        if not (isinstance(quantile, (int, float)) and not isinstance(quantile, bool) and 0 < quantile < 1):
            raise ValueError(f"`quantile` must be in (0, 1). Received: {quantile!r}. Try 0.99.")
        self.anomalies = anomalies
        self.quantile = float(quantile)

    @classmethod
    def targets_of(cls, spec: IOSpec) -> tuple[Feature, ...]:
        return spec.targets[:1] if reconstructs_input(spec) else spec.inputs[:1]

    def adapt(self, dataset: Dataset) -> Dataset:
        (value,) = super().adapt(dataset).spec.inputs
        label = dataset.spec.targets[0]
        normal = self._normal_of(label)
        splits = {split: LabeledSource(source, label.name, normal) for split, source in dataset.splits.items()}
        truth = TRUTH.model_copy(update={"columns": columns_of(label) or None})
        return Dataset(dataset.spec.model_copy(update={"targets": (value, truth)}), dict(splits))

    def strata(self, dataset: Dataset) -> Strata:
        label = dataset.spec.targets[0]
        is_anomaly = column(dataset.split("train"), label.name) != self._normal_of(label)
        return Strata(is_anomaly.astype(np.int64), (self.normal, "all others"))

    def _normal_of(self, label: Feature) -> int:
        """Return the id of the normal class."""
        classes = classes_of(label)
        normal = same_as(classes, [self.normal]).get(self.normal, self.normal)
        if normal not in classes:
            raise ValueError(
                f"Task anomaly needs the name of the normal class. Received: {self.normal!r} for classes "
                f"{', '.join(classes)}. Choose one: --set task.normal=CLASS."
            )
        return classes.index(normal)

    def prepare_train(self, split: Source) -> Source:
        if anomalies_of(split).all():
            raise ValueError("Task anomaly learns from normal examples. Received: none in train. Choose other data.")
        return normal_of(split) if self.anomalies == "drop" else split

    def check_splits(self, dataset: Dataset) -> None:
        labels = anomalies_of(dataset.split("train"))
        if self.anomalies == "refuse" and labels.any():
            raise ValueError(
                f"Task anomaly trains on normal examples alone. Received: {labels.sum()} anomalies among the "
                f"{len(labels)} of train. Drop them: --set task.anomalies=drop; or train on them too: "
                "--set task.anomalies=keep."
            )
        for split in ("validation", "test"):
            check_both(anomalies_of(dataset.split(split)), split)

    def monitor_subset(self, validation: Source) -> Source:
        return normal_of(validation)

    def calibrate(self, model: keras.Model, dataset: Dataset) -> DatasetSpec:
        scoring = self._scoring(model)
        normal = self.monitor_subset(dataset.split("validation"))
        parts = [np.asarray(scoring(arrays[self.target.name])) for arrays in batches_of(normal)]
        threshold = quantile_threshold(np.concatenate(parts), self.quantile)
        truth = self.truth.model_copy(update={"threshold": threshold})
        return dataset.spec.model_copy(update={"targets": (self.target, truth)})

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        import keras

        from dltemplates.tasks.assemble import make_contract
        from dltemplates.tasks.serving.contract import ServingModel

        if self.truth.threshold is None:
            raise ValueError(
                f"The threshold is fitted when training ends. Received: {name}, whose training has not ended. "
                "Resume it: `dlt train ... --resume`."
            )
        scores = self._scoring(model).output
        decision = keras.ops.cast(scores > self.truth.threshold, "float32")
        served = keras.Model(model.input, {"score": scores, "decision": decision}, name=model.name)
        return {"": ServingModel(served, make_contract(spec, template, self.outputs(), name=name))}

    def _scoring(self, model: keras.Model) -> keras.Model:
        """Return the model from raw inputs to scores (batch,)."""
        import keras

        from dltemplates.tasks.assemble import PREPROCESSING

        output = keras.layers.Activation("sigmoid", dtype="float32")(model.output) if self.is_image else model.output
        inputs = model.get_layer(PREPROCESSING).output
        error = keras.layers.Flatten()(keras.layers.Subtract(dtype="float32")([inputs, output]))
        # A dot product, not the mean of squares: in 8 bits the squares of small errors would all be 0.
        summed = keras.layers.Dot(axes=1, dtype="float32")([error, error])  # (batch, 1)
        mean = keras.layers.Rescaling(1 / error.shape[-1], dtype="float32")(summed)
        return keras.Model(model.input, keras.layers.Reshape((), name="score")(mean))

    def outputs(self) -> tuple[Number, Binary]:
        """Return the presented outputs."""
        score = Number(name="score", dtype="float32", shape=())
        return score, self.truth.model_copy(update={"name": "decision", "dtype": "float32"})

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score all outputs together, since a ranking needs them all; of the targets, keep only the anomaly labels."""
        batches = [({TRUTH.name: targets[TRUTH.name]}, outputs) for targets, outputs in system.whole.batches(source)]
        labels, outputs = zip(*batches, strict=True)
        evaluation = self.compare(join_batches(labels), join_batches(outputs))
        base, positions = origin(source)
        if isinstance(base, LabeledWindowSource):  # windows that overlap in time form one unit
            evaluation = replace(evaluation, units=base.starts[positions] // base.need)
        return evaluation

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

        truth, score, decisions = targets[TRUTH.name], outputs["score"], self.decide(outputs)
        check_both(truth, "the split")
        scores = {
            "roc_auc": float(roc_auc_score(truth, score)),
            "pr_auc": float(average_precision_score(truth, score)),
            "precision": float(precision_score(truth, decisions, zero_division=0.0)),
            "recall": float(recall_score(truth, decisions)),
        }
        details = {
            "threshold": self.truth.threshold,
            "normal": int((truth == 0).sum()),
            "anomalies": int(truth.sum()),
            "found": int((decisions & truth).sum()),
            "false_alarms": int((decisions & (1 - truth)).sum()),
        }

        found, flagged = decisions * truth, decisions == 1
        return Evaluation(
            scores,
            targets,
            outputs,
            details,
            decisions=decisions,
            errors=(decisions != truth) * score,
            captions=tuple(f"{each:.3g}" for each in score),
            shares={"precision": found[flagged] == 1, "recall": found[truth == 1] == 1},
            score_of={
                "roc_auc": lambda weights: ranking.roc_auc(truth, score, weights),
                "pr_auc": lambda weights: ranking.average_precision(truth, score, weights),
                "precision": lambda weights: (weights @ found) / np.maximum(weights @ decisions, 1),
                "recall": lambda weights: (weights @ found) / np.maximum(weights @ truth, 1),
            },
        )

    def decide(self, outputs: Arrays) -> np.ndarray:
        return (outputs["decision"] > 0.5).astype(np.int64)

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [
            {"decision": "anomaly" if decision else "normal", "score": float(score), "threshold": self.truth.threshold}
            for score, decision in zip(outputs["score"], self.decide(outputs), strict=True)
        ]

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.anomaly import histogram_figure, roc_figure, timeline_figure

        truth, score = evaluation.targets[TRUTH.name], evaluation.outputs["score"]
        threshold = self.truth.threshold or 0.0
        return {
            "scores": histogram_figure(truth, score, threshold),
            "roc": roc_figure(truth, score, threshold),
            "timeline": timeline_figure(truth, score, threshold),
        }


def quantile_threshold(scores: np.ndarray, quantile: float) -> float:
    """Return the midpoint between the score at a quantile and the next greater one: rounding moves no score across it.

    Scores that differ by less than `EQUAL_TOLERANCE` count as equal, as for repeated rows. If no score is greater, the
    threshold is `THRESHOLD_MARGIN` above the score at the quantile.
    """
    ordered = np.sort(scores.astype(np.float64))
    score = ordered[int(quantile * (len(ordered) - 1))]
    above = ordered > score * (1 + EQUAL_TOLERANCE)
    return float((ordered[~above][-1] + ordered[above][0]) / 2 if above.any() else score * (1 + THRESHOLD_MARGIN))
