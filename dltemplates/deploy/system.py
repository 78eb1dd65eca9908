"""Systems whose parts work only together: find the files of all parts from the path of one file."""

from __future__ import annotations

from pathlib import Path

from dltemplates.deploy.report import REPORT_FILE, ExportReport, load_report
from dltemplates.tasks.serving.file_digest import path_digest


def find_system(path: Path) -> dict[str, Path]:
    """Return the files of all parts of a system, by part.

    Args:
        path: An exported file, or a SavedModel folder, of one part.

    Raises:
        ValueError: If no report lists the file, or a part is missing or differs from the report. So the files of two
            exports are never mixed, even after an interrupted export.
    """
    path = path.resolve()
    for folder in path.parents[:2]:
        if (folder / REPORT_FILE).is_file():
            report = load_report(folder)
            if (key := _find_format(path, folder, report)) is not None:
                return _find_parts(key, folder, report)
    raise ValueError(
        f"The parts of a system must be files of one export. Received: {path}, which no {REPORT_FILE} lists. Export "
        "again."
    )


def _find_format(path: Path, folder: Path, report: ExportReport) -> str | None:
    for result in report.results:
        for part, each in report.results_of(result.format).items():
            if each.path(folder, part) == path:
                return result.format
    return None


def _find_parts(key: str, folder: Path, report: ExportReport) -> dict[str, Path]:
    paths = {}
    for part, result in report.results_of(key).items():
        path = result.path(folder, part)
        if path is None or not path.exists() or path_digest(path) != result.sha256:
            raise ValueError(
                f"The parts of a system must be files of one export. Received: `{part}` of {key} in {folder}, which is "
                "missing or differs from the report. Export again."
            )
        paths[part] = path
    return paths
