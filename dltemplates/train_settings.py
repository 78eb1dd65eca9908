"""The settings of training: optimizers, schedules of the learning rate, augmentation, and pretraining."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, field_validator, model_validator

from dltemplates.settings import (
    Count,
    OpenShare,
    SettingsTable,
    Whole,
    name_or_table,
    none_or_table,
)

Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class SGD(SettingsTable):
    """Stochastic gradient descent with momentum (Polyak 1964) or Nesterov momentum (Sutskever 2013).

    Attributes:
        momentum: Share of the last step that is added to the next one; 0 for none.
        nesterov: Use Nesterov momentum.
        initial_momentum: Lower momentum for the first `initial_epochs` epochs, while steps are large (Hinton 2010,
            section 9).
        initial_epochs: Number of epochs with `initial_momentum`.
    """

    name: Literal["sgd"] = "sgd"
    momentum: Share = 0.0
    nesterov: StrictBool = False
    initial_momentum: Share | None = None
    initial_epochs: Count = 5

    @model_validator(mode="after")
    def _check_momentum(self) -> SGD:
        if self.initial_momentum is not None and (self.nesterov or self.initial_momentum >= self.momentum):
            raise ValueError(
                "`initial_momentum` must be below `momentum`, and `nesterov` must be false. Received: "
                f"{self.initial_momentum}, momentum {self.momentum}, nesterov {self.nesterov}. Try 0.5 below 0.9."
            )
        return self


class Adagrad(SettingsTable):
    """Adagrad (Duchi 2011).

    Attributes:
        initial_accumulator_value: First value of each weight's sum of squared gradients.
        epsilon: Small number that keeps the divisor above 0.
    """

    name: Literal["adagrad"]
    initial_accumulator_value: NonNegative = 0.1
    epsilon: Positive = 1e-7


class RMSprop(SettingsTable):
    """RMSprop (Hinton 2012).

    Attributes:
        rho: Decay of the mean of squared gradients.
        momentum: Share of the last step that is added to the next one; 0 for none.
        epsilon: Small number that keeps the divisor above 0.
    """

    name: Literal["rmsprop"]
    rho: Share = 0.9
    momentum: Share = 0.0
    epsilon: Positive = 1e-7


class _AdamSettings(SettingsTable):
    """Settings of Adam and its variants.

    Attributes:
        beta_1: Decay of the mean of gradients.
        beta_2: Decay of the mean of squared gradients.
        epsilon: Small number that keeps the divisor above 0.
    """

    name: str
    beta_1: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Positive = 1e-7


class Adam(_AdamSettings):
    """Adam (Kingma 2015)."""

    name: Literal["adam"]


class AdamW(_AdamSettings):
    """Adam with decoupled weight decay (Loshchilov 2019); its `weight_decay` is not an L2 penalty.

    Attributes:
        weight_decay: Share of each weight that a step removes, times the learning rate.
    """

    name: Literal["adamw"]
    weight_decay: NonNegative = 0.004


class Constant(SettingsTable):
    """A constant learning rate.

    Attributes:
        value: The learning rate; by default the usual one of the optimizer.
    """

    name: Literal["constant"]
    value: Positive | None = None


class Cosine(SettingsTable):
    """A linear warm-up to `peak`, then half a cosine down to `final` (Loshchilov 2017).

    Attributes:
        peak: Highest learning rate; by default the usual one of the optimizer.
        warmup_epochs: Number of epochs from 0 up to `peak`.
        final: Learning rate at the end; without `peak`, as a share of it.
    """

    name: Literal["cosine"]
    peak: Positive | None = None
    warmup_epochs: NonNegative = 0.0
    final: NonNegative = 0.0

    @model_validator(mode="after")
    def _check_final(self) -> Cosine:
        if self.final > (peak := self.peak or 1.0):
            raise ValueError(f"`final` must be at most `peak`. Received: {self.final} over {peak}.")
        return self


class OneCycle(SettingsTable):
    """A linear warm-up from `peak / 25` to `peak` over `warmup` of all steps, then a cosine to about 0 (Smith 2018).

    Attributes:
        peak: Highest learning rate; by default the usual one of the optimizer.
        warmup: Share of all steps in the warm-up.
    """

    name: Literal["one_cycle"]
    peak: Positive | None = None
    warmup: Share = 0.3


class Step(SettingsTable):
    """A learning rate `value`, multiplied by `factor` at each epoch in `at` (He 2016 section 4.2).

    Attributes:
        value: Learning rate of the first epoch; by default the usual one of the optimizer.
        at: Epochs at which it changes.
        factor: Factor of the learning rate at each epoch in `at`.
    """

    name: Literal["step"]
    value: Positive | None = None
    at: Annotated[tuple[Count, ...], Field(min_length=1)]
    factor: Positive = 0.1

    @field_validator("at")
    @classmethod
    def _check_order(cls, at: tuple[int, ...]) -> tuple[int, ...]:
        if list(at) != sorted(set(at)):
            raise ValueError(f"epochs must increase. Received: {list(at)}. Try {sorted(set(at))}.")
        return at


Schedule = Constant | Cosine | OneCycle | Step


def rate_of(schedule: Schedule) -> float | None:
    """Return the learning rate that a schedule starts from or rises to; None for the optimizer's usual one."""
    return schedule.value if isinstance(schedule, Constant | Step) else schedule.peak


