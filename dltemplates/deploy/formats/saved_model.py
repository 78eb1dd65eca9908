"""TensorFlow SavedModel, for servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dltemplates.deploy.formats.format import Format

if TYPE_CHECKING:
    from dltemplates.deploy.converters.conversion_job import ConversionJob

MEMORY = 4.5  # multiple of the weights' bytes; measured by `tools/bench_memory.py weights`


def _convert(job: ConversionJob, out: Path) -> None:
    from dltemplates.deploy.converters.saved_model import export_saved_model

    export_saved_model(job.serving, out, job.contract)


SAVED_MODEL = Format(key="saved_model", suffix="", convert=_convert, tolerance=1e-4, memory=MEMORY)
