"""The lists of `dlt list`, in groups, at most 80 characters wide."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from dltemplates import catalog, catalog_templates
from dltemplates.catalog_models import MODEL_GROUPS

WIDTH = 80
GROUPS = {
    "images": "Images",
    "tables": "Tables",
    "series": "Series",
    "text": "Texts",
    "generative": "Generators and autoencoders",
}
METRICS = {
    "roc_auc": "AUC",
    "mae": "MAE",
    "mse": "MSE",
    "fid": "FID",
    "rmse": "RMSE",
    "negative_elbo": "-ELBO",
    "bleu": "BLEU",
    "loss": "loss",
}  # others by their own names
SHARES = ("accuracy", "AUC")
TEMPLATE_COLUMNS = ("template", "learns", "needs", "min", "score")
NOTES = (
    "min: minutes of training on two CPU cores. score: on the test split; accuracy,",
    "unless it has a name. -: not measured, or it depends on your data.",
    "Start one: dlt run resnet8_digits",
)
DATASET_NOTE = "Use one with --data: dlt run transfer_folder --data photographs"
MODEL_NOTE = "Explain one: dlt show lstm"


def show_templates() -> None:
    """Print the ready templates."""
    rows = catalog_templates.overview()
    for title, names in grouped(rows):
        cells = [(name, row["learns"], row["needs"], minutes(row), score(row)) for name, row in _of(rows, names)]
        _print_table(title, TEMPLATE_COLUMNS, cells, right=(3, 4))
    click.echo("\n".join(NOTES))


def show_models() -> None:
    """Print the models in groups."""
    width = max(map(len, catalog.MODELS))
    for title, models in MODEL_GROUPS.items():
        cells = [(name, entry.summary) for name, entry in models.items()]
        _print_table(title, (f"{'model':{width}}", "description"), cells)
    click.echo(MODEL_NOTE)


def show_datasets() -> None:
    """Print the datasets, the user's own kinds first."""
    rows = catalog.dataset_overview()
    own = [name for name in rows if name in catalog.OWN_DATA]
    named = {name: row for name, row in rows.items() if name not in own}
    for title, names in (("Your own", own), *grouped(named)):
        cells = [(name, row["needs"], row["summary"]) for name, row in _of(rows, names)]
        width = max(len(name) for name in rows)
        _print_table(title, (f"{'dataset':{width}}", "needs    ", "content"), cells)
    click.echo(DATASET_NOTE)


def show_runs(rows: dict[str, str]) -> None:
    """Print the runs: each in one line, or where that is too long, its description below its path."""
    width = max(map(len, rows), default=0)
    for path, description in rows.items():
        line = f"{path:{width}}  {description}"
        if len(line) > WIDTH:
            lines = textwrap.wrap(description, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
            line = "\n  ".join([path, *lines])
        click.echo(line)


def grouped(rows: dict[str, dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the names of each group; those that need nothing come first."""
    for group in dict.fromkeys((*GROUPS, *sorted(row["group"] for row in rows.values()))):
        names = [name for name, row in rows.items() if row["group"] == group]
        if names:
            yield GROUPS.get(group, group), sorted(names, key=lambda name: catalog.NEEDS.index(rows[name]["needs"]))


def _of(rows: dict[str, Any], names: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, rows[name]) for name in names]


def _print_table(
    title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]], right: tuple[int, ...] = ()
) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    click.secho(title, bold=True)
    for row in (head, *rows):
        cells = [
            f"{cell:>{width}}" if number in right else f"{cell:{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.secho("  ".join(cells).rstrip(), dim=row is head)
    click.echo()


def minutes(row: dict[str, Any]) -> str:
    """Return the minutes of training of a template, or a dash."""
    if row["seconds"] is None:
        return "-"
    return "<1" if row["seconds"] < 60 else str(math.ceil(row["seconds"] / 60))


def score(row: dict[str, Any]) -> str:
    """Return the score of a template with the name of its metric, or a dash."""
    if row["score"] is None:
        return "-"
    name, score = METRICS.get(row["metric"], row["metric"]), row["score"]
    digits = ".3f" if name in SHARES else ",.0f" if score >= 1000 else ".3g"
    figure = f"{score:{digits}}"
    return figure if name == "accuracy" else f"{name} {figure}"
