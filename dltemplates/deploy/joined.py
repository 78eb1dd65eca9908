"""Parts of a system that share one file and its weights, with a signature for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltemplates.deploy import files
from dltemplates.deploy.formats.format import Format
from dltemplates.tasks.serving.contract import ServingModel, join_contracts

if TYPE_CHECKING:
    from dltemplates.deploy.part import Part


def is_joined(format: Format, servings: Mapping[str, ServingModel]) -> bool:
    """Return whether a format has one file for all parts: the format allows it, and they are useful only together."""
    return (
        format.joins_parts
        and len(servings) > 1
        and all(serving.contract.system and format.key not in serving.formats for serving in servings.values())
    )


def joined_target(parts: Mapping[str, Part], format: Format, folder: Path) -> Path:
    """Return the final path of the file, in the exports folder."""
    contract = join_contracts({name: part.serving.contract for name, part in parts.items()})
    return folder / files.file_name(contract.name, format)


def joined_job(parts: Mapping[str, Part], format: Format, work: Path) -> dict[str, Any]:
    """Return the fields of a request to the converter process, which writes one file.

    Args:
        parts: The parts by name.
        format: The format.
        work: Folder for intermediate files.
    """
    jobs = {name: part.job(format) for name, part in parts.items()}
    shared = work / "+".join(Path(job["work"]).name for job in jobs.values())  # for formats of the same variants
    shared.mkdir(exist_ok=True)
    return {"parts": jobs, "work": str(shared)}
