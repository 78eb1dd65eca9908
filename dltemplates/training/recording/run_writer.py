"""What a training writes while it runs. A disk that is full for a while costs it nothing but warnings."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np

from dltemplates.figures.samples import save_samples
from dltemplates.runs import Run
from dltemplates.training.checkpoint import ExtraStates, TrainingState, Variables, save_checkpoint
from dltemplates.training.recording.progress import Reporter

LARGEST_SHARE = 0.02  # of the time that checkpoints may take


class RunWriter:
    """Keeps the best weights, the history and the checkpoints of one training.

    What cannot be written is kept in memory, said once, and tried again; `finish` is the last time.
    """

    def __init__(self, run: Run, definition: keras.Model, reporter: Reporter, *, keep: int, interval: float):
        """Prepare to keep a training.

        Args:
            run: The run.
            definition: The layers whose weights are kept.
            reporter: Told of what cannot be written.
            keep: Number of checkpoints.
            interval: Least seconds between two of them; 0 asks for one after every step.
        """
        self.run, self.definition, self.reporter = run, definition, reporter
        self.keep, self.interval = keep, interval
        self._unsaved: list[np.ndarray] | None = None  # best weights that are not on the disk
        self._failed: set[str] = set()
        self._last = time.monotonic()
        self._cost = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint; one that takes long is written more rarely."""
        least = max(self.interval, self._cost / LARGEST_SHARE) if self.interval else 0.0
        return time.monotonic() - self._last >= least

    def best(self, model: keras.Model) -> None:
        """Keep the model's weights as the best so far."""
        self._unsaved = [np.array(weight) for weight in model.weights]
        self._attempt("the best weights", self._save_best)

    def history(self, rows: list[dict[str, float]]) -> None:
        """Write the history so far."""
        self._attempt("the history", lambda: self.run.save_history(rows))

    def samples(self, epoch: int, images: np.ndarray | None) -> None:
        """Write what a generator makes after an epoch, if it makes images: (n, height, width, channels), 0..255."""
        if images is not None:
            self._attempt("the samples", lambda: save_samples(self.run, epoch, images))

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
        """Write all that is not written yet.

        Raises:
            OSError: If the disk is still full, or read-only; the last checkpoint stays.
        """
        self._save_checkpoint(variables, state, extra)
        self.run.save_history(state.history)

    def _save_checkpoint(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None:
        self._save_best()  # a checkpoint counts on the best weights of its past
        save_checkpoint(self.run.checkpoint_path, variables, state, extra, keep=self.keep)

    def _save_best(self) -> None:
        if self._unsaved is not None:
            self.definition.set_weights(self._unsaved)
            self.run.save_weights(self.definition)
            self._unsaved = None

    def _attempt(self, what: str, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if what not in self._failed:
                self.reporter.note(f"{what} could not be written ({error.strerror or error}); the training goes on")
            self._failed.add(what)
        else:
            self._failed.discard(what)


class NullWriter:
    """The writer of a worker that is not the chief: it writes nothing."""

    is_due = False

    def best(self, model: keras.Model) -> None: ...
    def history(self, rows: list[dict[str, float]]) -> None: ...
    def samples(self, epoch: int, images: np.ndarray | None) -> None: ...
    def checkpoint(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None: ...
    def finish(self, variables: Variables, state: TrainingState, extra: ExtraStates | None = None) -> None: ...
