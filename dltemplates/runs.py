"""The run folder, which training writes. Only this module knows its file names. Every write is atomic."""

from __future__ import annotations

import csv
import difflib
import errno
import importlib
import io
import json
import math
import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dltemplates.datasets.names import few
from dltemplates.datasets.spec import target_columns
from dltemplates.datasets.splitting.row_splits import RowSplits
from dltemplates.errors import first_line
from dltemplates.files import PARTIAL, atomic_path, atomic_write, sha256
from dltemplates.models.recursion import deep_networks
from dltemplates.run_json import RunRecord
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.template import Template, parse_template
from dltemplates.upgrade import read_record, upgrade_history, upgrade_run_record, upgrade_template

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from dltemplates.tasks.task import Task

RUNS_FOLDER = Path("saved_models")
MAX_TARGETS = 3  # named in a line
PICTURES = (".png", ".gif")
HDF5_OVERHEAD, HDF5_PER_ARRAY = 64 * 1024, 4 * 1024  # bytes, generously


class Run:
    """A run folder.

        run = dlt.load_run("saved_models/resnet8_digits")
        run.scores["test"], run.history, run.figures()

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self.definition_path = path / "definition.json"
        self.weights_path = path / "model.weights.h5"
        self.template_path = path / "template.toml"
        self.record_path = path / "run.json"
        self.labels_path = path / "assets" / "labels.txt"
        self.splits_path = path / "assets" / "splits.npz"
        self.history_path = path / "history.csv"
        self.figures_path = path / "figures"
        self.samples_path = self.figures_path / "samples"
        self.animation_path = self.figures_path / "samples_by_epoch.gif"
        self.report_path = path / "report.html"
        self.checkpoint_path = path / "checkpoint"
        self.exports_path = path / "exports"
        self.lock_path = path / ".lock"
        self.import_path = path / f"{PARTIAL}import"  # exists until an import and its exports are done

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name

    def split_note(self, split: str) -> str | None:
        """Return what to know about the scores of a split; None for nothing."""
        is_chosen = self.template.train.restore == "best" and self.record.epochs > 1
        return "the epoch was chosen on these examples" if split == "validation" and is_chosen else None

    def sample_path(self, epoch: int) -> Path:
        """Return the path of the images generated after an epoch, counted from 1."""
        return self.samples_path / f"epoch_{epoch:03d}.png"

    def save_texts(self, epoch: int, texts: list[dict[str, str]]) -> None:
        """Write the texts that the network wrote after an epoch, counted from 1."""
        atomic_write(self.samples_path / f"epoch_{epoch:03d}.json", json.dumps(texts, ensure_ascii=False, indent=1))

    def texts_by_epoch(self) -> dict[int, list[dict[str, str]]]:
        """Read the texts that the network wrote after some epochs of its training."""
        paths = {int(path.stem.removeprefix("epoch_")): path for path in self.samples_path.glob("epoch_*.json")}
        return {epoch: json.loads(paths[epoch].read_text(encoding="utf-8")) for epoch in sorted(paths)}

    @cached_property
    def template(self) -> Template:
        """The template of the training, with all defaults."""
        table = tomllib.loads(self.template_path.read_text(encoding="utf-8"))
        return parse_template(upgrade_template(table), source=str(self.path))

    @property
    def record(self) -> RunRecord:
        """The current content of `run.json`.

        Raises:
            ValueError: If the file is missing, broken, or of a later major version.
        """
        try:
            text = self.record_path.read_bytes()
        except FileNotFoundError:
            raise ValueError(
                f"A run folder must hold run.json. Received: {self.path}. `dlt list runs` names the runs here."
            ) from None
        return read_record(
            RunRecord,
            text,
            upgrade_run_record,
            name="run.json",
            source=self.record_path,
            way_out="Restore it, or train again.",
        )

    @cached_property
    def rows(self) -> RowSplits | None:
        """The split of each example. None if the data came with splits, or the run is of the first edition.

        Raises:
            ValueError: If the file is broken.
        """
        if self.splits_path.name not in {Path(name).name for name in self.record.sha256}:
            return None
        self.verify(self.splits_path)
        return RowSplits.from_bytes(self.splits_path.read_bytes(), str(self.splits_path))

    def save_record(self, record: RunRecord) -> None:
        """Write `run.json` with the digests of the existing files."""
        files = (self.definition_path, self.weights_path, self.template_path, self.labels_path, self.splits_path)
        digests = {str(f.relative_to(self.path)): sha256(f) for f in files if f.exists()}
        record = record.model_copy(update={"sha256": digests})
        atomic_write(self.record_path, record.model_dump_json(indent=2))

    def verify(self, *paths: Path) -> None:
        """Compare files with their digests in `run.json`; without `paths`, compare all files listed there.

        Raises:
            ValueError: If a file is missing or has changed.
        """
        digests = {self.path / name: digest for name, digest in self.record.sha256.items()}
        for path in paths or digests:
            if not path.is_file():
                raise ValueError(f"A run must be complete. Received: {self.path} without {path.name}. Train it again.")
            if sha256(path) != digests.get(path):
                raise ValueError(
                    f"The files of a run must not change. Received: {path}, whose sha256 differs from run.json. "
                    "Restore it, or train again."
                )

    @property
    def written(self) -> tuple[Path, ...]:
        """All files and folders of a run; the record comes first, since without it the folder is no run."""
        files = (self.definition_path, self.weights_path, self.template_path, self.history_path, self.report_path)
        folders = (self.labels_path.parent, self.figures_path, self.checkpoint_path, self.exports_path)
        return (self.record_path, *files, *folders)

    def is_replaceable(self) -> bool:
        """Return whether the folder holds only files of a run or a build."""
        known = (*self.written, self.lock_path)
        return all(path in known or path.name.startswith(PARTIAL) for path in self.path.iterdir())

    def clear(self) -> None:
        """Remove the files of the run and nothing else. The lock stays, since a process may hold it."""
        for path in self.written:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.sweep()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Lock the run against other processes. The lock ends with the process, even after a crash.

        Raises:
            ValueError: If another process holds the lock.
        """
        try:
            with FileLock(self.lock_path, timeout=0):
                yield
        except Timeout:
            raise ValueError(
                f"Only one process may train a run at a time. Received: {self.path}, which another process is "
                "training. Wait for it, or choose another folder with -o."
            ) from None

    def is_abandoned_import(self) -> bool:
        """Return whether an import began here, and its process ended before it was done."""
        if not self.import_path.exists():
            return False
        try:
            with self.claimed():
                return True
        except ValueError:  # it still runs
            return False

    def sweep(self) -> None:
        """Remove partial files of killed processes."""
        figures = (self.figures_path, self.samples_path)
        for folder in (self.path, self.checkpoint_path, *figures, self.labels_path.parent):
            for path in folder.glob(f"{PARTIAL}*"):
                path.unlink(missing_ok=True)

    def task(self) -> Task:
        """Return the task of the run."""
        from dltemplates.tasks.task import make_task

        return make_task(self.template.task, self.record.spec, from_file=True)

    @deep_networks()
    def model(self) -> keras.Model:
        """Rebuild the trained model from its definition and weights.

        Only layers of Keras, of this package and of modules that the user has imported are allowed.

        Raises:
            ValueError: If the definition names an unknown layer.
        """
        import keras

        import dltemplates.layers  # noqa: F401 - registers the package's layers with Keras

        text = self.definition_path.read_text(encoding="utf-8")
        try:
            model = keras.models.model_from_json(text)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{self.definition_path} must name known layers. Received: {first_line(error)} "
                "Import the module of your own layers with --import."
            ) from error
        model.load_weights(self.weights_path)
        return model

    def serving_models(self) -> dict[str, ServingModel]:
        """Return the serving models by name: the whole network under `""`, its parts under their names."""
        return self.task().serve(self.model(), self.record.spec, self.template, name=self.name)

    def serving(self) -> ServingModel:
        """Return the serving model of the whole network."""
        return self.serving_models()[""]

    def describe(self) -> str:
        """Describe the run in one line, for `dlt list runs`."""
        try:
            record, template = self.record, self.template
        except (ValueError, OSError) as error:
            return f"broken: {first_line(error)}"
        first = next(iter(record.scores.get("test", {})), None)
        score = "" if first is None else f", test {first} {record.describe_score('test', first)}"
        predicts = f", predicts {target}" if (target := few(target_columns(record.spec), MAX_TARGETS)) else ""
        return f"{template.model.name} on {template.dataset.name}{predicts}, {record.state}{score}"

    def save_weights(self, model: keras.Model) -> None:
        """Write `model.weights.h5`.

        Raises:
            OSError: If the disk is full or read-only; the old weights stay.
        """
        # HDF5 crashes the process when the disk is full, so check the free space first.
        needed = HDF5_OVERHEAD + sum(4 * math.prod(array.shape) + HDF5_PER_ARRAY for array in model.variables)
        if shutil.disk_usage(self.path).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.weights_path))
        with atomic_path(self.weights_path) as path:
            model.save_weights(path)

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The scores by split, such as `run.scores["test"]["accuracy"]`."""
        return self.record.scores

    @property
    def history(self) -> pd.DataFrame:
        """The metrics of each epoch, such as `run.history.plot(y=["loss", "val_loss"])`."""
        import pandas as pd

        rows = self.history_rows()
        return pd.DataFrame(rows).set_index("epoch").rename_axis("epoch") if rows else pd.DataFrame()

    def figures(self) -> dict[str, Path]:
        """Return the paths of the figures by name; `PIL.Image.open` and `IPython.display.Image` show one."""
        return {path.stem: path for path in sorted(self.figures_path.glob("*.*")) if path.suffix in PICTURES}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}): {self.describe()}"

    def _repr_html_(self) -> str:
        """Return the scores, figures and exports for a notebook."""
        # By its name, since the reports import this module.
        return str(importlib.import_module("dltemplates.reports.notebook").run_html(self))

    def history_rows(self) -> list[dict[str, float]]:
        """Read the rows of `history.csv`, one per epoch."""
        if not self.history_path.exists():
            return []
        with self.history_path.open(newline="", encoding="utf-8") as file:
            rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        return upgrade_history(rows)

    def save_history(self, rows: list[dict[str, float]]) -> None:
        """Write `history.csv`."""
        text = io.StringIO()
        if rows:
            columns = list(dict.fromkeys(name for row in rows for name in row))  # stages have their own metrics
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        atomic_write(self.history_path, text.getvalue())


def load_run(path: str | Path) -> Run:
    """Open a run with trained weights, and verify its digests.

        run = dlt.load_run("saved_models/resnet8_digits")

    Raises:
        ValueError: If the folder is missing, unfinished or incomplete, or a file has changed.
    """
    run = Run(Path(path))
    if not run.path.is_dir():
        raise ValueError(f"A run must be a folder. Received: {path}. {near_run(path)}")
    if run.import_path.exists():
        raise ValueError(
            f"A run must be complete. Received: {path}, whose import is not done. "
            "Wait for it, or repeat its `dlt export`."
        )
    record = run.record
    if record.state == "running" or run.weights_path.name not in record.sha256:
        raise ValueError(
            f"A run must be trained before it is used. Received: {path}, which has no finished weights. "
            f"Continue with `dlt train {run.template_path} --resume -o {path}`."
        )
    run.verify()
    return run


def near_run(path: str | Path) -> str:
    """Return a sentence that helps to find the run that a wrong path means."""
    names = [run.name for run in list_runs()]
    if near := difflib.get_close_matches(Path(path).name, names, n=1):
        return f"Did you mean {RUNS_FOLDER / near[0]}?"
    return "`dlt list runs` names the runs here." if names else "Train one first, such as `dlt run resnet8_digits`."


def list_runs(folder: Path = RUNS_FOLDER) -> list[Run]:
    """Return the runs in a folder, sorted by name.

        dlt.list_runs()

    Args:
        folder: The folder of the runs.
    """
    return [Run(path.parent) for path in sorted(folder.glob("*/run.json"))]