class RandAugment(SettingsTable):
    """RandAugment: random operations out of 14, drawn for each image (Cubuk 2020).

    Attributes:
        operations: Number of operations applied in a row; the paper's N.
        magnitude: Strength from 0 (hardly any change) to 10; the paper's M.
    """

    operations: Count = 2
    magnitude: Annotated[float, Field(ge=0, le=10, strict=True)] = 9.0


class Augment(SettingsTable):
    """Random augmentation of the training images, applied in this order.

    Attributes:
        random_crop: Resize to `dataset.images.size` divided by this share, then crop that size at a random position.
            For size 224, 0.875 resizes to 256. Other splits use the whole image.
        flip: Flip images left to right, with probability 1/2.
        crop_padding: Pad with this many black pixels, then crop back at a random position.
        randaugment: Random operations out of 14; `{}` applies 2 of magnitude 9.
        rotation: Largest rotation in degrees, in both directions.
        brightness: Largest change of brightness, up or down, as a share of 255.
        contrast: Largest change of contrast, up or down: scale around the image's mean by 1 plus or minus this share.
        cutout: Side in pixels of a black square at a random position (DeVries 2017); 0 for none.
        mixup: Mix pairs of images and their targets, with a weight drawn from Beta(mixup, mixup) (Zhang 2018); 0 for
            none.
        cutmix: Paste a box of one image into another, with an area drawn from Beta(cutmix, cutmix) (Yun 2019); 0 for
            none. If `mixup` is set too, each pair uses one of the two.
    """

    random_crop: OpenShare | None = None
    flip: StrictBool = False
    crop_padding: Whole = 0
    randaugment: RandAugment | None = None
    rotation: Annotated[float, Field(ge=0, le=180, strict=True)] = 0.0
    brightness: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    contrast: Share = 0.0
    cutout: Whole = 0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0


class LayerwisePretrain(SettingsTable):
    """Greedy layer-wise pretraining: train each RBM on the output of those below, then fine-tune the whole network.

    Attributes:
        epochs: Number of epochs for each RBM.
        learning_rate: Learning rate of stochastic gradient descent.
        optimizer: Momentum of stochastic gradient descent.
        weight_decay: L2 penalty on the RBM's weights: weight_decay / 2 times their squared norm.
        gibbs_steps: Number of Gibbs steps in contrastive divergence; the k of CD-k.
    """

    epochs: Count = 10
    learning_rate: Positive = 0.1
    optimizer: SGD = SGD(momentum=0.9, initial_momentum=0.5)
    weight_decay: NonNegative = 2e-4
    gibbs_steps: Annotated[int, Field(ge=1, le=25, strict=True)] = 1


def number_or_table(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"name": "constant", "value": value} if is_number else name_or_table(value)


