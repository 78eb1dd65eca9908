"""Advice for a network that is not better than the best baseline."""

import pytest

from dltemplates.tasks.scoring.advice import advise
from dltemplates.tasks.scoring.baselines import Baseline, Baselines
from dltemplates.template import load_template

FALLING = [{"epoch": epoch, "loss": 1 / epoch, "val_loss": 1 / epoch} for epoch in range(1, 21)]
FLAT = [{"epoch": epoch, "loss": 1.0, "val_loss": 1.0} for epoch in range(1, 21)]
OVERFITTED = [{"epoch": epoch, "loss": 1 / epoch, "val_loss": 1 + abs(epoch - 4) / 10} for epoch in range(1, 21)]
BASELINES = Baselines(
    results=(
        Baseline(name="largest class", scores={"accuracy": 0.5, "top_5": 1.0}),
        Baseline(name="logistic regression", scores={"accuracy": 0.8, "top_5": 0.9}),
        Baseline(name="gradient boosting", skipped="it took too long"),
    )
)


def advice(score, history, *, best_epoch=20, direction="max", baselines=BASELINES, template="mlp_adult", **settings):
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    return advise(
        baselines,
        score,
        direction,
        history=history,
        best_epoch=best_epoch,
        template=load_template(template, overrides),
    )


def test_a_better_network_needs_no_advice():
    assert advice(0.81, FALLING) is None
    assert advice(0.7, FALLING, baselines=Baselines(none="there is none")) is None
    assert advice(0.7, FALLING, direction="min") is not None  # a smaller score is better: 0.5 is the best
    assert advice(0.4, FALLING, direction="min") is None


def test_a_tie_is_not_better():
    assert advice(0.8, FLAT).startswith("The network is only as good as the baseline logistic regression (0.8000).")


def test_a_perfect_tie_needs_no_advice():
    perfect = Baselines(results=(Baseline(name="logistic regression", scores={"accuracy": 1.0}),))
    text = advice(1.0, FLAT, baselines=perfect)
    assert text == "The network is as good as the baseline logistic regression, and nothing can be better."


@pytest.mark.parametrize(("epochs", "more"), [(20, 60), (2, 20), (7, 21)])
def test_a_falling_loss_needs_more_epochs(epochs, more):
    assert advice(0.7, FALLING[:epochs], train__epochs=epochs).endswith(
        f"The loss was still falling in the last epoch: --set train.epochs={more}."
    )


def test_more_steps_and_weight_decay_are_three_times_those_of_the_template():
    assert "--set train.steps=9000." in advice(0.7, FALLING, template="table_classification")
    overfitted = advice(0.7, OVERFITTED, template="table_classification")
    assert "--set train.optimizer.weight_decay=3." in overfitted


def test_a_training_that_stopped_early_needs_no_more_epochs():
    falling = "still falling"
    assert falling in advice(0.7, FALLING, best_epoch=18, train__early_stopping=3)
    assert falling not in advice(0.7, FALLING, best_epoch=17, train__early_stopping=3)


def test_overfitting_needs_more_data_or_less_network():
    text = advice(0.7, OVERFITTED)
    assert "The validation loss was lowest in epoch 4 of 20" in text
    assert "(overfitting): add data, choose a smaller network, or --set train.weight_decay=0.0001." in text


def test_epochs_between_two_validations_count():
    """With `train.steps`, a short table is validated after many epochs."""
    sparse = [row | {"epoch": 50 * row["epoch"]} for row in FALLING]
    assert "still falling" in advice(0.7, sparse, best_epoch=900, train__early_stopping=3)
    assert "still falling" not in advice(0.7, sparse, best_epoch=850, train__early_stopping=3)
    overfitted = [row | {"epoch": 50 * row["epoch"]} for row in OVERFITTED]
    assert "The validation loss was lowest in epoch 200 of 1000" in advice(0.7, overfitted, best_epoch=200)


def test_a_flat_loss_names_the_baseline():
    assert "Use logistic regression, or change the network" in advice(0.7, FLAT)


def test_a_series_that_is_not_better_than_its_last_value_may_drift():
    last = Baselines(results=(Baseline(name="last value", scores={"mae": 1.0}),))
    drifting = {"baselines": last, "direction": "min", "template": "lstm_sunspots"}
    assert advice(2.0, FALLING, **drifting).endswith("The series may drift: --set task.subtract_last=true.")
    subtracted = advice(2.0, FLAT, task__subtract_last=True, **drifting)
    assert "Use last value" in subtracted


def test_a_linear_network_is_told_of_hidden_layers():
    template = "softmax_regression_iris"
    assert advice(0.8, FLAT, template=template).endswith("--set model=mlp trains one with hidden layers.")
    assert "Use logistic regression" in advice(0.8, FLAT, template=template, model="mlp")
