"""Keras/TensorFlow application templates with deployment: train a classic network, export it, check the files.

The Python API has the same names as the command line:

    import dltemplates as dlt

    run = dlt.train("resnet8_digits")  # or dlt.train("transfer_folder", data="photographs")
    run.scores, run.history, run.figures()
    report = dlt.export(run)
    dlt.evaluate(run.exports_path / report.result("tflite:int8").file)
    dlt.predict(run, images)

Data may be the name or path of a dataset, arrays `(x, y)`, or a DataFrame. Settings change a template:
`dlt.load_template("resnet8_digits", {"train.epochs": 3})`. A notebook shows a run that ends a cell.

Importing this package does not import TensorFlow. Functions that need it import it on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# TensorFlow leaves oneDNN's kernels off on some processors. On one with AVX2 but no AVX-512, they trained convolutions
# about 1.4 times as fast. TensorFlow reads this variable on import; a value that the user has set stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if TYPE_CHECKING:
    from dltemplates.catalog import trust as trust
    from dltemplates.deploy.export_run import export as export
    from dltemplates.deploy.report import ExportReport as ExportReport
    from dltemplates.doctor import diagnose as diagnose
    from dltemplates.inference import evaluate as evaluate
    from dltemplates.inference import predict as predict
    from dltemplates.main_job import run as run
    from dltemplates.reports.compare import compare as compare
    from dltemplates.reports.report import write_report as write_report
    from dltemplates.runs import Run as Run
    from dltemplates.runs import list_runs as list_runs
    from dltemplates.runs import load_run as load_run
    from dltemplates.runtimes import Predictor as Predictor
    from dltemplates.runtimes import load_predictor as load_predictor
    from dltemplates.template import Template as Template
    from dltemplates.template import load_template as load_template
    from dltemplates.training.build import build as build
    from dltemplates.training.importing.import_model import import_model as import_model
    from dltemplates.training.train import train as train

_MODULES = {
    "ExportReport": "dltemplates.deploy.report",
    "Predictor": "dltemplates.runtimes",
    "Run": "dltemplates.runs",
    "Template": "dltemplates.template",
    "import_model": "dltemplates.training.importing.import_model",
    "compare": "dltemplates.reports.compare",
    "diagnose": "dltemplates.doctor",
    "list_runs": "dltemplates.runs",
    "run": "dltemplates.main_job",
    "trust": "dltemplates.catalog",
    "build": "dltemplates.training.build",
    "evaluate": "dltemplates.inference",
    "export": "dltemplates.deploy.export_run",
    "load_predictor": "dltemplates.runtimes",
    "load_run": "dltemplates.runs",
    "load_template": "dltemplates.template",
    "predict": "dltemplates.inference",
    "train": "dltemplates.training.train",
    "write_report": "dltemplates.reports.report",
}
_RENAMED = {"adopt": "import_model"}
__all__ = sorted([*_MODULES, "__version__"])


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        raise AttributeError(f"`dltemplates.{name}` is now `dltemplates.{_RENAMED[name]}`. Use the new name.")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
