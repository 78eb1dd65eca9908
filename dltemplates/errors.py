"""Helpers for the errors of other libraries, and errors of workers."""

import sys


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def out_of_memory() -> tuple[type[Exception], ...]:
    """Return the types of out-of-memory errors; TensorFlow's is among them once TensorFlow is imported."""
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, tensorflow.errors.ResourceExhaustedError) if tensorflow else (MemoryError,)


LOST_WORKERS = 138  # exit code that Kubernetes training operators read as "failed, try again"


class LostWorkersError(Exception):
    """Another worker ended or cannot be reached; all workers restart from the last checkpoint."""


class WorkerError(Exception):
    """A worker failed in a way that a restart cannot mend, or the workers died too often."""
