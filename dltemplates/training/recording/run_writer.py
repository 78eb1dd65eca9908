"""Writer of a run during training. While the disk is full it only warns, and the training continues."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np

from dltemplates.figures.samples import save_samples
from dltemplates.models.weights import set_weights
from dltemplates.runs import Run
from dltemplates.training.checkpoint import ExtraStates, TrainingState, Variables, save_checkpoint
from dltemplates.training.recording.progress import Reporter

MAX_TIME_SHARE = 0.02  # largest share of the training time for writing checkpoints, and for the best weights


class RunWriter:
    """Writer of the best weights, the history and the checkpoints of one training.

    After a failed write the data stays in memory: the writer warns once and tries again later. `finish` tries last.
    """

    def __init__(self, run: Run, definition: keras.Model, reporter: Reporter, *, max_checkpoints: int, interval: float):
        """Prepare the writer.

        Args:
            run: The run.
            definition: The model whose weights are saved.
            reporter: Receives the warnings about failed writes.
            max_checkpoints: Largest number of checkpoints on the disk.
            interval: Shortest time between two checkpoints in seconds; 0 for one after every step.
        """
        self.run, self.definition, self.reporter = run, definition, reporter
        self.max_checkpoints, self.interval = max_checkpoints, interval
        self._unsaved: list[np.ndarray] | None = None  # best weights that are not on the disk yet
        self._failed: set[str] = set()
        self._last = time.monotonic()
        self._cost = 0.0
        self._best_due = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint; slow checkpoints are written less often."""
        interval = max(self.interval, self._cost / MAX_TIME_SHARE) if self.interval else 0.0
        return time.monotonic() - self._last >= interval

    def best(self, model: keras.Model) -> None:
        """Keep the model's weights as the best so far; write them now, or later if epochs are short."""
        self._unsaved = [np.array(weight) for weight in model.weights]
        if time.monotonic() >= self._best_due:
            self.flush()

    def flush(self) -> None:
        """Write the best weights so far, unless they are on the disk."""
        started = time.monotonic()
        self._attempt("the best weights", self._save_best)
        ended = time.monotonic()
        self._best_due = ended + (ended - started) / MAX_TIME_SHARE

    def history(self, rows: list[dict[str, float]]) -> None:
        """Write the history so far."""
        self._attempt("the history", lambda: self.run.save_history(rows))

    def samples(self, epoch: int, images: np.ndarray | None) -> None:
        """Write the images that a generator made after an epoch: (n, height, width, channels), 0..255, or None."""
        if images is not None:
            self._attempt("the samples", lambda: save_samples(self.run, epoch, images))

    def texts(self, epoch: int, texts: list[dict[str, str]]) -> None:
        """Write the texts that the network wrote after an epoch."""
        self._attempt("the samples", lambda: self.run.save_texts(epoch, texts))

    def checkpoint(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None:
        """Write a checkpoint.

        Raises:
            FloatingPointError: If a variable is not finite.
        """
        started = time.monotonic()
        self._attempt("a checkpoint", lambda: self._save_checkpoint(variables, state, extra))
        self._last = time.monotonic()
        self._cost = self._last - started

    def finish(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None:
        """Write everything that is not on the disk yet.

        Raises:
            OSError: If the disk is still full, or read-only; the last checkpoint stays.
        """
        self._save_checkpoint(variables, state, extra)
        self.run.save_history(state.history)

    def _save_checkpoint(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None:
        self._save_best()  # a checkpoint needs the best weights of the steps before it
        save_checkpoint(self.run.checkpoint_path, variables, state, extra, max_checkpoints=self.max_checkpoints)

    def _save_best(self) -> None:
        if self._unsaved is not None:
            set_weights(self.definition, self._unsaved)
            self.run.save_weights(self.definition)
            self._unsaved = None

    def _attempt(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if name not in self._failed:
                self.reporter.note(f"{name} could not be written ({error.strerror or error}); the training goes on")
            self._failed.add(name)
        else:
            self._failed.discard(name)


class NullWriter:
    """Writer that writes nothing, for workers other than the chief."""

    is_due = False

    def best(self, model: keras.Model) -> None: ...
    def flush(self) -> None: ...
    def history(self, rows: list[dict[str, float]]) -> None: ...
    def samples(self, epoch: int, images: np.ndarray | None) -> None: ...
    def texts(self, epoch: int, texts: list[dict[str, str]]) -> None: ...
    def checkpoint(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None: ...
    def finish(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None: ...
