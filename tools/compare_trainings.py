"""Comparison of two checkouts: train eight small templates of different kinds with each, and compare the results.

    git worktree add /tmp/before be323f8
    python tools/compare_trainings.py /tmp/before .
    python tools/compare_trainings.py /tmp/before . --only vae gan

A change that should not affect training keeps every bit of the best weights and every number of the history, except
the seconds. The trainings run one after the other, each in its own process, on data from scikit-learn or tests/data/v1.
Weights depend on the machine, so no digests are stored: both checkouts train here.

Exit code: 0 if all is equal, 1 if bits differ, 2 if a training fails.

The checkouts may use different names for a setting. TEMPLATES has the names of the first edition, NEWER the later ones.
A checkout gets the newer name if its `dltemplates.template` knows it, otherwise the older one. If you rename a setting
of TEMPLATES, add a line to NEWER.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
import tomli_w

V1 = Path(__file__).resolve().parents[1] / "tests" / "data" / "v1"
Settings = dict[str, Any]  # by dotted path
Arrays = dict[str, np.ndarray]
History = list[dict[str, str]]

TEMPLATES: dict[str, Settings] = {
    "images": {
        "task.name": "classification",
        "dataset.name": "digits",
        "dataset.image_size": [12, 12],
        "model.name": "convnet",
        "model.filters": [4, 8],
        "train.epochs": 4,
        "train.weight_decay": 1e-4,
        "train.augment.crop_padding": 1,
        "train.augment.mixup": 0.2,
    },
    "table": {
        "task.name": "classification",
        "dataset.name": str(V1 / "weather.csv"),
        "dataset.target": "month",
        "dataset.columns": {"observer": "skip"},
        "model.name": "mlp",
        "model.units": [16],
        "model.dropout_rate": 0.2,
        "train.epochs": 8,
        "train.class_weight": "balanced",
    },
    "regression": {
        "task.name": "regression",
        "dataset.name": str(V1 / "weather.csv"),
        "dataset.target": "temperature",
        "dataset.columns": {"observer": "skip"},
        "model.name": "mlp",
        "model.units": [16],
        "train.epochs": 8,
    },
    "series": {
        "task.name": "forecasting",
        "task.relative": True,
        "dataset.name": str(V1 / "climate.csv"),
        "dataset.window": 12,
        "dataset.horizon": 3,
        "dataset.period": 12,
        "dataset.validation": 0.2,
        "model.name": "lstm",
        "model.units": [6],
        "train.epochs": 6,
        "train.batch_size": 16,
    },
    "denoising": {
        "task.name": "reconstruction",
        "task.noise": 0.3,
        "dataset.name": "digits",
        "model.name": "denoising_autoencoder",
        "model.filters": [4, 8],
        "model.noise": 0.3,
        "train.epochs": 3,
    },
    "vae": {
        "task.name": "variational",
        "task.loss": "cross_entropy",
        "dataset.name": "digits",
        "model.name": "vae",
        "model.units": [16],
        "model.code": 2,
        "train.epochs": 4,
        "train.learning_rate": {"name": "cosine", "peak": 0.01},
    },
    "gan": {
        "task.name": "generation",
        "task.judge": "none",
        "dataset.name": "digits",
        "model.name": "dcgan",
        "model.latent_dim": 8,
        "model.filters": [8, 4],
        "train.epochs": 3,
        "train.optimizer": {"name": "adam", "beta_1": 0.5},
        "train.keep": "last",
    },
    "dbn": {
        "task.name": "classification",
        "dataset.name": "digits",
        "model.name": "dbn",
        "model.units": [16, 16],
        "train.epochs": 4,
        "train.pretrain.epochs": 3,
    },
}
NEWER = {
    "dataset.image_size": "dataset.images.size",
    "dataset.columns": "dataset.table.columns",
    "dataset.window": "dataset.series.window",
    "dataset.horizon": "dataset.series.horizon",
    "dataset.period": "dataset.series.season_length",
    "task.judge": "task.evaluator",
    "task.relative": "task.subtract_last",
    "model.code": "model.latent_dim",
    "train.keep": "train.restore",
    "train.pretrain.epochs": "train.layerwise_pretrain.epochs",
}


def known_settings(templates: dict[str, Settings]) -> dict[str, list[str]]:
    """Return the settings, by older and newer name, that the imported `dltemplates` knows.

    Args:
        templates: Settings by the name of a template.
    """
    from dltemplates import catalog
    from dltemplates.template import Template

    def is_known(settings: Settings, key: str) -> bool:
        part: Any = Template
        table, *path = key.split(".")
        if table in ("task", "model"):  # options of the named task or model
            options = inspect.signature(catalog.load(table, settings[f"{table}.name"])).parameters
            return path[0] in ("name", *options)
        for name in (table, *path):
            fields = getattr(part, "model_fields", {})
            if name not in fields:
                return False
            annotation = fields[name].annotation
            part = next((kind for kind in get_args(annotation) if hasattr(kind, "model_fields")), annotation)
        return True

    known = {}
    for name, settings in templates.items():
        keys = [*settings, *(NEWER[key] for key in settings if key in NEWER)]
        known[name] = [key for key in keys if is_known(settings, key)]
    return known


def ask_known(checkout: Path, templates: dict[str, Settings]) -> dict[str, list[str]]:
    """Return `known_settings` with the package of a checkout."""
    program = (
        "import json, sys, compare_trainings as tool\njson.dump(tool.known_settings(json.load(sys.stdin)), sys.stdout)"
    )
    output = _run(["-c", program], checkout, input=json.dumps(templates))
    return json.loads(output.splitlines()[-1])


def translate(settings: Settings, known: list[str]) -> Settings:
    """Return settings by the names that a checkout knows, newer names first.

    Raises:
        ValueError: If it knows neither.
    """
    translated = {}
    for old, value in settings.items():
        names = [name for name in (NEWER.get(old), old) if name in known]
        if not names:
            raise ValueError(
                f"A checkout must know each setting. Received: {old}, and it knows neither this name nor "
                f"{NEWER.get(old, 'a newer one')}. Add its present name to NEWER."
            )
        translated[names[0]] = value
    return translated


def train(checkout: Path, settings: Settings, output: Path) -> float:
    """Train settings with a checkout in its own process, and return the seconds.

    Args:
        checkout: The folder that holds `dltemplates`.
        settings: With names that the checkout knows.
        output: The folder of the run; the template is written next to it.
    """
    table: Settings = {}
    for key, value in settings.items():
        *parents, last = key.split(".")
        inner = table
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    template = output.with_suffix(".toml")
    template.write_text(tomli_w.dumps(table))
    started = time.monotonic()
    _run(["-m", "dltemplates", "train", str(template), "-o", str(output)], checkout)
    return time.monotonic() - started


def read_weights(run: Path) -> Arrays:
    """Return the best weights of a run by their path in the file."""
    found: Arrays = {}
    with h5py.File(run / "model.weights.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def compare_weights(first: Arrays, second: Arrays) -> str:
    """Return how weights differ, in a few words; empty if they are equal bit for bit."""
    if not first or not second:
        return "no weights"
    if first.keys() != second.keys():  # layers may be renamed: compare the arrays
        return "" if sorted(map(_bits, first.values())) == sorted(map(_bits, second.values())) else "other arrays"
    differing = [name for name in first if _bits(first[name]) != _bits(second[name])]
    if not differing:
        return ""
    gaps = [
        np.abs(first[name].astype(np.float64) - second[name].astype(np.float64)).max()
        for name in differing
        if first[name].shape == second[name].shape
    ]
    most = f"by up to {max(gaps):.1e}" if len(gaps) == len(differing) else "in shape"
    return f"{len(differing)} of {len(first)} arrays, {most}"


def read_history(run: Path) -> History:
    """Return the rows of a run's history as text, without the seconds."""
    with (run / "history.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def compare_histories(first: History, second: History) -> str:
    """Return how histories differ in their common columns; empty if they are equal."""
    if len(first) != len(second):
        return f"{len(first)} and {len(second)} epochs"
    if not first:
        return "no epochs"
    columns = [name for name in first[0] if name in second[0]]
    if "loss" not in columns:
        return "no common loss"
    for one, other in zip(first, second, strict=True):
        for name in columns:
            if one[name] != other[name]:
                return f"{name} of epoch {one['epoch']}: {one[name]} and {other[name]}"
    return ""


def compare(checkouts: tuple[Path, Path], names: list[str], work: Path) -> bool:
    """Train templates with two checkouts, and print a line for each.

    Args:
        checkouts: The folders that hold `dltemplates`.
        names: Which of TEMPLATES.
        work: The folder for the runs.

    Returns:
        Whether all are equal.
    """
    templates = {name: TEMPLATES[name] for name in names}
    known = [ask_known(checkout, templates) for checkout in checkouts]
    print(f"{'template':12}{'seconds':>14}  {'weights':32}history")
    all_equal = True
    for name, settings in templates.items():
        runs = [work / f"{name}-{place}" for place in ("first", "second")]
        seconds = [
            train(checkout, translate(settings, names_known[name]), run)
            for checkout, names_known, run in zip(checkouts, known, runs, strict=True)
        ]
        weights = compare_weights(*map(read_weights, runs))
        history = compare_histories(*map(read_history, runs))
        all_equal = all_equal and not weights and not history
        times = " ".join(f"{second:6.1f}" for second in seconds)
        print(f"{name:12}{times:>14}  {weights or 'equal':32}{history or 'equal'}", flush=True)
    return all_equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs=2, type=Path, metavar="CHECKOUT", help="a folder that holds `dltemplates`")
    parser.add_argument("--only", nargs="+", choices=TEMPLATES, default=list(TEMPLATES), help="train these only")
    parser.add_argument("-o", "--output", type=Path, help="keep the runs in this new folder")
    arguments = parser.parse_args()
    first, second = (checkout.resolve() for checkout in arguments.checkouts)
    for checkout in (first, second):
        if not (checkout / "dltemplates" / "template.py").is_file():
            parser.error(f"A checkout must hold dltemplates/. Received: {checkout}. Name the folder above it.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = (arguments.output or Path(folder)).resolve()
            work.mkdir(parents=True, exist_ok=True)
            is_equal = compare((first, second), arguments.only, work)
    except (subprocess.CalledProcessError, ValueError) as error:
        message = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        print(message, file=sys.stderr)
        sys.exit(2)
    sys.exit(0 if is_equal else 1)


def _run(arguments: list[str], checkout: Path, **options: Any) -> str:
    """Run Python with the package of a checkout, and return its output."""
    paths = os.pathsep.join([str(checkout), str(Path(__file__).resolve().parent)])
    environment = os.environ | {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as folder:  # Python also imports from its working folder
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True, text=True, check=True, cwd=folder, env=environment, **options,
        )  # fmt: skip
    return done.stdout


def _bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


if __name__ == "__main__":
    main()
