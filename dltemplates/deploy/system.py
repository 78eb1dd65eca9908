"""The exported files of a system whose parts count only together: found by one of them, and whole or refused."""

from __future__ import annotations

from pathlib import Path

from dltemplates.deploy import files
from dltemplates.deploy.report import REPORT_FILE, ExportReport, load_report


def find_system(path: Path) -> dict[str, Path] | None:
    """Return the files of all parts of the format that a file belongs to, by part.

    Args:
        path: An exported file, or a SavedModel folder.

    Returns:
        The files; None where the file is a network that counts by itself, or lies in no folder of exports.

    Raises:
        ValueError: If a part is missing, or a file is not of the export that the report tells of.
    """
    for folder in path.resolve().parents[:2]:
        if not (folder / REPORT_FILE).is_file():
            continue
        report = load_report(folder)
        key = _format_of(path.resolve(), folder, report)
        if key is not None:
            return _parts_of(key, folder, report) if report.part else None
    return None


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
