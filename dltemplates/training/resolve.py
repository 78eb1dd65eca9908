"""Values of a template that follow from its data and its network: targets, season, and usual learning rate."""

from __future__ import annotations

from typing import Any

import keras

from dltemplates.compat import flatten_layers
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import target_columns
from dltemplates.features import History
from dltemplates.settings import ALL_COLUMNS
from dltemplates.template import Template
from dltemplates.train_settings import SGD, Constant, Cosine, Schedule, Step, TrainSettings, rate_of

USUAL_RATES = {"sgd": 0.01, "adagrad": 0.01, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3}
NORMALIZED_SGD_RATE = 0.1  # of sgd without momentum, in a network with batch normalization


def resolve(template: Template, dataset: Dataset, network: keras.Model) -> Template:
    """Return the template with the columns to predict, the season and the learning rate, where it leaves them open."""
    season = next((value.shape[0] for value in dataset.spec.targets if isinstance(value, History)), None)
    return _filled(template, target_columns(dataset.spec), season, usual_rate(template.train, network))


def filled_from(template: Template, resolved: Template) -> Template:
    """Return the template with the values of a run's own, where it leaves them open."""
    season = resolved.dataset.of_series().season_length
    return _filled(template, resolved.dataset.targets, season, rate_of(resolved.train.learning_rate))


def _filled(template: Template, targets: tuple[str, ...], season: int | None, rate: float | None) -> Template:
    dataset, train = template.dataset, template.train
    if dataset.series is not None and dataset.series.season_length is None and season is not None:
        series = dataset.series.model_copy(update={"season_length": season})
        dataset = dataset.model_copy(update={"series": series})
    if dataset.target in (None, ALL_COLUMNS) and targets:
        dataset = dataset.model_copy(update={"target": targets if len(targets) > 1 else targets[0]})
    if rate_of(train.learning_rate) is None and rate is not None:
        train = train.model_copy(update={"learning_rate": _with_rate(train.learning_rate, rate)})
    return template.model_copy(update={"dataset": dataset, "train": train})


def usual_rate(settings: TrainSettings, network: keras.Model) -> float:
    """Return the usual learning rate of a template's optimizer."""
    optimizer = settings.optimizer
    if isinstance(optimizer, SGD) and not optimizer.momentum:
        is_normalized = any(isinstance(layer, keras.layers.BatchNormalization) for layer in flatten_layers(network))
        return NORMALIZED_SGD_RATE if is_normalized else USUAL_RATES["sgd"]
    return USUAL_RATES[optimizer.name]


def rate_note(template: Template, resolved: Template) -> str | None:
    """Say which learning rate a resolved template has; None if the template has it too."""
    if rate_of(template.train.learning_rate) is not None:
        return None
    optimizer, schedule = resolved.train.optimizer, resolved.train.learning_rate
    name = "sgd with momentum" if isinstance(optimizer, SGD) and optimizer.momentum else optimizer.name
    setting = _setting(schedule)
    return (
        f"learning rate {rate_of(resolved.train.learning_rate):g}, as usual for {name}; choose another with "
        f"--set train.learning_rate.{setting}=..."
    )


def _setting(schedule: Schedule) -> str:
    return "value" if isinstance(schedule, Constant | Step) else "peak"


def _with_rate(schedule: Schedule, rate: float) -> Schedule:
    update: dict[str, Any] = {_setting(schedule): rate}
    if isinstance(schedule, Cosine):
        update["final"] = schedule.final * rate
    return schedule.model_copy(update=update)
