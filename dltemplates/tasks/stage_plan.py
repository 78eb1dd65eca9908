"""The plan of a training's stages, from the task; the training builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dltemplates.features import Feature, Image
from dltemplates.settings import FRESH
from dltemplates.train_settings import SGD, Augment

if TYPE_CHECKING:
    import keras

    from dltemplates.template import Template

ALGORITHMS = "dltemplates.training.algorithms"


@dataclass(frozen=True)
class StagePlan:
    """One stage of a training: an algorithm and its settings.

    Attributes:
        algorithm: A class derived from `Algorithm`, or its path, `package.module:Class`, which is imported when the
            training begins.
        epochs: Number of epochs; None if the template has `train.steps`, which limits every stage.
        options: Keyword arguments of the algorithm's `make`.
        name: The part of the network to train, which prefixes its metrics; empty for the whole network.
        only_labeled: Whether it uses labeled examples alone (`train.num_labeled`).
        optimizer: SGD settings and learning rate of this stage; None for the template's optimizer.
        environment: Creates the environment that the stage acts in; None for a stage on a dataset.
        steps_per_epoch: Steps in the environment per epoch.
        part: The last layers to train, on features that the frozen layers before them compute once; None to train all
            layers.
        learning_rate: Learning rate at the start of this stage, which falls to 0 by half a cosine; None for the
            template's schedule.
    """

    algorithm: Any
    epochs: int | None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    only_labeled: bool = False
    optimizer: tuple[SGD, float] | None = None
    environment: Callable[[], Any] | None = None
    steps_per_epoch: int = 0
    part: Literal["head", "last_blocks"] | None = None
    learning_rate: float | None = None


def check_transfer(template: Template) -> None:
    """Raise a `ValueError` if the settings of frozen layers contradict each other or the initial weights."""
    train, weights = template.train, template.model.weights
    is_pretrained = weights != FRESH
    if train.finetune_epochs and not is_pretrained:
        raise ValueError(
            "`train.finetune_epochs` trains the last blocks of a pretrained network. Received: "
            f"{train.finetune_epochs} with model.weights = {weights}. Set model.weights to a run (or to imagenet), or "
            "leave train.finetune_epochs out."
        )
    if train.trainable == "head" and not is_pretrained:
        raise ValueError(
            "`train.trainable` = head trains the last layer of a pretrained network. Received: model.weights = "
            f"{weights}. Set model.weights to a run (or to imagenet), or try --set train.trainable=all."
        )
    if train.finetune_epochs and train.trainable != "head":
        raise ValueError(
            "`train.finetune_epochs` follows a training of the head. Received: "
            f"{train.finetune_epochs} with train.trainable = {train.trainable}. Add --set train.trainable=head, or "
            "leave train.finetune_epochs out."
        )
    if train.trainable == "head" and train.augment != Augment():
        raise ValueError(
            "`train.augment` changes images at every step, but frozen layers see each image once. Received: both "
            "train.augment and train.trainable = head. Remove train.augment, or try --set train.trainable=all."
        )
    if train.trainable == "head" and train.layerwise_pretrain is not None:
        raise ValueError(
            "`train.layerwise_pretrain` and `train.trainable` = head exclude each other. Received: both. Drop one."
        )


def refuse_supervised_settings(template: Template) -> None:
    """Raise a `ValueError` for settings of `[train]` that need a task with a target."""
    settings = {"class_weight": template.train.class_weight, "layerwise_pretrain": template.train.layerwise_pretrain}
    for name, value in settings.items():
        if value not in ("none", None):
            raise ValueError(
                f"`train.{name}` is for tasks with a target. Received: {value!r} for task {template.task.name}. "
                "Leave it out."
            )


def layerwise_pretraining(model: keras.Model, inputs: tuple[Feature, ...], template: Template) -> list[StagePlan]:
    """Plan greedy layer-wise pretraining: train each RBM on the output of those below it.

    Hinton, Osindero, Teh: "A Fast Learning Algorithm for Deep Belief Nets", Neural Computation 18, 2006.

    Args:
        model: The assembled model.
        inputs: Its inputs.
        template: Its template; the plan is empty unless `train.layerwise_pretrain` is set.

    Raises:
        ValueError: If the network has no RBM, or its input is not an image.
    """
    settings = template.train.layerwise_pretrain
    if settings is None:
        return []
    from dltemplates.layers import RestrictedBoltzmann

    machines = [layer for layer in model.get_layer(model.name).layers if isinstance(layer, RestrictedBoltzmann)]
    if not machines:
        raise ValueError(
            f"`train.layerwise_pretrain` is for networks of RBMs. Received: {model.name}, which has none. "
            "Leave it out, or choose model `dbn`."
        )
    if not isinstance(inputs[0], Image):
        raise ValueError(
            "`train.layerwise_pretrain` is for values between 0 and 1, such as pixels. Received: data whose inputs are "
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
                "rbm_index": index,
            },
            name=machine.name,
            optimizer=(settings.optimizer, settings.learning_rate),
        )
        for index, machine in enumerate(machines)
    ]
