"""Upgrades of files from earlier versions: contracts, run records, export reports, templates of runs.

Files outlive the version that wrote them; an app keeps its exported files for years. So each record has a version
`"major.minor"`; the first edition wrote the number 1. Within a major version fields are only added, and readers ignore
unknown fields. A new meaning of a field starts a new major version, and the functions here convert old tables to new
ones. No other module knows the old formats. Templates that users write are not upgraded: they get an error with the
new key. Only the command line accepts old keys, for one version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dltemplates.errors import first_line

Table = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)

# Settings for one kind of data: flat keys in the first edition, now in that kind's table.
DATASET_KEYS = {
    "image_size": "images.size",
    "channels": "images.channels",
    "resize": "images.resize",
    "columns": "table.columns",
    "window": "series.window",
    "horizon": "series.horizon",
    "period": "series.season_length",
}

# Settings renamed since the first edition. Under `task` and `model`, only options of ready tasks and models.
RENAMED_KEYS = {
    "train.keep": "train.restore",
    "train.labels": "train.num_labeled",
    "train.pretrain": "train.layerwise_pretrain",
    "train.pretrain.steps": "train.layerwise_pretrain.gibbs_steps",
    "task.judge": "task.evaluator",
    "task.relative": "task.subtract_last",
    "task.steps": "task.gibbs_steps",
    "model.code": "model.latent_dim",
    "export.strings": "export.string_inputs",
}
RENAMED_KINDS = {"future": "horizon", "past": "history", "scores": "probabilities", "decision": "binary"}
RENAMED_SCORES = {
    "distance": "fid",
    "spread": "diversity",
    "coverage": "class_coverage",
    "share_on": "mean_activation",
}


def upgrade_contract(table: Table) -> Table:
    """Return the contract of an exported file in the current format."""
    version = version_of(table["format_version"])
    data = table.get("data")
    if version < (2, 0) and isinstance(data, dict):
        table = table | {"data": _with_tables(data)}
    if version >= (3, 0):
        return table
    table = _with_kinds(_with_options(table))
    system = table.get("system")
    return table | {"system": _with_kinds(_with_options(system))} if isinstance(system, dict) else table


def upgrade_run_record(table: Table) -> Table:
    """Return a `run.json` in the current format."""
    if isinstance(table.get("scores"), dict):
        table = table | {"scores": _with_bound(table["scores"])}
    if version_of(table["format_version"]) >= (2, 0):
        return table
    for name, upgrade in (("spec", _with_kinds), ("scores", _with_scores), ("details", _with_details)):
        if isinstance(table.get(name), dict):
            table = table | {name: upgrade(table[name])}
    return table


def upgrade_report(table: Table) -> Table:
    """Return an `export_report.json` in the current format; its parts are reports of the same version."""
    metric = table.get("metric")
    if isinstance(metric, str) and metric in RENAMED_SCORES and ":" not in str(table.get("task")):
        table = table | {"metric": RENAMED_SCORES[metric]}
    parts = table.get("parts")
    if not isinstance(parts, dict):
        return table
    return table | {"parts": {name: _without_version(part) for name, part in parts.items()}}


def upgrade_template(table: Table) -> Table:
    """Return a run's template in the current format; it has no version, so old keys mark an old template."""
    if isinstance(dataset := table.get("dataset"), dict):
        table = table | {"dataset": _with_tables(dataset)}
    for parent in ("task", "model", "train", "export"):
        if isinstance(table.get(parent), dict):
            table = table | {parent: _renamed(parent, table[parent])}
    return table


def upgrade_history(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return the rows of a `history.csv` with the current column names."""
    names = {f"val_{old}": f"val_{new}" for old, new in RENAMED_SCORES.items()}
    names |= {"made_accuracy": "generated_accuracy", "val_made_accuracy": "val_generated_accuracy"}
    names |= {"mae": "scaled_mae", "val_mae": "val_scaled_mae"}  # of standardized targets
    if not any({"val_spread", "made_accuracy", "val_mae"} & row.keys() for row in rows):
        return rows
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


def upgrade_key(dotted: str, *, is_series: bool) -> str:
    """Return the current dotted path of a setting.

    Args:
        dotted: The old or current path, such as `dataset.window`.
        is_series: Whether the data is a series, whose columns belong to `dataset.series`.
    """
    for old in sorted(RENAMED_KEYS, key=len, reverse=True):
        if dotted == old or dotted.startswith(f"{old}."):
            return RENAMED_KEYS[old] + dotted.removeprefix(old)
    parent, _, rest = dotted.partition(".")
    key, dot, below = rest.partition(".")
    if parent != "dataset" or key not in DATASET_KEYS:
        return dotted
    moved = "series.columns" if key == "columns" and is_series else DATASET_KEYS[key]
    return f"dataset.{moved}{dot}{below}"


def read_record(
    model: type[Model],
    text: str | bytes,
    upgrade: Callable[[Table], Table],
    *,
    name: str,
    source: str | Path,
    way_out: str,
) -> Model:
    """Read a record of this version, an earlier one, or a later one of the same major version.

    Reading ignores unknown fields at every depth. Writing builds the model, which refuses them.

    Args:
        model: Class of the record; the default of its `format_version` is the current version.
        text: JSON; bytes are UTF-8.
        upgrade: The function above for this record; it takes the table as written, with its version.
        name: Name of the record in errors.
        source: File of the record.
        way_out: A sentence for errors: how to repair a broken record.

    Returns:
        The record.

    Raises:
        ValueError: If the record is broken or of a later major version.
    """
    current = model.model_fields["format_version"].default
    known = version_of(current)
    version = known
    try:
        table = json.loads(text)
        version = version_of(table.get("format_version") if isinstance(table, dict) else None)
        if version[0] <= known[0]:
            return model.model_validate({**upgrade(table), "format_version": current}, extra="ignore")
    except (ValueError, RecursionError) as error:  # JSON, Unicode and pydantic errors are ValueErrors
        way_out = "Update dltemplates." if version > known else way_out
        raise ValueError(f"{name} must be valid. Received: {source} ({_explain(error)}). {way_out}") from None
    raise ValueError(
        f"{name} must be of version {known[0]} or earlier. Received: {source}, of version {version[0]}.{version[1]}. "
        "Update dltemplates."
    )


def version_of(value: Any) -> tuple[int, int]:
    """Read a version: `"major.minor"` such as `"1.2"`, or the number 1 of the first edition.

    Returns:
        The major and the minor version.

    Raises:
        ValueError: If the value is not a version.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value, 0
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,5}\.[0-9]{1,6}", value):
        major, minor = value.split(".")
        return int(major), int(minor)
    raise ValueError(f"format_version: {repr(value)[:40]} is no version")


