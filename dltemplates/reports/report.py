"""The report of a run: one HTML file with its scores, figures and exports, readable offline."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Callable
from pathlib import Path

import tomli_w
from jinja2 import Environment, PackageLoader, Template

from dltemplates.datasets.spec import DatasetSpec, describe_target
from dltemplates.deploy.report import load_run_report
from dltemplates.features import Category, Image, Number, Series, WithStatistics, classes_of, columns_of
from dltemplates.figures.captions import CAPTIONS
from dltemplates.files import atomic_write
from dltemplates.runs import Run, load_run
from dltemplates.tasks.load_for import data_note
from dltemplates.tasks.scoring.intervals import format_score, share_interval


def write_report(run: Run | str | Path, *, notify: Callable[[str | None], None] = lambda note: None) -> Path:
    """Write the `report.html` of a run.

        dlt.write_report("saved_models/resnet8_digits")

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
    page = load_page("report.html").render(
        run=run,
        record=run.record,
        target=describe_target(run.record.spec),
        template_text=template_text(run),
        figures=figures_of(run),
        texts_by_epoch=run.texts_by_epoch(),
        travelling=travelling_values(run.record.spec),
        exports=exports,
        data_note=note,
        exports_are_its_own=exports is not None and exports.is_of(run),
    )
    atomic_write(run.report_path, page)
    return run.report_path


def load_page(name: str) -> Template:
    """Return a page of this folder, to render."""
    environment = Environment(loader=PackageLoader("dltemplates", "reports"), autoescape=True, trim_blocks=True)
    environment.filters["format_score"] = format_score
    environment.filters["evidence"] = lambda share, units: share_interval(round(share * units), units)
    environment.filters["kilobytes"] = lambda size: f"{size / 1000:,.1f} kB"
    return environment.get_template(name)


def template_text(run: Run) -> str:
    """Return the template of a run without the settings that its data, model and formats do not use."""
    table = tomllib.loads(run.template_path.read_text(encoding="utf-8"))
    spec = run.record.spec
    unused = set() if any(isinstance(value, Image) for value in spec.inputs) else {"train.augment", "dataset.cache"}
    if not any(isinstance(value, Category) for value in spec.inputs):
        unused.add("export.string_inputs")
    if not any(isinstance(value, Series) for value in spec.inputs):
        unused.add("export.stateful")
    if not table["model"].get("auxiliary", table["model"]["name"] == "googlenet"):
        unused.add("train.auxiliary_weight")
    for path in unused:
        parent, _, key = path.partition(".")
        table.get(parent, {}).pop(key, None)
    return tomli_w.dumps(table)


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


def figures_of(run: Run) -> list[dict[str, str]]:
    """Return the heading, caption and picture of each figure of a run; those without a caption come last."""
    paths = run.figures()
    ordered = [name for name in CAPTIONS if name in paths] + [name for name in paths if name not in CAPTIONS]
    figures = []
    for name in ordered:
        heading, caption = CAPTIONS.get(name, (name.replace("_", " ").capitalize(), ""))
        text = f"{heading} of {run.name}. {caption}".strip()
        figures.append({"heading": heading, "caption": caption, "alternative": text, "url": _inline(paths[name])})
    return figures


def _inline(path: Path) -> str:
    """Return a picture as a data URL."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"
