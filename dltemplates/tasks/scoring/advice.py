"""Advice for a network that is not better than the best baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dltemplates.tasks.scoring.baselines import Baselines
from dltemplates.tasks.scoring.intervals import format_score
from dltemplates.template import Template
from dltemplates.train_settings import AdamW

LINEAR_MODELS = ("linear_regression", "logistic_regression", "softmax_regression", "perceptron")
LINEAR_BASELINES = ("linear regression", "logistic regression")
LAST = 5  # the last fifth of the epochs
FALLING = 0.98  # a loss that fell below this share of the earlier ones still falls
WORSE = 1.05  # a validation loss above this multiple of the best one has become worse
MORE = 3  # times as many epochs
MIN_EPOCHS = 20
PERFECT = 1.0


def advise(
    baselines: Baselines,
    score: float,
    direction: Literal["max", "min"],
    *,
    history: Sequence[dict[str, float]],
    best_epoch: int,
    template: Template,
) -> str | None:
    """Return what to try, in one or two sentences; None if the network is better than every baseline.

    Args:
        baselines: The baselines.
        score: The network's first score on test.
        direction: Whether a larger or smaller score is better.
        history: The rows of `history.csv`.
        best_epoch: The epoch of the kept weights.
        template: The template of the training.
    """
    if (best := baselines.best(direction)) is None:
        return None
    sign = 1 if direction == "max" else -1
    best_score = next(iter(best.scores.values()))
    if sign * score > sign * best_score:
        return None
    if score == best_score and score == PERFECT and direction == "max":
        return f"The network is as good as the baseline {best.name}, and nothing can be better."
    relation = "only as good as" if score == best_score else "not better than"
    rule = f"The network is {relation} the baseline {best.name} ({format_score(best_score)})."
    return f"{rule} {_what_to_try(best.name, history, best_epoch, template)}"


def _what_to_try(best: str, history: Sequence[dict[str, float]], best_epoch: int, template: Template) -> str:
    losses = [row["loss"] for row in history if "loss" in row]
    validation = [row["val_loss"] for row in history if "val_loss" in row]
    if _stopped_late(validation, losses):
        epoch = [row["epoch"] for row in history if "val_loss" in row][validation.index(min(validation))]
        return (
            f"The validation loss was lowest in epoch {epoch:.0f} of {history[-1]['epoch']:.0f}, and became worse "
            f"after it (overfitting): add data, choose a smaller network, or --set {_more_decay(template)}."
        )
    if template.model.name in LINEAR_MODELS and best in LINEAR_BASELINES:
        return "It is a linear model itself: --set model=mlp trains one with hidden layers."
    options = template.task.options
    if best == "last value" and template.task.name == "forecasting" and not options.get("subtract_last"):
        return "The series may drift: --set task.subtract_last=true."
    if _still_falling(losses) and not _stopped_early(history, best_epoch, template):
        return f"The loss was still falling in the last epoch: --set {_longer(template)}."
    return f"Use {best}, or change the network: --set train.learning_rate=..., --set model.name=..."


def _still_falling(losses: Sequence[float]) -> bool:
    """Return whether the last fifth of the losses is below all others."""
    if len(losses) < 3:
        return True
    last = max(1, len(losses) // LAST)
    return min(losses[-last:]) < FALLING * min(losses[:-last])


def _stopped_late(validation: Sequence[float], losses: Sequence[float]) -> bool:
    """Return whether the validation loss became worse after an early epoch, while the training loss fell."""
    if len(validation) < 3:
        return False
    lowest = validation.index(min(validation))
    return (
        lowest + 1 <= len(validation) // 2 and validation[-1] > WORSE * validation[lowest] and losses[-1] <= losses[0]
    )


def _stopped_early(history: Sequence[dict[str, float]], best_epoch: int, template: Template) -> bool:
    patience = template.train.early_stopping
    return patience is not None and sum(row["epoch"] > best_epoch for row in history) >= patience


def _longer(template: Template) -> str:
    """Return the setting for a longer training."""
    if template.train.steps is not None:
        return f"train.steps={MORE * template.train.steps}"
    return f"train.epochs={max(MIN_EPOCHS, MORE * (template.train.epochs or 0))}"


def _more_decay(template: Template) -> str:
    """Return the setting for more weight decay."""
    optimizer = template.train.optimizer
    if isinstance(optimizer, AdamW):
        return f"train.optimizer.weight_decay={MORE * optimizer.weight_decay:g}"
    return f"train.weight_decay={MORE * template.train.weight_decay or 1e-4:g}"
