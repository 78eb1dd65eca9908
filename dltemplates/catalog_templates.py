"""The ready templates of the catalog: their names, groups, texts and measured results."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from dltemplates.catalog import DATASETS, KINDS, MODELS, NEEDS, OWN_DATA, check_name
from dltemplates.catalog_models import SERIES, TEXT

LEARNS = {  # a task's words in `dlt list`; others name the data alone
    "forecasting": "future of {}",
    "reconstruction": "compress {}",
    "anomaly": "unusual {}",
    "variational": "compress {}",
    "generation": "draw {}",
    "representation": "features of {}",
    "language_modeling": "continue {}",
}
OWN_NOUNS = {"images": "your images", "tables": "your table", "series": "your series", "text": "your texts"}
BASES = {True: "resnet8_digits", False: "vgg16_folder"}  # templates to try another model in: on small images, or not
SERIES_BASE = "series_forecasting"  # the same for a model of series
TEXT_BASE = "text_classification"  # of texts
MAX_SMALL = 64  # pixels


def files() -> dict[str, Traversable]:
    """Return the files of the ready templates, by name."""
    return {name: file for name, (_, file) in _files_by_name().items()}


def groups() -> dict[str, str]:
    """Return the group of each ready template, by name: its folder."""
    return {name: group for name, (group, _) in _files_by_name().items()}


def _files_by_name() -> dict[str, tuple[str, Traversable]]:
    folders = [folder for folder in (resources.files("dltemplates") / "templates").iterdir() if folder.is_dir()]
    found = [(folder, file) for folder in folders for file in folder.iterdir() if file.name.endswith(".toml")]
    return {file.name.removesuffix(".toml"): (folder.name, file) for folder, file in found}


def names() -> list[str]:
    """Return the sorted names of the ready templates."""
    return sorted(files())


def text(name: str) -> str:
    """Return the TOML of a ready template, with its comments.

    Raises:
        ValueError: If the template is unknown.
    """
    known = files()
    if name not in known and name in MODELS:
        raise ValueError(f"This must be a template, not a model. Received: {name}. Try `{command_for(name)}`.")
    check_name("template", name, known)
    return known[name].read_text(encoding="utf-8")


def command_for(model: str) -> str:
    """Return a command that trains a model: its ready template, or one for such data with another model."""
    rows = overview()
    models = {name: tomllib.loads(text(name))["model"] for name in rows}
    own = [name for name, used in models.items() if model == (used if isinstance(used, str) else used["name"])]
    small = MODELS[model].sizes.get("input_shape", (0,))[0] <= MAX_SMALL
    base = SERIES_BASE if model in SERIES else TEXT_BASE if model in TEXT else BASES[small]
    name = min(own, key=lambda name: NEEDS.index(rows[name]["needs"])) if own else base
    data = " --data PATH" if rows[name]["needs"] == "your data" else ""
    return f"dlt run {name}{data}" + ("" if own else f" --set model.name={model}")


def summary(name: str) -> str:
    """Return the first line of a ready template, its summary."""
    return text(name).partition("\n")[0].lstrip("# ")


def overview() -> dict[str, dict[str, Any]]:
    """Describe the ready templates in a few words.

    Returns:
        By template: its `group`; `learns`; `needs`, one of `NEEDS`; `summary`; and of its measured run on the test
        split the `seconds` of training, the `metric` and the `score`, or None.
    """
    results = tomllib.loads((resources.files("dltemplates") / "templates" / "results.toml").read_text(encoding="utf-8"))
    rows = {}
    for name, group in sorted(groups().items()):
        table = tomllib.loads(text(name))
        task, dataset = table["task"], DATASETS.get(table.get("dataset", {}).get("name", "").partition(":")[0])
        learns = LEARNS.get(task if isinstance(task, str) else task["name"], "{}")
        noun = dataset.noun if dataset else OWN_NOUNS.get(group, "your data")
        needs = ("nothing" if dataset.is_included else "download") if dataset else "your data"
        result = {key: results.get(name, {}).get(key) for key in ("seconds", "metric", "score")}
        about = {"group": group, "learns": learns.format(noun), "needs": needs, "summary": summary(name)}
        rows[name] = about | result
    return rows


def measured(model: str) -> dict[str, list[str]]:
    """Return the results of a model that its ready templates state.

    Returns:
        By template, the lines after `Measured` in its opening comment: the result, after any changed settings.
    """
    results = {}
    for name in names():
        toml = text(name)
        if tomllib.loads(toml).get("model", {}).get("name") == model:
            lines = re.findall(r"^# *Measured[,:] (.*(?:\n# *(?!Measured)\S.*)*)", toml, re.MULTILINE)
            results[name] = [re.sub(r"\n# *", " ", line) for line in lines]
    return results


def known_names() -> list[str]:
    """Return the names of all templates, models, datasets, tasks, formats and kinds of the user's data."""
    return [*names(), *(name for entries in KINDS.values() for name in entries), *OWN_DATA]
