"""The file that `dlt new` writes: a ready template in which every other option is a comment line."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from dltemplates import catalog, catalog_templates
from dltemplates.cli import pages
from dltemplates.cli.setting_pages import REQUIRED, Setting, allowed, default_of, settings_of, tables_named
from dltemplates.settings import KINDS
from dltemplates.template import NAMED, Template, load_template

WIDTH = 34  # of `name = value` before the meaning
ALTERNATIVES = {"epochs": "steps", "steps": "epochs"}  # settings that exclude each other
KIND_OF_GROUP = {"tables": "table", "series": "series", "text": "text"}  # other templates read images


def new_template(name: str, file: str) -> str:
    """Return the TOML of a new template.

    Args:
        name: The ready template to start from.
        file: Name of the new file, for the commands in its opening comment.

    Returns:
        The ready template, with the options that it does not set as comment lines. Each loads without its `#`.

    Raises:
        ValueError: If the template is unknown.
    """
    text = catalog_templates.text(name)
    given = tomllib.loads(text)
    kind = KIND_OF_GROUP.get(catalog_templates.groups()[name], "images")
    given = _with_tables(given, load_template(name))
    lines = [
        *_opening(text, name, file),
        "#",
        "# A line `# option = value` shows an option and its default: remove the # to set it.",
    ]
    lines += [*_table(Template, "", given, kind)]
    return "\n".join(lines) + "\n"


def _opening(text: str, name: str, file: str) -> list[str]:
    """Return the opening comment without its measured results, which are of the ready template."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    paragraphs = "\n".join(comment).split("\n#\n")
    kept = "\n#\n".join(
        paragraph for paragraph in paragraphs if not re.match("# *(Measured|For comparison)", paragraph)
    )
    return re.sub(rf"(dlt \w+) {name}\b", rf"\1 {file}", kept).splitlines()


def _with_tables(given: dict[str, Any], template: Template) -> dict[str, Any]:
    """Write a task, model, optimizer or learning rate as a table, even if the template has its name alone."""
    full = template.model_dump(mode="json")
    given = {**given, "train": dict(given.get("train", {}))}
    for path in NAMED:
        table, _, key = path.rpartition(".")
        parent, values = (given[table], full[table]) if table else (given, full)
        if not isinstance(parent.get(key), dict):
            written = {name: value for name, value in values[key].items() if value is not None}
            parent[key] = written if key == "learning_rate" else {"name": written["name"]}
    return given


def _table(model: type[BaseModel], path: str, given: dict[str, Any], kind: str) -> Iterator[str]:
    """Yield the lines of a table: what is set, the other options as comments, then the tables in it."""
    if path:
        yield f"\n[{path}]"
    inner = []
    settings = settings_of(model)
    for key, setting in settings.items():
        if path == "dataset" and key in KINDS and key not in given and (set(KINDS) & set(given) or key != kind):
            continue  # data is of one kind
        if path == "train" and ALTERNATIVES.get(key) in given:
            continue
        if setting.tables and isinstance(given.get(key), dict):
            inner.append((key, tables_named(setting, given[key].get("name"))))
        elif setting.tables and not path:
            inner.append((key, tables_named(setting, None)))
        elif setting.tables and setting.default is not REQUIRED and not given.get(key):
            # `layerwise_pretrain` is for networks of RBMs, and their template sets it.
            if key != "layerwise_pretrain" and (key != "augment" or kind == "images"):
                yield from _comments(f"{key}.", setting)
        elif key in given:
            yield _line(key, given[key], setting)
        elif setting.default is not REQUIRED and (key != "target" or kind != "images"):
            yield _line(key, _default(setting), setting, comment=True)
    if path in ("task", "model"):
        yield from _options(path, given)
    for key, table in inner:
        names = settings[key].range
        lines = _table(table, f"{path}.{key}".lstrip("."), given.get(key, {}), kind)
        yield next(lines) + (f"  # its name is one of {names}; `dlt show NAME` lists its options" if names else "")
        yield from lines


def _comments(prefix: str, setting: Setting) -> Iterator[str]:
    """Yield the options of a table that is not set, each with its path from the table around it."""
    path = prefix[:-1]
    if setting.default is None and path not in KINDS:  # any of its options would switch it on
        key, option = next(iter(settings_of(setting.tables[0]).items()))
        yield f"{f'# {path} = {_toml({key: _default(option)})}':{WIDTH}}  # off by default"
        return
    if default_of(setting):  # another value beside it would lose this one
        yield _line(path, default_of(setting), setting, comment=True)
        return
    for key, inner in settings_of(setting.tables[0]).items():
        if inner.tables:
            yield from _comments(f"{prefix}{key}.", inner)
        elif key != "name":
            yield _line(f"{prefix}{key}", _default(inner), inner, comment=True)


def _options(kind: str, given: dict[str, Any]) -> Iterator[str]:
    """Yield the options of a task or model, which are the arguments of its class or builder."""
    name = given["name"]
    if kind == "task":
        arguments = pages.task_options(catalog.describe("task", name))
    else:
        sizes = catalog.MODELS[name].sizes
        arguments = {k: v for k, v in pages.arguments_of(name).items() if k not in (*sizes, "name")}
    for key, argument in arguments.items():
        default = argument["default"]
        value = given.get(key, "..." if default is None else default)
        yield _line(key, value, Setting("", "", default, argument["meaning"]), comment=key not in given)
    for key, value in given.items():
        if key not in (*arguments, "name", "weights"):
            yield f"{_key(key)} = {_toml(value)}"


def _default(setting: Setting) -> Any:
    if setting.default is None:
        return setting.example or "none"
    return default_of(setting)


def _line(key: str, value: Any, setting: Setting, *, comment: bool = False) -> str:
    text = f"{'# ' if comment else ''}{key} = {_toml(value)}"
    meaning = re.split(r"\. (?=[A-Z`])", setting.meaning)[0].rstrip(".")
    if comment and value == "none" and setting.default is None:
        meaning = f"none, or {allowed(setting.kind, setting.range)}: {meaning[0].lower()}{meaning[1:]}"
    elif comment and setting.example:
        meaning = f"an example: {meaning[0].lower()}{meaning[1:]}"
    return f"{text:{WIDTH}}  # {meaning}" if meaning else text


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower()


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
