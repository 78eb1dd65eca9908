"""The checkpoint: one atomic file with every variable of a training and its place in it."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np

from dltemplates.runs import atomic_write

FILE_NAME = "last.npz"
STATE_KEY = "state"


@dataclass
class TrainingState:
    """Where a training stands; with the variables, all that its future depends on.

    Attributes:
        step: Steps done.
        seconds: Time spent in them.
        history: One row an epoch.
        best: How the best epoch so far ranks: the monitored figure, then the validation loss, larger is better.
        best_epoch: The epoch it belongs to; 0 before the first one ends.
    """

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: list[float] | None = None
    best_epoch: int = 0


def training_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of a compiled, built model: weights, random states, optimizer, metrics."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables, "metrics": model.metrics_variables}
    return {
        f"{group}/{index:05d}": variable  # not its path: that counts the layers made before in this process
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def save_checkpoint(folder: Path, model: keras.Model, state: TrainingState) -> None:
    """Write the checkpoint in the place of the one before.

    Raises:
        FloatingPointError: If a variable is not finite; the checkpoint before stays.
    """
    arrays = {name: np.asarray(variable) for name, variable in training_variables(model).items()}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise FloatingPointError(f"Variables must stay finite. Received: NaN or infinity in {name}.")
    arrays[STATE_KEY] = np.frombuffer(json.dumps(asdict(state)).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    atomic_write(folder / FILE_NAME, file.getvalue())


def load_checkpoint(folder: Path, model: keras.Model) -> TrainingState:
    """Bring a compiled, built model to where its training stood.

    Raises:
        ValueError: If there is no checkpoint, it is broken, or it belongs to another model.
    """
    path = folder / FILE_NAME
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = TrainingState(**json.loads(arrays.pop(STATE_KEY).tobytes()))
    except FileNotFoundError:
        raise ValueError(f"There must be a checkpoint to resume. Received: {folder} without {FILE_NAME}.") from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"A checkpoint must be whole. Received: {path} ({error}). Train again.") from None
    variables = training_variables(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise ValueError(f"A checkpoint must fit its model. Received: {path}, of another model. Train again.")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return state
