"""Checkpoints: atomic files with all variables and the state of a training; only the newest few stay on the disk."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.files import atomic_path

NAME = "step-{:09d}.npz"
STATE_KEY = "state"
EXTRA = "extra/"  # prefix of the extra states of stages
# Errors from damaged files; the last two come from a flipped bit in the archive's headers.
BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)

Variables = dict[str, list[Any]]
ExtraStates = dict[str, bytes]


@dataclass
class TrainingState:
    """The progress of a training. Together with the variables it determines all further steps.

    Attributes:
        step: Number of finished steps.
        seconds: Training time so far.
        history: One row per epoch.
        best: Rank of the best epoch so far, larger is better: the monitored metric, then the negative validation loss.
        best_epoch: Number of the best epoch; 0 before the first one ends.
        replaced: Image files that broke during training, each with the reason.
        warnings: Warnings about the network in the last epochs, by epoch; empty if the last epoch had none.
    """

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: list[float] | None = None
    best_epoch: int = 0
    replaced: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a training, newest first."""
    return sorted(folder.glob("step-*.npz"), reverse=True)


def save_checkpoint(
    folder: Path, variables: Variables, state: TrainingState, extra: ExtraStates | None = None, *, max_checkpoints: int
) -> None:
    """Write a checkpoint, and remove the oldest ones.

    Args:
        folder: The folder of the checkpoints.
        variables: All variables of the training, in groups.
        state: The progress of the training.
        extra: Extra states of the stages, by name.
        max_checkpoints: Largest number of checkpoints on the disk.

    Raises:
        FloatingPointError: If a variable is not finite; earlier checkpoints stay.
        OSError: If the disk is full or read-only; earlier checkpoints stay.
    """
    arrays = {name: np.asarray(variable) for name, variable in _flatten(variables).items()}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FloatingPointError(f"Variables must stay finite. Received: NaN or infinity in {name}.")
    arrays |= {f"{EXTRA}{name}": np.frombuffer(content, np.uint8) for name, content in (extra or {}).items()}
    arrays[STATE_KEY] = np.frombuffer(json.dumps(asdict(state)).encode(), np.uint8)
    with atomic_path(folder / NAME.format(state.step)) as path:
        np.savez(path, allow_pickle=False, **arrays)
    for old in list_checkpoints(folder)[max_checkpoints:]:
        old.unlink()


def load_checkpoint(
    folder: Path, variables: Variables, note: Callable[[str], None] = print
) -> tuple[TrainingState, ExtraStates]:
    """Restore variables from the newest checkpoint.

    Args:
        folder: The folder of the checkpoints.
        variables: The variables to restore, in the same groups as when saved.
        note: Called with a message for each broken checkpoint; the checkpoint before it is then used.

    Returns:
        The progress of the training, and the extra states of its stages.

    Raises:
        ValueError: If there is no checkpoint, all are broken, or the newest belongs to another model.
    """
    paths = list_checkpoints(folder)
    if not paths:
        raise ValueError(f"There must be a checkpoint to resume. Received: {folder} without one. Train again.")
    by_name = _flatten(variables)
    for path in paths:
        try:
            arrays, extra, state = _read(path)
            break
        except BROKEN as error:
            note(f"{path} is broken ({error}); using the one before it")
    else:
        raise ValueError(f"A checkpoint must be readable. Received: {folder}, where all are broken. Train again.")
    shapes = {name: tuple(variable.shape) for name, variable in by_name.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise ValueError(f"A checkpoint must fit the model. Received: {path}, of another model. Train again.")
    for name, variable in by_name.items():
        variable.assign(arrays[name])
    for broken in paths[: paths.index(path)]:
        broken.unlink(missing_ok=True)  # else it would count towards `max_checkpoints`
    return state, extra


def _read(path: Path) -> tuple[dict[str, np.ndarray], ExtraStates, TrainingState]:
    """Read a whole checkpoint; the archive's checksums detect damage."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    extra = {name.removeprefix(EXTRA): arrays.pop(name).tobytes() for name in list(arrays) if name.startswith(EXTRA)}
    return arrays, extra, TrainingState(**json.loads(arrays.pop(STATE_KEY).tobytes()))


def _flatten(variables: Variables) -> dict[str, Any]:
    # By index, because Keras's paths count the layers created earlier in this process.
    return {
        f"{group}/{index:05d}": variable
        for group, members in variables.items()
        for index, variable in enumerate(members)
    }
