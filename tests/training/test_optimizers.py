import keras
import numpy as np
import pytest

from dltemplates.train_settings import Cosine, OneCycle, Step, TrainSettings
from dltemplates.training.optimizers import OPTIMIZERS, OneCycleSchedule, make_optimizer, make_schedule


def rates(settings, epochs=10, steps_per_epoch=10):
    schedule = make_schedule(settings, steps=epochs * steps_per_epoch, steps_per_epoch=steps_per_epoch)
    return np.array([float(schedule(step)) for step in range(epochs * steps_per_epoch + 1)])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_a_loss(name):
    settings = TrainSettings.model_validate({"optimizer": name, "learning_rate": 0.05})
    optimizer = make_optimizer(settings, steps=settings.epochs * 10, steps_per_epoch=10)
    x = keras.Variable([3.0, -2.0])
    optimizer.build([x])
    before = float(keras.ops.sum(x.value**2))
    for _ in range(20):
        optimizer.apply([2 * x.value])
    assert float(keras.ops.sum(x.value**2)) < before


def test_momentum_nesterov_and_decay_reach_the_optimizer():
    sgd = make_optimizer(
        TrainSettings.model_validate({"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}}),
        steps=1,
        steps_per_epoch=1,
    )
    assert (sgd.momentum, sgd.nesterov) == (0.9, True)
    adamw = make_optimizer(
        TrainSettings.model_validate({"optimizer": {"name": "adamw", "weight_decay": 0.1}}), steps=1, steps_per_epoch=1
    )
    assert adamw.weight_decay == 0.1


def test_momentum_rises_after_the_first_epochs():
    """Two epochs of three steps, then the rest, with a constant gradient of 1."""
    momentum = {"name": "sgd", "momentum": 0.9, "initial_momentum": 0.5, "initial_epochs": 2}
    settings = TrainSettings.model_validate({"optimizer": momentum, "learning_rate": 0.1, "clip_norm": 10.0})
    optimizer = make_optimizer(settings, steps=settings.epochs * 3, steps_per_epoch=3)
    assert optimizer.global_clipnorm == 10
    x = keras.Variable([0.0])
    optimizer.build([x])
    place, velocity = 0.0, 0.0
    for step in range(10):
        velocity = (0.5 if step < 6 else 0.9) * velocity - 0.1
        place += velocity
        optimizer.apply([keras.ops.ones(1)])
        assert float(x.value[0]) == pytest.approx(place, rel=1e-5)


def test_a_constant_rate_is_a_number():
    settings = TrainSettings.model_validate({"learning_rate": 0.3})
    assert make_schedule(settings.learning_rate, steps=1, steps_per_epoch=1) == 0.3


def test_one_cycle_rises_to_its_peak_and_falls_to_nearly_0():
    rate = rates(OneCycle(name="one_cycle", peak=0.1, warmup=0.3))
    assert rate[0] == pytest.approx(0.1 / 25)
    assert rate.argmax() == 30
    assert rate.max() == pytest.approx(0.1)
    assert rate[-1] == pytest.approx(0.1 / 10_000, rel=1e-3)
    assert (np.diff(rate[:31]) > 0).all()
    assert (np.diff(rate[30:]) < 0).all()


def test_one_cycle_without_warmup_starts_at_its_peak():
    assert rates(OneCycle(name="one_cycle", peak=0.1, warmup=0))[0] == pytest.approx(0.1)


def test_one_cycle_is_restored_from_its_config():
    schedule = OneCycleSchedule(0.1, 50, 0.3)
    assert float(OneCycleSchedule.from_config(schedule.get_config())(20)) == float(schedule(20))


def test_cosine_warms_up_and_ends_at_its_final_rate():
    rate = rates(Cosine(name="cosine", peak=0.2, warmup_epochs=2, final=0.02))
    assert rate[0] == 0
    assert rate.argmax() == 20
    assert rate.max() == pytest.approx(0.2)
    assert rate[-1] == pytest.approx(0.02)
    assert rates(Cosine(name="cosine", peak=0.2))[0] == pytest.approx(0.2)


def test_steps_multiply_at_their_epochs():
    rate = rates(Step(name="step", value=1.0, at=(5, 8), factor=0.1))
    assert rate[[0, 50, 51, 80, 81, 99]] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