class TrainSettings(SettingsTable):
    """Settings of training.

    Attributes:
        epochs: Number of passes over the training split, unless `steps` is set.
        steps: Number of optimizer steps, in place of `epochs`, so that short and long tables train equally long. A
            training with several stages takes at most this many in each. Validation follows after each epoch, but
            after 100 steps or more.
        trainable: `all` layers; or the `head` alone, which is the last layer, on features that the pretrained layers
            compute once from each example, without augmentation.
        finetune_epochs: Number of passes after the training of the head in which the last blocks are trained, too.
            Batch normalization keeps its pretrained statistics.
        finetune_learning_rate: Learning rate at the start of fine-tuning; it falls to 0 by half a cosine.
        batch_size: Number of examples per step.
        optimizer: `sgd`, `adagrad`, `rmsprop`, `adam` or `adamw`, with its options.
        learning_rate: A number, or a schedule: `constant`, `cosine`, `one_cycle` or `step`. Another optimizer than the
            template's, without a learning rate, keeps the schedule and starts from its own usual rate.
        weight_decay: L2 penalty: weight_decay / 2 times the squared norm of each kernel is added to the loss. Its
            gradient is weight_decay times the kernel, as in the papers.
        auxiliary_weight: Weight of each auxiliary classifier in the loss (Szegedy 2015: 0.3).
        clip_norm: Largest norm of the gradients, over all variables; greater ones are scaled down. `none` does not
            clip.
        precision: Number type of the computation: `float32`, `mixed_bfloat16`, `mixed_float16` (with a loss scale), or
            `auto`: mixed_bfloat16 on GPUs that support it, else float32. Exports are float32.
        class_weight: `balanced` weights each class by the inverse of its frequency.
        augment: Random augmentation of the training images.
        layerwise_pretrain: Greedy layer-wise pretraining of the network's RBMs, or `none`. It has its own `epochs`.
        num_labeled: Number of training examples used with their labels, drawn by `dataset.split_seed`. The others are
            used only in `layerwise_pretrain`. `none` uses all labels.
        restore: Weights to keep: `best`, of the epoch with the best validation result, or `last`, for convex losses
            that converge.
        monitor: Validation result that chooses the best epoch and stops early: the `metric` of the task, such as
            accuracy, or the `loss`, which says more on few examples.
        early_stopping: Stop after this many validations without improvement of the monitored metric; without `steps`
            there is one each epoch. `none` does not stop.
        deterministic: Produce the same bits in every run on the same machine. If false, XLA compiles steps on a GPU.
        checkpoint_seconds: Least seconds between two checkpoints; 0 writes one after every step. If writing takes more
            than 2% of that time, checkpoints are written less often.
        checkpoints: Number of newest checkpoints to keep. A broken one is skipped on resuming.
    """

    epochs: Count | None = 20
    steps: Count | None = None
    trainable: Literal["all", "head"] = "all"
    finetune_epochs: Whole = 0
    finetune_learning_rate: Positive = 1e-4
    batch_size: Count = 64
    optimizer: Annotated[
        SGD | Adagrad | RMSprop | Adam | AdamW, Field(discriminator="name"), BeforeValidator(name_or_table)
    ] = Adam(name="adam")
    learning_rate: Annotated[
        Constant | Cosine | OneCycle | Step, Field(discriminator="name"), BeforeValidator(number_or_table)
    ] = Constant(name="constant", value=1e-3)
    weight_decay: NonNegative = 0.0
    auxiliary_weight: NonNegative = 0.3
    clip_norm: Positive | None = None
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    class_weight: Literal["none", "balanced"] = "none"
    augment: Augment = Augment()
    layerwise_pretrain: Annotated[LayerwisePretrain | None, BeforeValidator(none_or_table)] = None
    num_labeled: Count | None = None
    restore: Literal["best", "last"] = "best"
    monitor: Literal["metric", "loss"] = "metric"
    early_stopping: Count | None = None
    deterministic: StrictBool = True
    checkpoint_seconds: NonNegative = 60.0
    checkpoints: Count = 2

    @model_validator(mode="before")
    @classmethod
    def _check_length(cls, table: Any) -> Any:
        """Set `epochs` to None where `steps` is set."""
        if not isinstance(table, dict) or table.get("steps") in (None, "none"):
            return table
        if table.get("epochs") not in (None, "none"):
            raise ValueError(
                f"`epochs` and `steps` exclude each other. Received: epochs {table['epochs']!r} and steps "
                f"{table['steps']!r}. Drop one."
            )
        return table | {"epochs": None}

    @model_validator(mode="after")
    def _check_one_length(self) -> TrainSettings:
        if self.epochs is None and self.steps is None:
            raise ValueError("A training needs `epochs` or `steps`. Received: neither. Try --set train.epochs=20.")
        return self

    @model_validator(mode="after")
    def _check_restore(self) -> TrainSettings:
        if self.early_stopping is not None and self.restore == "last":
            raise ValueError(
                "`early_stopping` needs `restore` = best. Received: "
                f"early_stopping {self.early_stopping} and restore {self.restore!r}. Drop one."
            )
        return self