def _with_tables(dataset: Table) -> Table:
    """Move old flat settings of a dataset into the table of its kind; drop unused ones, as the first edition did."""
    flat = {key: value for key, value in dataset.items() if key in DATASET_KEYS}
    upgraded = {key: value for key, value in dataset.items() if key not in DATASET_KEYS}
    is_sized = flat.get("image_size") or flat.get("channels") or flat.get("resize", "stretch") != "stretch"
    is_series = bool(flat.get("window"))
    if is_sized and not str(dataset.get("name")).endswith(".csv"):
        used = ["image_size", "channels", "resize"]
    else:
        used = ["window", "horizon", "period", "columns"] if is_series else ["columns"]
    for key in used:
        if flat.get(key):
            _, kind, name = upgrade_key(f"dataset.{key}", is_series=is_series).split(".")
            upgraded[kind] = upgraded.get(kind, {}) | {name: flat[key]}
    return upgraded


def _renamed(parent: str, settings: Table) -> Table:
    """Return a table of settings with current keys; options of the user's own task or model keep their names."""
    if ":" in str(settings.get("name", "")):
        return settings
    renamed = {}
    for key, value in settings.items():
        current = upgrade_key(f"{parent}.{key}", is_series=False).rpartition(".")[2]
        if key == "pretrain" and isinstance(value, dict):
            value = {"gibbs_steps" if name == "steps" else name: option for name, option in value.items()}
        renamed[current] = value
    return renamed


def _with_options(contract: Table) -> Table:
    """Return a contract with the current names of its task's options."""
    options = contract.get("task_options")
    if not isinstance(options, dict) or ":" in str(contract.get("task")):
        return contract
    return contract | {"task_options": _renamed("task", options)}


def _with_kinds(table: Table) -> Table:
    """Return a spec or a contract with the current kinds of features."""
    for name in ("inputs", "outputs", "targets"):
        features = table.get(name)
        if isinstance(features, list):
            table = table | {name: [_with_kind(feature) for feature in features]}
    return table


def _with_kind(feature: Any) -> Any:
    kind = feature.get("kind") if isinstance(feature, dict) else None
    return feature | {"kind": RENAMED_KINDS[kind]} if isinstance(kind, str) and kind in RENAMED_KINDS else feature


def _with_scores(by_split: Table) -> Table:
    """Return the scores of each split by their current names; `spread` and `share_on` mark the affected tasks."""
    upgraded = {}
    for split, scores in by_split.items():
        if isinstance(scores, dict) and ("spread" in scores or "share_on" in scores):
            scores = {RENAMED_SCORES.get(name, name): score for name, score in scores.items()}
        upgraded[split] = scores
    return upgraded


def _with_bound(by_split: Table) -> Table:
    """Return the scores of each split, with the current name of a variational autoencoder's bound."""
    return {
        split: {"negative_elbo" if name == "loss" else name: score for name, score in scores.items()}
        if isinstance(scores, dict) and {"loss", "reconstruction", "kl"} <= set(scores)
        else scores
        for split, scores in by_split.items()
    }


def _with_details(by_split: Table) -> Table:
    """Return the details of each split by their current names."""
    names = {"judge": "evaluator", "distance_of_real": "fid_of_real"}
    upgraded = {}
    for split, details in by_split.items():
        if isinstance(details, dict) and "judge" in details:
            details = {names.get(name, name): value for name, value in details.items()}
        upgraded[split] = details
    return upgraded


def _without_version(part: Any) -> Any:
    if not isinstance(part, dict):  # broken: its model raises the error
        return part
    return {key: value for key, value in upgrade_report(part).items() if key != "format_version"}


def _explain(error: Exception) -> str:
    """Return an error in one line: for a pydantic error, the first wrong field."""
    if not isinstance(error, ValidationError):
        return first_line(error)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first_line(ValueError(first['msg']))}"
