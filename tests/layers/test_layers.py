"""Contract of our layers: every process that loads a network knows them all."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import dltemplates.layers
from dltemplates.layers import LocalResponseNormalization
from dltemplates.runs import Run

SOURCES = sorted(path for path in Path(dltemplates.layers.__path__[0]).glob("*.py") if path.stem != "__init__")
KINDS = (keras.Layer, keras.initializers.Initializer)
ROOT = Path(dltemplates.layers.__path__[0]).parents[1]


def layers_of(path):
    """Return the layers and initializers that a file defines."""
    name = f"dltemplates.layers.{path.stem}"
    found = inspect.getmembers(importlib.import_module(name), inspect.isclass)
    return [kind for _, kind in found if issubclass(kind, KINDS) and kind.__module__ == name]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_layer_is_registered_under_the_packages_name(path):
    assert layers_of(path)
    for kind in layers_of(path):
        assert keras.saving.get_registered_object(f"dltemplates>{kind.__name__}") is kind


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_layers_run_on_any_backend(path):
    assert "tensorflow" not in path.read_text(encoding="utf-8")


def test_a_process_that_loads_runs_and_files_knows_every_layer(tmp_path):
    inputs = keras.Input((2, 2, 8))
    network = keras.Model(inputs, LocalResponseNormalization()(inputs))
    run = Run(tmp_path)
    run.definition_path.write_text(network.to_json())
    run.save_weights(network)
    network.save(tmp_path / "network.keras")
    names = [f"dltemplates>{kind.__name__}" for path in SOURCES for kind in layers_of(path)]
    program = f"""
from pathlib import Path
from dltemplates.runs import Run
folder = Path({str(tmp_path)!r})
assert type(Run(folder).model().layers[-1]).__name__ == "LocalResponseNormalization"
from dltemplates.training.importing.import_network import read_model
assert type(read_model(folder / "network.keras").layers[-1]).__name__ == "LocalResponseNormalization"
import keras
assert all(map(keras.saving.get_registered_object, {names}))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
