"""The report of a run: one HTML file with its scores, figures and exports, readable offline."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader

from dltemplates.datasets.spec import DatasetSpec, describe_target
from dltemplates.deploy.report import load_run_report
from dltemplates.features import Category, Number, WithStatistics, classes_of, columns_of
from dltemplates.figures.captions import CAPTIONS
from dltemplates.runs import Run, atomic_write, format_score, load_run
from dltemplates.tasks.load_for import data_note

PICTURES = (".png", ".gif")


def write_report(run: Run | str | Path, *, notify: Callable[[str | None], None] = lambda note: None) -> Path:
    """Write the `report.html` of a run.

    Args:
        run: A finished run, or its folder.
        notify: Called with one line on how its data changed since training; None if it did not.

    Returns:
        The path of the report.

    Raises:
        ValueError: If the run is incomplete.
    """
    if not isinstance(run, Run):
        run = load_run(run)
    exports = load_run_report(run)
    note = data_note(run)
    notify(note)
    environment = Environment(loader=PackageLoader("dltemplates", "reports"), autoescape=True, trim_blocks=True)
    environment.filters["format_score"] = format_score
    environment.filters["kilobytes"] = lambda size: f"{size / 1000:,.1f} kB"
    page = environment.get_template("report.html").render(
        run=run,
        record=run.record,
        target=describe_target(run.record.spec),
        template_text=run.template_path.read_text(encoding="utf-8"),
        figures=_figures(run),
        travelling=travelling_values(run.record.spec),
        exports=exports,
        data_note=note,
        exports_are_its_own=exports is not None and exports.is_of(run),
    )
    atomic_write(run.report_path, page)
    return run.report_path


def travelling_values(spec: DatasetSpec) -> list[dict[str, str]]:
    """Return the name and kind of each column and target, and the training data's values in the exported files."""
    rows = []
    for feature in dict.fromkeys((*spec.inputs, *spec.targets)):
        columns = columns_of(feature)
        if classes := classes_of(feature):
            name = columns[0].name if columns else feature.name
            rows.append({"name": name, "kind": "class", "values": ", ".join(classes)})
        elif isinstance(feature, Category):
            rows += [
                {"name": column.name, "kind": "category", "values": ", ".join(column.vocabulary) or "none"}
                for column in columns
            ]
        elif isinstance(feature, WithStatistics):
            of_inputs = "mean, standard deviation" + (", median" if isinstance(feature, Number) else "")
            rows += [{"name": column.name, "kind": column.kind, "values": of_inputs} for column in columns]
    return rows


def _figures(run: Run) -> list[dict[str, str]]:
    """Return the heading, caption and picture of each figure of a run; those without a caption come last."""
    paths = {path.stem: path for path in sorted(run.figures_path.glob("*")) if path.suffix in PICTURES}
    ordered = [name for name in CAPTIONS if name in paths] + [name for name in paths if name not in CAPTIONS]
    figures = []
    for name in ordered:
        heading, caption = CAPTIONS.get(name, (name.replace("_", " ").capitalize(), ""))
        figures.append({"heading": heading, "caption": caption, "url": _inline(paths[name])})
    return figures


def _inline(path: Path) -> str:
    """Return a picture as a data URL."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"
