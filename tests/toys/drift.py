"""A task without a dataset: an agent steers against a drift in an environment that cannot save its state.

The agent is deep Q-learning with a replay memory (Mnih et al.: "Human-level control through deep reinforcement
learning", Nature 518, 2015, https://doi.org/10.1038/nature14236), without a target network.
"""

from __future__ import annotations

import io

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dltemplates.datasets.source import SPLITS, ArraySource, Dataset, Source
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Number
from dltemplates.tasks.assemble import make_contract
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.scoring.intervals import mean_of
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.stage_plan import StagePlan
from dltemplates.tasks.task import Task
from dltemplates.training.algorithms.descent import Descent
from dltemplates.training.environment_stage import Agent

ACTIONS = (-1.0, 0.0, 1.0)
EPISODE, EPISODES = 25, 20
MEMORY, BATCH, DISCOUNT = 400, 32, 0.9


class Drift:
    """A point on a line, pushed by a hidden wind that is drawn at each step; the agent keeps it near 0."""

    def __init__(self):
        self._random = np.random.default_rng()
        self._place, self._wind, self._turn = 0.0, 0.0, 0

    def __reduce__(self):
        raise TypeError("a drift cannot be saved")

    def reset(self, *, seed):
        self._random = np.random.default_rng(seed)
        self._place, self._wind, self._turn = float(self._random.uniform(-1, 1)), 0.0, 0
        return self._observation(), {}

    def step(self, action):
        self._wind = 0.8 * self._wind + 0.2 * float(self._random.normal())
        self._place += 0.3 * ACTIONS[int(action)] + self._wind
        self._turn += 1
        return self._observation(), -abs(self._place), abs(self._place) > 4, self._turn == EPISODE, {}

    def _observation(self):
        return np.float32([self._place + 0.02 * self._random.normal(), self._turn / EPISODE])


class QLearning(Agent):
    """Deep Q-learning with a few actions."""

    def __init__(self, model, optimizer, seed):
        self.model, self.optimizer, self._seed = model, optimizer, seed
        self._descent = Descent(optimizer, model.trainable_variables)
        self._memory = np.zeros((MEMORY, 7), np.float32)  # observation (2), action, reward, next (2), ended
        self._count = 0
        self._learn = tf.function(self._step)
        self._values = tf.function(lambda observation: model(observation, training=False))

    @classmethod
    def make(cls, model, make_optimizer, template):
        return cls(model, make_optimizer(), template.seed)

    @property
    def variables(self):
        return {"model": self.model.variables, "optimizer": self.optimizer.variables}

    def act(self, observation, *, step):
        if step is not None:
            random = np.random.default_rng((self._seed, step))
            if random.random() < max(0.05, 1 - step / 1000):
                return int(random.integers(len(ACTIONS)))
        return int(np.argmax(self._values(observation[None])[0]))

    def learn(self, observation, action, reward, following, ended, *, step):
        self._memory[self._count % MEMORY] = [*observation, action, reward, *following, ended]
        self._count += 1
        known = min(self._count, MEMORY)
        if known < BATCH:
            return 0.0
        rows = np.random.default_rng((self._seed, step, 1)).integers(0, known, BATCH)
        return float(self._learn(self._memory[rows]))

    def _step(self, rows):
        observation, action, reward, following, ended = rows[:, :2], rows[:, 2], rows[:, 3], rows[:, 4:6], rows[:, 6]
        best = tf.reduce_max(self.model(following, training=False), axis=1)
        expected = reward + DISCOUNT * (1 - ended) * best

        def loss():
            values = self.model(observation, training=True)
            chosen = tf.gather(values, tf.cast(action, tf.int32), batch_dims=1)
            error = tf.reduce_mean(tf.square(chosen - expected))
            return error, error

        return self._descent.step(loss)

    def state(self):
        content = io.BytesIO()
        np.savez(content, memory=self._memory, count=self._count)
        return content.getvalue()

    def restore(self, state):
        with np.load(io.BytesIO(state), allow_pickle=False) as arrays:
            self._memory, self._count = arrays["memory"], int(arrays["count"])


def network(input_shape, num_outputs, *, name="network"):
    inputs = keras.Input(input_shape)
    x = layers.Dense(24, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(num_outputs)(x), name=name)


class Steering(Task):
    """Keep a drifting point near 0; `values` are the values of the actions."""

    name = "steering"
    kind = "any"
    target_kinds = ()
    needs_target = False
    monitor = "val_return"
    budget = "10%"

    def __init__(self, spec):
        self.inputs = spec.inputs

    @classmethod
    def own_dataset(cls, options) -> Dataset:
        """Record observations under random actions, for calibration and for parity."""
        parts = {split: _wander(place) for place, split in enumerate(SPLITS)}
        feature = Number(name="observation", dtype="float32", shape=(2,))
        spec = DatasetSpec(
            inputs=(feature,),
            targets=(),
            sizes={split: len(rows) for split, rows in parts.items()},
        )
        return Dataset(spec, {split: ArraySource({"observation": rows}) for split, rows in parts.items()})

    def stages(self, model, template):
        return [StagePlan(QLearning, template.train.epochs, environment=Drift, steps_per_epoch=250)]

    def model_sizes(self, spec):
        return {"input_shape": (2,), "num_outputs": len(ACTIONS)}

    def serve(self, model, spec, template, *, name):
        values = Number(name="values", dtype="float32", shape=(len(ACTIONS),))
        served = keras.Model(model.input, {"values": model.output}, name=model.name)
        return {"": ServingModel(served, make_contract(spec, template, (values,), name=name))}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        returns = np.array([self._play(system, number) for number in range(EPISODES)])
        return Evaluation(
            {"return": float(returns.mean())}, errors=-returns, count=EPISODES, score_of={"return": mean_of(returns)}
        )

    def compare(self, targets, outputs):
        raise NotImplementedError("what counts are episodes")

    def _play(self, system, number):
        environment = Drift()
        observation, _ = environment.reset(seed=10**6 + number)
        total, is_over = 0.0, False
        while not is_over:
            values = system.whole({"observation": observation[None]})["values"]
            observation, reward, ended, cut, _ = environment.step(int(np.argmax(values[0])))
            total, is_over = total + reward, ended or cut
        return total


def _wander(place):
    random, rows = np.random.default_rng(place), []
    for number in range(12):
        environment = Drift()
        observation, _ = environment.reset(seed=1000 * place + number)
        is_over = False
        while not is_over:
            rows.append(observation)
            observation, _, ended, cut, _ = environment.step(int(random.integers(len(ACTIONS))))
            is_over = ended or cut
    return np.stack(rows)
