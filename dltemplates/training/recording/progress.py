"""Progress of a training on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import functools
import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dltemplates.tasks.scoring.intervals import format_score


class Reporter(Protocol):
    """Receiver of a training's progress."""

    def begin(self, total_steps: int, first_step: int) -> None:
        """Report the start of the training."""

    def step(self, step: int, loss: float) -> None:
        """Report the number of finished steps and the loss; called at most a few times a second."""

    def epoch(self, row: dict[str, float], best: bool) -> None:
        """Report the end of an epoch, with its row of the history and whether it is the best so far."""

    def note(self, text: str) -> None:
        """Show the user a message."""

    def end(self) -> None:
        """Report the end of the training, successful or not; may be called more than once."""


class Silent:
    """Reporter that prints nothing, for the Python API."""

    def begin(self, total_steps: int, first_step: int) -> None: ...
    def step(self, step: int, loss: float) -> None: ...
    def epoch(self, row: dict[str, float], best: bool) -> None: ...
    def note(self, text: str) -> None: ...
    def end(self) -> None: ...


class PlainLines(Silent):
    """Reporter that prints one line per epoch, for logs and pipes."""

    def epoch(self, row: dict[str, float], best: bool) -> None:
        self.note(format_row(row, best))

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class ProgressBar(PlainLines):
    """Reporter that shows a progress bar below one line per epoch."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console(),
            transient=True,
        )

    def begin(self, total_steps: int, first_step: int) -> None:
        self._task = self._progress.add_task("training", total=total_steps, completed=first_step, loss="")
        self._progress.start()

    def step(self, step: int, loss: float) -> None:
        self._progress.update(self._task, completed=step, loss=f"loss {format_score(loss)}")

    def note(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()


@functools.cache
def console() -> Console:
    """Return the one console of stderr: two consoles would mix their lines."""
    return Console(stderr=True)


def make_reporter() -> Reporter:
    """Return a progress bar if stderr is a terminal, else plain lines."""
    return ProgressBar() if sys.stderr.isatty() else PlainLines()


def default_reporter() -> Reporter:
    """Return a progress bar on a terminal and in a notebook, else a silent reporter, for the Python API."""
    return ProgressBar() if sys.stderr.isatty() or console().is_jupyter else Silent()


def format_row(row: dict[str, float], best: bool) -> str:
    """Format a row of the history in one line."""
    metrics = " ".join(
        f"{name} {format_score(value)}"
        for name, value in row.items()
        if name not in ("epoch", "step", "learning_rate", "seconds")
    )
    return f"epoch {row['epoch']:3d}  {metrics}  {row['seconds']:.0f}s{'  *' if best else ''}"
