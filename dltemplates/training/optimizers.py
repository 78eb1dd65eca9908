"""The optimizers and learning-rate schedules of templates."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from dltemplates.compat import slot_of
from dltemplates.train_settings import SGD, Constant, Cosine, OneCycle, Schedule, Step, TrainSettings, rate_of

OPTIMIZERS = {
    "adagrad": keras.optimizers.Adagrad,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}


def make_optimizer(settings: TrainSettings, *, steps: int, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Build the optimizer with its learning-rate schedule.

    Args:
        settings: The template's `[train]`.
        steps: Steps of the whole training.
        steps_per_epoch: Steps in one pass over the training split.
    """
    schedule = make_schedule(settings.learning_rate, steps=steps, steps_per_epoch=steps_per_epoch)
    if isinstance(settings.optimizer, SGD):
        return make_sgd(settings.optimizer, schedule, steps_per_epoch=steps_per_epoch, clip_norm=settings.clip_norm)
    options = settings.optimizer.model_dump(exclude={"name"})
    return OPTIMIZERS[settings.optimizer.name](schedule, global_clipnorm=settings.clip_norm, **options)


def make_sgd(
    settings: SGD, learning_rate: Any, *, steps_per_epoch: int, clip_norm: float | None = None
) -> keras.optimizers.SGD:
    """Build stochastic gradient descent.

    Args:
        settings: The momentum settings.
        learning_rate: A number, or a Keras schedule.
        steps_per_epoch: Steps in one pass over the training split.
        clip_norm: As in the template's `[train]`.
    """
    if settings.initial_momentum is None:
        options = {"momentum": settings.momentum, "nesterov": settings.nesterov}
        return keras.optimizers.SGD(learning_rate, global_clipnorm=clip_norm, **options)
    steps = settings.initial_epochs * steps_per_epoch
    return RisingMomentum(
        learning_rate, settings.initial_momentum, steps, momentum=settings.momentum, global_clipnorm=clip_norm
    )


def make_schedule(settings: Schedule, *, steps: int, steps_per_epoch: int):
    """Build a learning rate: a number, or a Keras schedule over all steps of the training.

    Raises:
        ValueError: If the schedule has no rate yet.
    """
    rate = rate_of(settings)
    if rate is None:
        raise ValueError(f"A schedule needs its learning rate. Received: {settings}. `resolve` sets the usual one.")
    schedules = keras.optimizers.schedules
    match settings:
        case Constant():
            return rate
        case Step():
            boundaries = [epoch * steps_per_epoch for epoch in settings.at]
            values = [rate * settings.factor**power for power in range(len(settings.at) + 1)]
            return schedules.PiecewiseConstantDecay(boundaries, values)
        case Cosine():
            warmup = min(round(settings.warmup_epochs * steps_per_epoch), steps - 1)
            return schedules.CosineDecay(
                0.0 if warmup else rate,
                decay_steps=steps - warmup,
                alpha=settings.final / rate,
                warmup_target=rate if warmup else None,
                warmup_steps=warmup,
            )
        case OneCycle():
            return OneCycleSchedule(rate, steps, settings.warmup)


class RisingMomentum(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum `initial` for the first `steps`, then `momentum`.

    Hinton: "A Practical Guide to Training Restricted Boltzmann Machines", 2010, section 9.
    """

    def __init__(self, learning_rate: Any, initial: float, steps: int, **options: Any):
        super().__init__(learning_rate, **options)
        self.initial, self.steps = initial, steps

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.momentums[slot_of(self, variable)]
        momentum = ops.where(self.iterations < self.steps, self.initial, self.momentum)
        update = ops.cast(momentum, variable.dtype) * velocity - ops.cast(learning_rate * gradient, variable.dtype)
        self.assign(velocity, update)
        self.assign_add(variable, update)


class OneCycleSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise from `peak / 25` to `peak` over the share `warmup` of `steps`, then cosine decay to `peak / 10,000`.

    Smith 2018, "Super-Convergence", https://arxiv.org/abs/1708.07120, with cosine annealing, as is common today.
    """

    def __init__(self, peak: float, steps: int, warmup: float):
        super().__init__()
        self.peak, self.steps, self.warmup = peak, steps, warmup

    def __call__(self, step):
        progress = ops.cast(step, "float32") / self.steps  # 0 at the first step, 1 after the last
        rising = self.peak * (1 / 25 + (1 - 1 / 25) * progress / max(self.warmup, 1e-7))
        decay = ops.clip((progress - self.warmup) / (1 - self.warmup), 0, 1)
        falling = self.peak * (1e-4 + (1 - 1e-4) * (1 + ops.cos(math.pi * decay)) / 2)
        return ops.where(progress < self.warmup, rising, falling)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}
