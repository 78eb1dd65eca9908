"""The exported files of a system whose parts count only together: found by one of them, and whole or refused."""

from __future__ import annotations

from pathlib import Path

from dltemplates.deploy import files
from dltemplates.deploy.report import REPORT_FILE, ExportReport, load_report


def find_system(path: Path) -> dict[str, Path]:
    """Return the files of all parts of the format that a part's file belongs to, by part.

    Args:
        path: An exported file, or a SavedModel folder, of a part that counts only together with others.

    Raises:
        ValueError: If no report tells of the file, a part is missing, or one is not of the export that the report tells
            of: a set of files that an interrupted export left is refused, never mixed.
    """
    path = path.resolve()
    for folder in path.parents[:2]:
        if (folder / REPORT_FILE).is_file():
            report = load_report(folder)
            if (key := _format_of(path, folder, report)) is not None:
                return _parts_of(key, folder, report)
    raise ValueError(
        f"The parts of a system must be files of one export. Received: {path}, of which no {REPORT_FILE} tells. Export "
        "again."
    )


def _format_of(path: Path, folder: Path, report: ExportReport) -> str | None:
    for result in report.results:
        for part, each in report.results_of(result.format).items():
            if each.file and folder / part / each.file == path:
                return result.format
    return None


def _parts_of(key: str, folder: Path, report: ExportReport) -> dict[str, Path]:
    found = {}
    for part, result in report.results_of(key).items():
        path = folder / part / (result.file or "")
        if result.file is None or not path.exists() or files.digest(path) != result.sha256:
            raise ValueError(
                f"The parts of a system must be files of one export. Received: `{part}` of {key} in {folder}, which is "
                "missing or not as the report says. Export again."
            )
        found[part] = path
    return found
