"""Parity: compare an exported part with Keras only, since it has no target."""

from __future__ import annotations

from typing import Any

from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.tasks.stage_plan import StagePlan
from dltemplates.tasks.task import Arrays, Task


class Parity(Task):
    """Match Keras's output. For exports of an encoder, a decoder or a generator; no training uses it."""

    name = "parity"
    kind = "none"
    target_kinds = ()
    monitor = "val_loss"
    direction = "min"

    def __init__(self, spec: IOSpec | None = None):
        """Create the task; it uses no inputs and no targets."""

    def serve(self, model: Any, spec: DatasetSpec, template: Any, *, name: str) -> dict[str, Any]:
        return {}  # another task serves the part

    def stages(self, model: Any, template: Any) -> list[StagePlan]:
        return []  # no training uses it

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        raise ValueError(
            "Task parity is for the parts of a network trained for another task. Received: a training for parity. "
            "Choose another: `dlt list tasks`."
        )

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        return Evaluation({}, targets, outputs, is_gate=False)
