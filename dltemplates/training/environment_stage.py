"""A stage that acts in an environment and learns from what happens there: reinforcement learning."""

from __future__ import annotations

import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np

from dltemplates.training.stages import Stage, learning_rate_of

VALIDATION_EPISODES = 10
VALIDATION_SEED_OFFSET = 2**30  # the episodes of validation begin as none of training does


class Environment(Protocol):
    """Something to act in, as gymnasium has it. It need not be able to save its state."""

    def reset(self, *, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode, which the seed decides, and return the first observation and further facts."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act, and return the next observation, the reward, whether the episode ended or was cut off, further facts."""


class Agent(ABC):
    """What acts in an environment and learns.

    All that its future depends on is in `variables` and `state`; what it draws is a function of the seed and the step.

    Attributes:
        model: The model that is trained, kept and exported.
        optimizer: The optimizer whose steps are counted.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer

    @property
    @abstractmethod
    def variables(self) -> dict[str, list[Any]]:
        """All variables, in groups; those of the model as `model`."""

    @abstractmethod
    def act(self, observation: np.ndarray, *, step: int | None) -> Any:
        """Choose an action; `step` counts those of training, in which it may explore, and is None in validation."""

    @abstractmethod
    def learn(
        self, observation: np.ndarray, action: Any, reward: float, following: np.ndarray, ended: bool, *, step: int
    ) -> float:
        """Learn from one step of training, and return the loss; 0 where nothing was learned."""

    def state(self) -> bytes:
        """Return what a checkpoint must keep beside the variables, such as a replay memory."""
        return b""

    def restore(self, state: bytes) -> None:
        """Bring the agent to where it was when `state` was called."""
        return  # most have no more than their variables


class EnvironmentStage(Stage):
    """A stage whose steps are steps of an agent in an environment.

    An episode is decided by its number: the environment is reset with a seed of its own in each. So a training can be
    resumed where an episode begins, though no environment can save its state, and checkpoints are written only there.
    The figures of an epoch are the mean `loss` of its steps and the mean `return` of the episodes that ended in it.
    """

    def __init__(
        self,
        agent: Agent,
        make_environment: Callable[[], Environment],
        *,
        seed: int,
        epochs: int,
        steps_per_epoch: int,
        name: str = "",
    ):
        """Prepare the stage.

        Args:
            agent: What acts and learns.
            make_environment: Makes an environment; one is trained in, another validated.
            seed: Of the episodes.
            epochs: How many it lasts.
            steps_per_epoch: Steps in the environment in each of them.
            name: The part of the network that it trains.
        """
        super().__init__(agent.model, name=name, epochs=epochs, steps_per_epoch=steps_per_epoch)
        self.agent = agent
        self._environment, self._validation = make_environment(), make_environment()
        self._seed = seed
        self._episode = 0
        self._step = 0
        self._observation: np.ndarray | None = None  # None where an episode is to begin
        self._return = 0.0
        self._sums = np.zeros(4)  # of losses, their number, of returns, their number; since `reset`

    @property
    def variables(self) -> dict[str, list[Any]]:
        return self.agent.variables

    @property
    def can_resume(self) -> bool:
        return self._observation is None or self._step == self.last_step

    @property
    def fitting(self) -> int:
        return self.steps_per_epoch  # `run` ends with the episode

    def open(self, step: int) -> None:
        self._step = step
        self._observation = None

    def run(self, count: int) -> int:
        done = 0
        while done < count:
            done += 1
            if self._advance():
                break
        return done

    def _advance(self) -> bool:
        """Take one step, and return whether the episode ended with it."""
        if self._observation is None:
            self._observation, _ = self._environment.reset(seed=self._seed_of(self._episode))
            self._return = 0.0
        before = self._observation
        action = self.agent.act(before, step=self._step)
        following, reward, terminated, truncated, _ = self._environment.step(action)
        loss = self.agent.learn(before, action, float(reward), following, terminated, step=self._step)
        self._step += 1
        self._return += float(reward)
        self._sums[:2] += loss, 1
        self._observation = following
        if terminated or truncated:
            self._sums[2:] += self._return, 1
            self._episode += 1
            self._observation = None
        return self._observation is None

    def validate(self) -> dict[str, float]:
        """Return `loss`, the mean return of some episodes without exploration, less than nothing; and that `return`."""
        returns = [self._play(number) for number in range(VALIDATION_EPISODES)]
        return {"loss": -float(np.mean(returns)), "return": float(np.mean(returns))}

    def _play(self, number: int) -> float:
        observation, _ = self._validation.reset(seed=VALIDATION_SEED_OFFSET + number)
        total, is_over = 0.0, False
        while not is_over:
            action = self.agent.act(observation, step=None)
            observation, reward, terminated, truncated, _ = self._validation.step(action)
            total += float(reward)
            is_over = terminated or truncated
        return total

    def _seed_of(self, episode: int) -> int:
        return int(np.random.default_rng((self._seed, episode)).integers(VALIDATION_SEED_OFFSET))

    def reset(self) -> None:
        self._sums[:] = 0

    def mean_loss(self) -> float:
        losses, steps = self._sums[:2]
        return float(losses / steps) if steps else 0.0

    def figures(self) -> dict[str, float]:
        returns, episodes = self._sums[2:]
        return {"loss": self.mean_loss()} | ({"return": float(returns / episodes)} if episodes else {})

    def learning_rate(self) -> float:
        return learning_rate_of(self.agent.optimizer)

    def extra_state(self) -> bytes:
        own = json.dumps({"episode": self._episode, "sums": self._sums.tolist()}).encode()
        return struct.pack("<I", len(own)) + own + self.agent.state()

    def restore(self, state: bytes) -> None:
        (length,) = struct.unpack_from("<I", state)
        own = json.loads(state[4 : 4 + length])
        self._episode, self._sums = own["episode"], np.array(own["sums"])
        self.agent.restore(state[4 + length :])
