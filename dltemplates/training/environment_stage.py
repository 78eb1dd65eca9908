"""A stage of reinforcement learning: an agent acts in an environment and learns from the rewards."""

from __future__ import annotations

import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np

from dltemplates.training.stages import Stage, Tick, learning_rate_of, no_tick

VALIDATION_EPISODES = 10
VALIDATION_SEED_OFFSET = 2**30  # validation episodes get seeds that training never uses


class Environment(Protocol):
    """Interface of an environment, as in gymnasium. It need not be able to save its state."""

    def reset(self, *, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Start the episode of a seed, and return the first observation and extra information."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act, and return the next observation, the reward, two flags (ended, cut off) and extra information."""


class Agent(ABC):
    """Base class of an agent that acts in an environment and learns.

    `variables` and `state` must hold everything that resuming needs. Random numbers depend only on the seed and the
    step.

    Attributes:
        model: The model to train, save and export.
        optimizer: The optimizer. Its iterations count the steps.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer

    @property
    @abstractmethod
    def variables(self) -> dict[str, list[Any]]:
        """All variables, in groups; the group `model` holds the model's."""

    @abstractmethod
    def act(self, observation: np.ndarray, *, step: int | None) -> Any:
        """Choose an action. `step` counts the training steps, where the agent may explore; it is None in validation."""

    @abstractmethod
    def learn(
        self, observation: np.ndarray, action: Any, reward: float, following: np.ndarray, ended: bool, *, step: int
    ) -> float:
        """Learn from one training step, and return the loss; 0 if nothing was learned."""

    def state(self) -> bytes:
        """Return bytes that a checkpoint must hold besides the variables, such as a replay memory."""
        return b""

    def restore(self, state: bytes) -> None:
        """Restore the agent from the bytes of `state`."""
        return  # most agents have only variables


class EnvironmentStage(Stage):
    """A stage whose steps are steps of an agent in an environment.

    Each episode resets the environment with its own seed, which depends on the number of the episode. Environments
    cannot save their state, so checkpoints are written only where an episode begins. The metrics of an epoch are the
    mean `loss` of its steps and the mean `return` of the episodes that ended in it.
    """

    def __init__(
        self,
        agent: Agent,
        make_environment: Callable[[], Environment],
        *,
        seed: int,
        steps: int,
        steps_per_epoch: int,
        epochs_per_validation: int = 1,
        name: str = "",
    ):
        """Prepare the stage.

        Args:
            agent: The agent.
            make_environment: Function that builds an environment; called once for training and once for validation.
            seed: Seed of the episodes.
            steps: Number of steps in the environment.
            steps_per_epoch: Number of these steps per epoch.
            epochs_per_validation: Number of epochs from one validation to the next.
            name: Name of the trained part of the network; empty for the whole network.
        """
        super().__init__(
            agent.model,
            name=name,
            steps=steps,
            steps_per_epoch=steps_per_epoch,
            epochs_per_validation=epochs_per_validation,
        )
        self.agent = agent
        self._environment, self._validation = make_environment(), make_environment()
        self._seed = seed
        self._episode = 0
        self._step = 0
        self._observation: np.ndarray | None = None  # None before an episode begins
        self._return = 0.0
        self._sums = np.zeros(4)  # sum and count of losses, sum and count of returns, since `reset`

    @property
    def variables(self) -> dict[str, list[Any]]:
        return self.agent.variables

    @property
    def can_resume(self) -> bool:
        return self._observation is None or self._step == self.end_step

    @property
    def steps_per_call(self) -> int:
        return self.steps_per_epoch  # `run` stops at the end of an episode

    def open(self, step: int, tick: Tick = no_tick) -> None:
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
        """Take one step, and return whether it ended the episode."""
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
        """Return the mean `return` of some episodes without exploration, and its negative as `loss`."""
        returns = [self._play_episode(number) for number in range(VALIDATION_EPISODES)]
        return {"loss": -float(np.mean(returns)), "return": float(np.mean(returns))}

    def _play_episode(self, number: int) -> float:
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

    def metrics(self) -> dict[str, float]:
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
