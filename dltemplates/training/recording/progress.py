"""What a training says while it runs: a bar on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import functools
import sys
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dltemplates.runs import shown


class Reporter(Protocol):
    """Told of everything worth telling; does with it what it likes."""

    def begin(self, total_steps: int, first_step: int) -> None:
        """Training begins."""

    def step(self, step: int, loss: float) -> None:
        """So many steps are done; called at most a few times a second."""

    def epoch(self, row: dict[str, float], best: bool) -> None:
        """An epoch ended with this row of the history, and is the best so far or not."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def end(self) -> None:
        """Training ended, well or not; may be called again."""


class Silent:
    """Says nothing: the reporter of the Python API."""

    def begin(self, total_steps: int, first_step: int) -> None: ...
    def step(self, step: int, loss: float) -> None: ...
    def epoch(self, row: dict[str, float], best: bool) -> None: ...
    def note(self, text: str) -> None: ...
    def end(self) -> None: ...


class PlainLines(Silent):
    """A line an epoch, for logs and pipes."""

    def epoch(self, row: dict[str, float], best: bool) -> None:
        self.note(format_row(row, best))

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class ProgressBar(PlainLines):
    """A progress bar under the lines of the epochs."""

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
        self._progress.update(self._task, completed=step, loss=f"loss {shown(loss)}")

    def note(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()


@functools.cache
def console() -> Console:
    """Return the console of stderr: lines come out whole beside a display only if both are of one console."""
    return Console(stderr=True)


def make_reporter() -> Reporter:
    """The reporter that fits where stderr goes."""
    return ProgressBar() if sys.stderr.isatty() else PlainLines()


def format_row(row: dict[str, float], best: bool) -> str:
    """One epoch in one line."""
    figures = " ".join(
        f"{name} {shown(value)}"
        for name, value in row.items()
        if name not in ("epoch", "step", "learning_rate", "seconds")
    )
    return f"epoch {row['epoch']:3d}  {figures}  {row['seconds']:.0f}s{'  *' if best else ''}"
