"""The same output as Keras: how the parts of a network are judged that have no target of their own."""

from __future__ import annotations

from typing import Any

from dltemplates.datasets.spec import DatasetSpec, Value
from dltemplates.tasks.task import Arrays, Task


class Parity(Task):
    """Give what Keras gives. It judges exports of an encoder, a decoder, a generator; nothing is trained for it."""

    name = "parity"
    kind = "none"
    target_kinds = ()
    monitor = "val_loss"
    direction = "min"
    by_parity = True

    def __init__(self, targets: tuple[Value, ...] = ()):
        """Make the task; whatever the targets are, it does not look at them."""

    def serving(self, model: Any, spec: DatasetSpec, template: Any, *, name: str) -> dict[str, Any]:
        return {}  # what it judges was served by another task

    def sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        raise ValueError(
            "Task parity judges the parts of a network that was trained for another task. Received: a training for it. "
            "Choose another: `dlt list tasks`."
        )

    def score(self, targets: Arrays, outputs: Arrays) -> dict[str, float]:
        return {}
