"""Trainings in processes of their own, for tests that kill them."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from dltemplates.training.checkpoint import list_checkpoints

TRAINING = """
    import json, sys
    from dltemplates import catalog
    from dltemplates.template import parse_template
    from dltemplates.training.train import train

    module, template, folder, how = sys.argv[1:]
    catalog.trust(module)
    train(parse_template(json.loads(template)), output=folder, resume=how == "resume")
"""


def train_and_kill(module: str, template: dict, folder: Path, *, after: int) -> int:
    """Train until a checkpoint has a later step than `after`, then kill the process.

    Returns:
        The step of the last checkpoint.
    """
    process = _start(module, template, folder, "begin")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if checkpoint_steps(folder)[:1] > [after]:
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    return checkpoint_steps(folder)[0]


def resume(module: str, template: dict, folder: Path) -> None:
    """Resume a training and finish it."""
    process = _start(module, template, folder, "resume")
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps of a run's checkpoints, latest first."""
    checkpoints = folder / "checkpoint"
    return [int(path.stem.split("-")[1]) for path in list_checkpoints(checkpoints)] if checkpoints.exists() else []


def _start(module: str, template: dict, folder: Path, how: str) -> subprocess.Popen:
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", textwrap.dedent(TRAINING), module, json.dumps(template), str(folder), how]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE)
