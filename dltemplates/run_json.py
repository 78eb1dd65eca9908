"""The content of `run.json`, the record of a run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from dltemplates.datasets.spec import DatasetSpec
from dltemplates.tasks.scoring.baselines import Baselines
from dltemplates.tasks.scoring.intervals import ScoreInterval, describe_score


class RunRecord(BaseModel):
    """The content of `run.json`: data, size, scores and state of a run.

    Attributes:
        format_version: Version of this record; see `upgrade.py`.
        state: `running`, `interrupted` (resumable) or `done`.
        spec: Spec of the training data.
        parameters: Number of weights and biases of the network.
        macs: Multiply-accumulate operations for one example.
        versions: Versions of Python and of the libraries.
        seed: The template's seed.
        best_epoch: Epoch of the kept weights; 0 before the first epoch ends.
        epochs: Number of trained epochs.
        seconds: Training time without interruptions.
        scores: Scores by split.
        intervals: The evidence behind each score, by split; empty in runs of earlier versions.
        baselines: Simple models on the same rows; None in runs of earlier versions.
        details: Other results of the task, by split.
        replaced: Image files that became unreadable during training, with the reasons. Other images replaced them.
        sha256: Digests of the files of the trained network.
    """

    model_config = ConfigDict(extra="forbid")

    format_version: Literal["2.1"] = "2.1"
    state: Literal["running", "interrupted", "done"] = "running"
    spec: DatasetSpec
    parameters: int
    macs: int
    versions: dict[str, str]
    seed: int
    best_epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    scores: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, ScoreInterval]] = {}
    baselines: Baselines | None = None
    details: dict[str, dict[str, Any]] = {}
    replaced: dict[str, str] = {}
    sha256: dict[str, str] = {}

    def describe_score(self, split: str, name: str) -> str:
        """Return a score with its evidence, such as `0.8750, 14 of 16, 0.64 to 0.97`."""
        return describe_score(self.scores[split][name], self.intervals.get(split, {}).get(name))
