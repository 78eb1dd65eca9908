"""The same output as Keras: how the parts of a network are judged that have no target of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from dltemplates.datasets.spec import DatasetSpec, Value
from dltemplates.tasks.task import Arrays, Task


class Parity(Task):
    """Give what Keras gives. It judges exports of an encoder, a decoder, a generator; nothing is trained for it."""

    name = "parity"
    kind = "none"
    monitor = "val_loss"
    direction = "min"
    by_parity = True

    def __init__(self, targets: tuple[Value, ...] = ()):
        """Make the task; whatever the targets are, it does not look at them."""

    def sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        raise _no_training()

    def loss(self):
        raise _no_training()

    def metrics(self):
        raise _no_training()

    def present(self, logits: Any) -> Any:
        raise _no_training()

    def output(self) -> Value:
        raise _no_training()

    def score(self, targets: Arrays, outputs: Arrays) -> dict[str, float]:
        return {}

    def decide(self, outputs: Arrays) -> None:
        return None

    def show(self, outputs: Arrays) -> list[dict[str, Any]]:
        count = len(next(iter(outputs.values())))
        return [{name: array[index].tolist() for name, array in outputs.items()} for index in range(count)]

    def captions(self, targets: Arrays, outputs: Arrays) -> tuple[list[str], np.ndarray]:
        count = len(next(iter(outputs.values())))
        return [""] * count, np.zeros(count)


def _no_training() -> ValueError:
    return ValueError(
        "Task parity judges the parts of a network that was trained for another task. Received: a training for it. "
        "Choose another: `dlt list tasks`."
    )
