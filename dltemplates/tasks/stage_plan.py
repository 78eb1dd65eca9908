"""The stages of a training, as a task asks for them; the training builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dltemplates.features import Feature, Image
from dltemplates.settings import SGD

if TYPE_CHECKING:
    import keras

    from dltemplates.template import Template

ALGORITHMS = "dltemplates.training.algorithms"


@dataclass(frozen=True)
class StagePlan:
    """One stage of a training: an algorithm, and what it is trained on.

    Attributes:
        algorithm: A class derived from `Algorithm`, or where it is, `package.module:Class`: that is imported when the
            training begins.
        epochs: How many it lasts.
        options: Keyword arguments of the algorithm's `make`.
        name: The part of the network that it trains, which its figures are named after; empty for the whole network.
        only_labeled: Whether it uses only the examples whose label may be used (`train.labels`).
        optimizer: Stochastic gradient descent of its own, and its learning rate; None takes those of the template.
        environment: Makes the environment that the stage acts in; None where it is trained on a dataset.
        steps_per_epoch: Steps in an environment that make an epoch.
    """

    algorithm: Any
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    only_labeled: bool = False
    optimizer: tuple[SGD, float] | None = None
    environment: Callable[[], Any] | None = None
    steps_per_epoch: int = 0


def refuse_supervised_settings(template: Template) -> None:
    """Raise a `ValueError` for settings of `[train]` that only tasks with a target use."""
    given = {"class_weight": template.train.class_weight, "pretrain": template.train.pretrain}
    for name, value in given.items():
        if value not in ("none", None):
            raise ValueError(
                f"`train.{name}` is for tasks with a target. Received: {value!r} for task {template.task.name}. "
                "Leave it out."
            )


def layerwise_pretraining(model: keras.Model, inputs: tuple[Feature, ...], template: Template) -> list[StagePlan]:
    """Plan to train each restricted Boltzmann machine of a network by itself, the one next to the input first.

    Hinton, Osindero, Teh: "A Fast Learning Algorithm for Deep Belief Nets", Neural Computation 18, 2006.

    Args:
        model: The assembled model.
        inputs: Its inputs.
        template: What is trained; the plan is empty unless `train.pretrain` is set.

    Raises:
        ValueError: If the network has no such machine, or its input is no image.
    """
    settings = template.train.pretrain
    if settings is None:
        return []
    from dltemplates.layers import RestrictedBoltzmann

    machines = [layer for layer in model.get_layer(model.name).layers if isinstance(layer, RestrictedBoltzmann)]
    if not machines:
        raise ValueError(
            f"`train.pretrain` is for networks of restricted Boltzmann machines. Received: {model.name}, which has "
            "none. Leave it out, or take model `dbn`."
        )
    if not isinstance(inputs[0], Image):
        raise ValueError(
            "`train.pretrain` is for values between 0 and 1, such as pixels. Received: data whose inputs are "
            f"{', '.join(value.name for value in inputs)}. Leave it out, or choose images."
        )
    return [
        StagePlan(
            algorithm=f"{ALGORITHMS}.contrastive_divergence:ContrastiveDivergence",
            epochs=settings.epochs,
            options={
                "machine": machine.name,
                "gibbs_steps": settings.gibbs_steps,
                "weight_decay": settings.weight_decay,
                "turn": place,
            },
            name=machine.name,
            optimizer=(settings.optimizer, settings.learning_rate),
        )
        for place, machine in enumerate(machines)
    ]
