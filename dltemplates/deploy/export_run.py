"""Export a run: its serving model, judged by its task on its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from dltemplates import catalog
from dltemplates.deploy.export import Progress, export_system
from dltemplates.deploy.report import ExportReport
from dltemplates.runs import Run, load_run
from dltemplates.settings import ExportSettings
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.string_lookup import with_string_inputs

STRING_INPUTS = "strings"  # the folder, and the name in the report, of the form that takes categories as text


def export(
    run: Run | str | Path,
    *,
    formats: Sequence[str] | Literal["all"] | None = None,
    max_drop: str | float | None = None,
    input: str | None = None,
    calibration: int | None = None,
    string_inputs: bool | None = None,
    resume: bool = False,
    progress: Progress = lambda key, state: None,
) -> ExportReport:
    """Export a run to every format wanted, and check each file in its own runtime.

    Args:
        run: A finished run, or its folder.
        formats: Catalog keys of formats; by default those of its template. One that the model cannot take fails when
            it is named, and is shown as not offered otherwise, as with `"all"`.
        max_drop: Greatest drop of the score: `0.01`, or `"1%"` of the float score; by default the template's.
        input: What int8 files take, `uint8` or `int8`; by default the template's.
        calibration: Number of training examples that set the ranges of the integer formats; by default the template's.
        strings: Whether to write a second form that takes the categories of a table as text, as part `strings`; by
            default the template's.
        resume: Go on with an export that was interrupted: formats that passed with the same weights and settings, and
            whose files are whole, are kept.
        progress: Called with a format and what becomes of it.

    Returns:
        The report; `.failed` names the formats that missed their budget or failed their check. It lies in `exports/`
        beside the files that passed; those of parts of the network are in folders below.

    Raises:
        ValueError: If the run is not whole, a format, the budget, `input` or `calibration` is wrong, or `strings` is
            asked for of a network that takes no categories.
    """
    if not isinstance(run, Run):
        run = load_run(run)
    every = tuple(catalog.FORMATS) if formats == "all" else None
    settings = _settings(
        run.template.export, formats=every, input=input, calibration=calibration, string_inputs=string_inputs
    )
    task, dataset = load_for(run)
    servings = run.servings()
    text_form = (
        with_string_inputs(servings[WHOLE]) if settings.string_inputs else None
    )  # refuse before anything is written
    common: dict[str, Any] = {
        "formats": None if formats == "all" else formats,
        "max_drop": max_drop,
        "weights_sha256": run.record.sha256[run.weights_path.name],
        "resume": resume,
    }
    report = export_system(servings, task, dataset, run.exports_path, settings, progress=progress, **common)
    if text_form is None and not dataset.note:
        return report
    report = report.model_copy(update={"data_note": dataset.note})
    if text_form is None:
        report.save(run.exports_path)
        return report
    own = export_system(
        {WHOLE: text_form},
        task,
        dataset,
        run.exports_path / STRING_INPUTS,
        settings,
        progress=lambda key, state: progress(f"{STRING_INPUTS} {key}", state),
        **common,
    )
    report = report.model_copy(update={"parts": report.parts | {STRING_INPUTS: own}})
    report.save(run.exports_path)
    return report


def _settings(settings: ExportSettings, **overrides: Any) -> ExportSettings:
    """The settings with those that are not None changed."""
    changes = {key: value for key, value in overrides.items() if value is not None}
    try:
        return ExportSettings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"`{first['loc'][0]}` is wrong. Received: {first['input']!r}. {first['msg']}.") from None
