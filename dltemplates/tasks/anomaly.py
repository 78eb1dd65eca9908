"""Telling what is not as usual: an autoencoder of normal examples gives those back, and others badly.

The score of an example is its mean squared reconstruction error. Above the threshold, a high quantile of the scores of
normal validation examples, it is decided to be an anomaly. Sakurada, Yairi: "Anomaly Detection Using Autoencoders
with Nonlinear Dimensionality Reduction", MLSDA 2014, https://doi.org/10.1145/2689746.2689747.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dltemplates.datasets.source import Dataset, Source, batches_of, column, join_batches
from dltemplates.datasets.spec import DatasetSpec, IOSpec, gives_back
from dltemplates.datasets.splits import Strata
from dltemplates.features import Binary, Feature, Number, classes_of, columns_of
from dltemplates.tasks.reconstruction import Reconstruction
from dltemplates.tasks.scoring.anomaly_labels import TRUTH, MarkedSource, anomalies_of, check_both, normal_of
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.task import Arrays

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.serving.contract import ServingModel
    from dltemplates.template import Template

NORMAL = "normal"  # the class that is, unless the task says otherwise
SAME, MARGIN = 1e-3, 0.1  # of a score


class Anomaly(Reconstruction):
    """Tell normal examples from others, having learned from normal ones alone.

    The served model gives `score`, the mean squared error of the reconstruction, of pixels between 0 and 1 or of
    numbers in deviations, and `decision`, 1 where the score is above the threshold; both float32 (batch,).
    """

    name = "anomaly"
    needs_target = True
    target_kinds = ("class",)
    direction = "max"
    parts = ()  # it serves the whole alone

    def __init__(
        self,
        spec: IOSpec,
        *,
        normal: str | int | None = None,
        anomalies: Literal["refuse", "drop", "keep"] = "refuse",
        quantile: float = 0.99,
    ):
        """Make the task.

        Args:
            spec: The data, with a class for each example, or a mark of anomalies.
            normal: The class that is normal; by default the one of that name. All others are anomalies.
            anomalies: What becomes of anomalies among the examples to train on: `refuse` them, as normal ones alone are
                to be learned from; `drop` them; or `keep` them, where they are few.
            quantile: Share of the normal validation examples whose score is to be below the threshold; of the few that
                there are one at least is above it, unless the greatest scores are the same.

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
        return spec.targets[:1] if gives_back(spec) else spec.inputs[:1]

    def adapt(self, dataset: Dataset) -> Dataset:
        (value,) = super().adapt(dataset).spec.inputs
        label = dataset.spec.targets[0]
        normal = self._normal_of(label)
        splits = {split: MarkedSource(source, label.name, normal) for split, source in dataset.splits.items()}
        truth = TRUTH.model_copy(update={"columns": columns_of(label) or None})
        return Dataset(dataset.spec.model_copy(update={"targets": (value, truth)}), dict(splits))

    def strata(self, dataset: Dataset) -> Strata:
        label = dataset.spec.targets[0]
        marks = column(dataset.split("train"), label.name) != self._normal_of(label)
        return Strata(marks.astype(np.int64), (self.normal, "all others"))

    def _normal_of(self, label: Feature) -> int:
        """The id of the normal class."""
        classes = classes_of(label)
        if self.normal not in classes:
            raise ValueError(
                f"Task anomaly must know which class is normal. Received: {self.normal!r} for classes "
                f"{', '.join(classes)}. Say which: --set task.normal=CLASS."
            )
        return classes.index(self.normal)

    def prepare_train(self, split: Source) -> Source:
        if anomalies_of(split).all():
            raise ValueError("Task anomaly learns from normal examples. Received: none in train. Choose other data.")
        return normal_of(split) if self.anomalies == "drop" else split

    def check_splits(self, dataset: Dataset) -> None:
        marks = anomalies_of(dataset.split("train"))
        if self.anomalies == "refuse" and marks.any():
            raise ValueError(
                f"Task anomaly trains on normal examples alone. Received: {marks.sum()} anomalies among the "
                f"{len(marks)} of train. Leave them out: --set task.anomalies=drop; or train on them too: "
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
                f"The threshold is fitted when training ends. Received: {name}, whose training did not. "
                "Go on with `dlt train ... --resume`."
            )
        scores = self._scoring(model).output
        decision = keras.ops.cast(scores > self.truth.threshold, "float32")
        served = keras.Model(model.input, {"score": scores, "decision": decision}, name=model.name)
        return {"": ServingModel(served, make_contract(spec, template, self.outputs(), name=name))}

    def _scoring(self, model: keras.Model) -> keras.Model:
        """From raw inputs to scores (batch,)."""
        import keras

        from dltemplates.tasks.assemble import PREPROCESSING

        made = keras.layers.Activation("sigmoid", dtype="float32")(model.output) if self.is_image else model.output
        given = model.get_layer(PREPROCESSING).output
        error = keras.layers.Flatten()(keras.layers.Subtract(dtype="float32")([given, made]))
        # A product of two vectors, not the mean of squares: in 8 bits the squares of small errors would all be 0.
        summed = keras.layers.Dot(axes=1, dtype="float32")([error, error])  # (batch, 1)
        mean = keras.layers.Rescaling(1 / error.shape[-1], dtype="float32")(summed)
        return keras.Model(model.input, keras.layers.Reshape((), name="score")(mean))

    def outputs(self) -> tuple[Number, Binary]:
        """The presented outputs."""
        score = Number(name="score", dtype="float32", shape=())
        return score, self.truth.model_copy(update={"name": "decision", "dtype": "float32"})

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score all outputs together, as a ranking needs them all; of the targets the marks alone are kept."""
        batches = [({TRUTH.name: given[TRUTH.name]}, outputs) for given, outputs in system.whole.batches(source)]
        targets, outputs = zip(*batches, strict=True)
        return self.compare(join_batches(targets), join_batches(outputs))

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

        truth, score, decided = targets[TRUTH.name], outputs["score"], self.decide(outputs)
        check_both(truth, "the split")
        scores = {
            "roc_auc": float(roc_auc_score(truth, score)),
            "pr_auc": float(average_precision_score(truth, score)),
            "precision": float(precision_score(truth, decided, zero_division=0.0)),
            "recall": float(recall_score(truth, decided)),
        }
        details = {
            "threshold": self.truth.threshold,
            "normal": int((truth == 0).sum()),
            "anomalies": int(truth.sum()),
            "found": int((decided & truth).sum()),
            "false_alarms": int((decided & (1 - truth)).sum()),
        }

        def roc_auc(rows: np.ndarray) -> float:
            drawn = truth[rows]
            return float(roc_auc_score(drawn, score[rows])) if 0 < drawn.sum() < len(drawn) else float("nan")

        return Evaluation(
            scores,
            targets,
            outputs,
            details,
            decisions=decided,
            errors=(decided != truth) * score,
            captions=tuple(f"{each:.3g}" for each in score),
            score_of=roc_auc,
        )

    def decide(self, outputs: Arrays) -> np.ndarray:
        return (outputs["decision"] > 0.5).astype(np.int64)

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        return [
            {"decision": "anomaly" if decided else "normal", "score": float(score), "threshold": self.truth.threshold}
            for score, decided in zip(outputs["score"], self.decide(outputs), strict=True)
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
    """The middle of the score at a quantile and the next greater one, so that rounding decides of neither.

    Scores that are within `SAME` of it count as the same, as of rows that come again; where none is greater, the
    threshold is `MARGIN` above it.
    """
    ordered = np.sort(scores.astype(np.float64))
    score = ordered[int(quantile * (len(ordered) - 1))]
    above = ordered > score * (1 + SAME)
    return float((ordered[~above][-1] + ordered[above][0]) / 2 if above.any() else score * (1 + MARGIN))
