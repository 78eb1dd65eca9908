"""Reports of earlier exports: the formats that stay valid, so that they need not be exported again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dltemplates import catalog
from dltemplates.deploy.part import scored_parts
from dltemplates.deploy.report import ExportReport, FormatResult, load_report
from dltemplates.settings import ExportSettings
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.serving.file_digest import path_digest

if TYPE_CHECKING:
    import keras


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 of a model's weights, in order."""
    total = hashlib.sha256()
    for variable in model.weights:  # not `variables`: each rebuild of a model draws new seeds
        array = np.ascontiguousarray(variable.numpy())
        total.update(f"{array.dtype}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def with_earlier(report: ExportReport, folder: Path) -> ExportReport:
    """Add the formats of an earlier export of the same weights if all their files are intact."""
    try:
        earlier = load_report(folder)
    except ValueError:
        return report
    known = {result.format for result in report.results}
    if (earlier.name, earlier.model_sha256) != (report.name, report.model_sha256):
        return report
    for result in earlier.results:
        results = earlier.results_of(result.format)
        intact = all(is_intact(folder, part, each) for part, each in results.items())
        if result.format not in known and intact and any(each.file for each in results.values()):
            report = report.with_results(results)
    return report.in_order(list(catalog.FORMATS))


def load_finished(
    servings: Mapping[str, ServingModel], folder: Path, max_drop: str, settings: ExportSettings
) -> ExportReport | None:
    """Return the finished formats of an earlier export of the same weights and settings; None if there are none."""
    first = servings[scored_parts(servings)[0]]
    try:
        earlier = load_report(folder)
    except ValueError:
        return None
    if (earlier.name, earlier.model_sha256) != (first.contract.name, weights_digest(first.model)):
        return None
    expected = (max_drop, settings.input, settings.calibration)
    finished = {
        result.format
        for result in earlier.results
        if all(
            each.verdict == "not offered"
            or (
                each.file
                and is_intact(folder, part, each)
                and (each.max_drop, each.input, each.calibration) == expected
            )
            for part, each in earlier.results_of(result.format).items()
        )
    }
    return earlier.only(finished) if finished else None


def is_intact(folder: Path, part: str, result: FormatResult) -> bool:
    """Return whether a file still has the digest in the report; True for a format without a file."""
    path = result.path(folder, part)
    return path is None or (path.exists() and path_digest(path) == result.sha256)
