"""Checkpoints: atomic files with every variable of a training and its place in it, the newest few of them kept."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.runs import atomic_path

NAME = "step-{:09d}.npz"
STATE_KEY = "state"
EXTRA = "extra/"  # begins the names of what stages keep beside their variables
# What damaged files lead to: the last two where a bit of the archive's own headers was flipped.
BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)

Variables = dict[str, list[Any]]
ExtraStates = dict[str, bytes]


@dataclass
class TrainingState:
    """Where a training stands; with the variables, all that its future depends on.

    Attributes:
        step: Steps done.
        seconds: Time spent in them.
        history: One row an epoch.
        best: How the best epoch so far ranks: the monitored figure, then the validation loss, larger is better.
        best_epoch: The epoch it belongs to; 0 before the first one ends.
        replaced: Image files that broke on the way, each with the reason.
        warnings: What was wrong with the network in the last epochs, by epoch; empty where the last one was well.
    """

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: list[float] | None = None
    best_epoch: int = 0
    replaced: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a training, the newest first."""
    return sorted(folder.glob("step-*.npz"), reverse=True)


def save_checkpoint(
    folder: Path, variables: Variables, state: TrainingState, extra: ExtraStates | None = None, *, keep: int
) -> None:
    """Write a checkpoint, and remove those that are older than the newest `keep`.

    Args:
        folder: Where the checkpoints are.
        variables: All variables of the training, in groups.
        state: Where the training stands.
        extra: What else the stages must keep, by name.
        keep: How many checkpoints stay.

    Raises:
        FloatingPointError: If a variable is not finite; the checkpoints before stay.
        OSError: If the disk is full or read-only; the checkpoints before stay.
    """
    arrays = {name: np.asarray(variable) for name, variable in _named(variables).items()}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FloatingPointError(f"Variables must stay finite. Received: NaN or infinity in {name}.")
    arrays |= {f"{EXTRA}{name}": np.frombuffer(content, np.uint8) for name, content in (extra or {}).items()}
    arrays[STATE_KEY] = np.frombuffer(json.dumps(asdict(state)).encode(), np.uint8)
    with atomic_path(folder / NAME.format(state.step)) as path:
        np.savez(path, allow_pickle=False, **arrays)
    for old in list_checkpoints(folder)[keep:]:
        old.unlink()


def load_checkpoint(
    folder: Path, variables: Variables, note: Callable[[str], None] = print
) -> tuple[TrainingState, ExtraStates]:
    """Bring variables to where their training stood.

    Args:
        folder: Where the checkpoints are.
        variables: Those that were saved, in the same groups.
        note: Told of each checkpoint that is broken; the one before it is then taken.

    Returns:
        Where the training stood, and what else its stages kept.

    Raises:
        ValueError: If there is no checkpoint, none is whole, or it belongs to another model.
    """
    paths = list_checkpoints(folder)
    if not paths:
        raise ValueError(f"There must be a checkpoint to resume. Received: {folder} without one. Train again.")
    named = _named(variables)
    for path in paths:
        try:
            arrays, extra, state = _read(path)
            break
        except BROKEN as error:
            note(f"{path} is broken ({error}); the one before it is taken")
    else:
        raise ValueError(f"A checkpoint must be whole. Received: {folder}, where none is. Train again.")
    shapes = {name: tuple(variable.shape) for name, variable in named.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise ValueError(f"A checkpoint must fit its model. Received: {path}, of another model. Train again.")
    for name, variable in named.items():
        variable.assign(arrays[name])
    for broken in paths[: paths.index(path)]:
        broken.unlink(missing_ok=True)  # it would count as one of those that are kept
    return state, extra


def _read(path: Path) -> tuple[dict[str, np.ndarray], ExtraStates, TrainingState]:
    """Read a checkpoint whole; the checksums inside say if it is."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    extra = {name.removeprefix(EXTRA): arrays.pop(name).tobytes() for name in list(arrays) if name.startswith(EXTRA)}
    return arrays, extra, TrainingState(**json.loads(arrays.pop(STATE_KEY).tobytes()))


def _named(variables: Variables) -> dict[str, Any]:
    # By place and not by path: that counts the layers made before in this process.
    return {
        f"{group}/{index:05d}": variable
        for group, members in variables.items()
        for index, variable in enumerate(members)
    }
