"""Exit codes, errors of workers, and helpers for the errors of other libraries."""

import sys

DONE, FAILED, WRONG_USE, OVER_BUDGET, INTERRUPTED = 0, 1, 2, 3, 130
LOST_WORKERS = 138  # Kubernetes training operators read it as "failed, try again"
EXIT_CODES = {  # code: (meaning, when)
    DONE: ("done", "The command finished."),
    FAILED: (
        "failed",
        "The disk is full, the loss is no longer a number, `dlt doctor` found a fault, or another error. A training "
        "keeps its last checkpoint.",
    ),
    WRONG_USE: (
        "wrong usage or input",
        "An option, a name, a setting or the data breaks a rule. Nothing new is left behind.",
    ),
    OVER_BUDGET: (
        "an export missed its budget",
        "A file failed its check, or its score dropped by more than the budget; it is removed. With "
        "`--require-proof`, also a drop that the examples do not prove; that file stays.",
    ),
    INTERRUPTED: ("interrupted", "Ctrl-C, or SIGTERM. Continue with `--resume`."),
    LOST_WORKERS: (
        "lost another worker",
        "Another worker of the training ended. Start all workers again: they continue from the last checkpoint.",
    ),
}


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def out_of_memory() -> tuple[type[Exception], ...]:
    """Return the types of out-of-memory errors; TensorFlow's is among them once TensorFlow is imported."""
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, tensorflow.errors.ResourceExhaustedError) if tensorflow else (MemoryError,)


class LostWorkersError(Exception):
    """Another worker ended or cannot be reached; all workers restart from the last checkpoint."""


class WorkerError(Exception):
    """A worker failed in a way that a restart cannot mend, or the workers died too often."""
