"""Words for other people's errors."""

import sys


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def out_of_memory() -> tuple[type[Exception], ...]:
    """What is raised where memory does not suffice, TensorFlow's own error where it is in use."""
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, tensorflow.errors.ResourceExhaustedError) if tensorflow else (MemoryError,)


LOST_WORKERS = 138  # the exit code that training operators on Kubernetes take for "failed for now: start it again"


class LostWorkersError(Exception):
    """Another worker of this training ended or cannot be reached; all start again from the last checkpoint."""


class WorkerError(Exception):
    """A worker failed in a way that to start it again would not mend, or the workers died too often."""
