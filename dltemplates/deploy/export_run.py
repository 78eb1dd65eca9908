"""The export of a run: its task scores the files on its data."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from dltemplates import catalog
from dltemplates.datasets.in_memory import passed
from dltemplates.datasets.source import Dataset
from dltemplates.deploy.export import Progress, export_system
from dltemplates.deploy.report import ExportReport
from dltemplates.runs import Run, load_run
from dltemplates.settings import ExportSettings
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.serving.streaming import with_state
from dltemplates.tasks.serving.string_lookup import with_string_inputs

STRING_INPUTS = "strings"  # folder and report name of the export with string inputs
STATEFUL = "stateful"  # folder and report name of the streaming form


def export(
    run: Run | str | Path,
    *,
    data: Any = None,
    formats: Sequence[str] | Literal["all"] | None = None,
    max_drop: str | float | None = None,
    input: str | None = None,
    calibration: int | None = None,
    string_inputs: bool | None = None,
    stateful: bool | None = None,
    resume: bool = False,
    progress: Progress = lambda key, state: None,
) -> ExportReport:
    """Export a run to the chosen formats, and check each file in its own runtime.

        report = dlt.export(run, formats=["tflite:int8"])

    Args:
        run: A finished run, or its folder.
        data: The arrays of a run on arrays, as in `train`.
        formats: Catalog keys, or `"all"`; by default the template's formats. An unsupported format fails if you name
            it, and is otherwise reported as not offered.
        max_drop: Greatest drop of the score: `0.01`, or `"1%"` of the float score; by default the template's.
        input: Input dtype of int8 files, `uint8` or `int8`; by default the template's.
        calibration: Number of training examples that calibrate the integer formats; by default the template's.
        string_inputs: Whether to also export a model that takes a table's categories as strings, as part `strings`; by
            default the template's.
        stateful: Whether to also export the streaming form of a sequence network, as part `stateful`: one row in, the
            states in and out; by default the template's.
        resume: Continue an interrupted export. Formats that passed with the same weights and settings are kept if
            their files are intact.
        progress: Called with a format and its state.

    Returns:
        The report, also saved in `exports/` beside the files that passed; `.failed` names the formats that failed. The
        files of parts are in subfolders.

    Raises:
        ValueError: If the run is incomplete; if a format, the budget, `input` or `calibration` is wrong; or if
            `string_inputs` is set for a network without categories, or `stateful` for one without states.
    """
    if not isinstance(run, Run):
        run = load_run(run)
    all_formats = tuple(catalog.FORMATS) if formats == "all" else None
    settings = _override(
        run.template.export,
        formats=all_formats,
        input=input,
        calibration=calibration,
        string_inputs=string_inputs,
        stateful=stateful,
    )
    with passed(data):
        task, dataset = load_for(run)
    servings = run.serving_models()
    variants = _variants(servings, settings, dataset)  # before the export, so that an error leaves no file behind
    common: dict[str, Any] = {
        "formats": None if formats == "all" else formats,
        "max_drop": max_drop,
        "weights_sha256": run.record.sha256[run.weights_path.name],
        "resume": resume,
    }
    report = export_system(servings, task, dataset, run.exports_path, settings, progress=progress, **common)
    if not variants and not dataset.note:
        return report
    report = report.model_copy(update={"data_note": dataset.note})
    for name, serving in variants.items():
        variant_report = export_system(
            {WHOLE: serving},
            task,
            dataset,
            run.exports_path / name,
            settings,
            progress=functools.partial(_report_variant, progress, name),
            **common,
        )
        report = report.model_copy(update={"parts": report.parts | {name: variant_report}})
    report.save(run.exports_path)
    return report


def _report_variant(progress: Progress, name: str, key: str, state: str) -> None:
    progress(f"{name} {key}", state)


def _variants(
    servings: Mapping[str, ServingModel], settings: ExportSettings, dataset: Dataset
) -> dict[str, ServingModel]:
    """Return the further forms of the whole network to export, by the name of their folder."""
    variants = {}
    if settings.string_inputs:
        variants[STRING_INPUTS] = with_string_inputs(servings[WHOLE])
    if settings.stateful:
        variants[STATEFUL] = with_state(servings[WHOLE], dataset.split("train"))
    return variants


def _override(settings: ExportSettings, **overrides: Any) -> ExportSettings:
    """Return the settings with each override that is not None."""
    changes = {key: value for key, value in overrides.items() if value is not None}
    try:
        return ExportSettings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"`{first['loc'][0]}` is wrong. Received: {first['input']!r}. {first['msg']}.") from None
