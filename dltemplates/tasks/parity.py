"""The same output as Keras: how the parts of a network are judged that have no target of their own."""

from __future__ import annotations

from typing import Any

from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.tasks.stage_plan import StagePlan
from dltemplates.tasks.task import Arrays, Task


class Parity(Task):
    """Give what Keras gives. It judges exports of an encoder, a decoder, a generator; nothing is trained for it."""

    name = "parity"
    kind = "none"
    target_kinds = ()
    monitor = "val_loss"
    direction = "min"

    def __init__(self, spec: IOSpec | None = None):
        """Make the task; it uses no inputs and no targets."""

    def serve(self, model: Any, spec: DatasetSpec, template: Any, *, name: str) -> dict[str, Any]:
        return {}  # what it judges was served by another task

    def stages(self, model: Any, template: Any) -> list[StagePlan]:
        return []  # nothing is trained for it

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        raise ValueError(
            "Task parity judges the parts of a network that was trained for another task. Received: a training for it. "
            "Choose another: `dlt list tasks`."
        )

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        return Evaluation({}, targets, outputs, is_gate=False)
