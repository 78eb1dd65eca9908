"""The settings of a template as pages: type, default, range and meaning, read from the classes that validate them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dltemplates.cli import docstrings
from dltemplates.template import Template

REQUIRED = "required"
CHOICE = "choice"
MAX_INT = 2**31 - 1
TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        kind: Type in plain words, such as `whole number`.
        range: Allowed values, such as `above 0` or `best, last`; empty if the type says it all.
        default: Default value; None if the setting is unset by default, and `REQUIRED` if it has none.
        meaning: Description.
        tables: Classes of the tables that it holds: one, or several to choose from by name.
        example: Value for a template, where unsetting it needs no line.
    """

    kind: str
    range: str
    default: Any
    meaning: str
    tables: tuple[type[BaseModel], ...] = ()
    example: Any = None

    @property
    def allowed(self) -> str:
        """The type and the range in one phrase."""
        return allowed(self.kind, self.range)


@dataclass(frozen=True)
class Table:
    """A table of settings.

    Attributes:
        path: Where it lies in a template, such as `train.augment`; empty for the template itself.
        summary: First line of its description.
        settings: Settings by name.
        choice: Name that selects it, where its path may hold one of several tables, such as `adam`.
    """

    path: str
    summary: str
    settings: dict[str, Setting]
    choice: str = ""


def allowed(type_: str, range_: str) -> str:
    """Return a type and a range in one phrase, such as `whole number above 0` or `best, last`."""
    if type_ == CHOICE or not range_:
        return range_ or type_
    return f"{type_}{', ' if range_[0].isdigit() else ': ' if ',' in range_ else ' '}{range_}"


def tables() -> dict[str, Table]:
    """Return all tables of settings by the name for `dlt show`: the last part of the path, or the choice."""
    found: dict[str, Table] = {}
    _collect(Template, "", "", found)
    return found


def _collect(model: type[BaseModel], path: str, choice: str, found: dict[str, Table]) -> None:
    settings = settings_of(model)
    own = {key: setting for key, setting in settings.items() if not (choice and key == "name")}
    name = choice or path.rpartition(".")[2] or "template"
    if name in found or any(table.path != path and table.summary == _summary(model) for table in found.values()):
        return  # the momentum of `layerwise_pretrain` is that of `sgd`
    found[name] = Table(path, _summary(model), own, choice)
    for key, setting in settings.items():
        for inner in setting.tables:
            inner_choice = _choice_of(inner) if len(setting.tables) > 1 else ""
            _collect(inner, f"{path}.{key}".lstrip("."), inner_choice, found)


def settings_of(model: type[BaseModel]) -> dict[str, Setting]:
    """Return the settings of one table, by its class."""
    meanings = {key: text for base in reversed(inspect.getmro(model)) for key, text in _attributes(base).items()}
    settings = {}
    for name, field in model.model_fields.items():
        type_, range_ = _describe(field.annotation, field.metadata)
        default = REQUIRED if field.is_required() else field.default
        inner = tuple(_tables_in(field.annotation))
        example = next(iter(field.examples or ()), None)
        settings[name] = Setting(type_, range_, default, meanings.get(name, ""), inner, example)
    return settings


def tables_named(setting: Setting, name: str | None) -> type[BaseModel]:
    """Return the table of a setting that has this name, or its only one."""
    return next(table for table in setting.tables if len(setting.tables) == 1 or _choice_of(table) == name)


def default_of(setting: Setting) -> Any:
    """Return a setting's default as a value of TOML; of a table, a dictionary of the values that are not its own."""
    if isinstance(setting.default, BaseModel):
        return setting.default.model_dump(mode="json", exclude_defaults=True)
    return list(setting.default) if isinstance(setting.default, tuple) else setting.default


def _attributes(model: type) -> dict[str, str]:
    return docstrings.read_meanings(model.__doc__ or "", "Attributes")


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _choice_of(model: type[BaseModel]) -> str:
    (name,) = get_args(model.model_fields["name"].annotation)
    return str(name)


def _tables_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        for part in get_args(annotation):
            yield from _tables_in(part)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _describe(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[str, str]:
    """Return the type and the range of an annotation in plain words."""
    metadata = [*metadata]
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata += [bound for item in more for bound in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return _describe(annotation, metadata)
    arguments = [part for part in get_args(annotation) if part is not NoneType]
    if inner := [*_tables_in(annotation)]:
        if len(inner) == 1:
            return "table", ""
        return "name or table", ", ".join(map(_choice_of, inner))
    match get_origin(annotation):
        case origin if origin in (Union, UnionType):
            described = [_describe(part, metadata) for part in arguments]
            if len(described) == 1:
                return described[0]
            comma = "," if any(part_range for _, part_range in described) else ""
            return f"{comma} or ".join(allowed(*part) for part in described), ""
        case origin if origin is Literal:
            words = [{"\t": "tab"}.get(value, str(value)) for value in arguments]
            are_words = all(re.fullmatch(r"\w+", word) for word in words)
            return CHOICE, ", ".join(words if are_words else map(json.dumps, words))
        case origin if origin is tuple:
            type_, range_ = _describe(arguments[0])
            count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
            return f"list of {count}{type_}{'' if type_ == 'text' else 's'}", range_
        case origin if origin is dict:
            return "table", f"each value: {_describe(arguments[1])[1]}"
    return TYPES[annotation], _range(metadata, whole=annotation is int)


def _range(metadata: Iterable[Any], *, whole: bool) -> str:
    bounds = {key: getattr(item, key) for item in metadata for key in ("gt", "ge", "lt", "le") if hasattr(item, key)}
    if whole and "lt" in bounds:
        bounds["le"] = bounds.pop("lt") - 1
    if bounds.get("le") == MAX_INT:
        del bounds["le"]
    match bounds:
        case {"gt": low, "lt": high}:
            return f"between {low} and {high}"
        case {"ge": low, "lt": high}:
            return f"{low} to below {high}"
        case {"ge": low, "le": high}:
            return f"{low} to {high}"
        case {"gt": low}:
            return f"above {low}"
        case {"ge": low}:
            return f"{low} or more"
    return ""


def page(name: str) -> dict[str, Any] | None:
    """Return the page of a table, such as `train` or `adam`, or of one setting, ready for JSON.

    Args:
        name: Name of a table, its path in a template, or a setting, as `epochs` or `train.epochs`.
    """
    every = tables()
    if table := every.get(name) or next((t for t in every.values() if t.path == name and not t.choice), None):
        return {
            "name": name,
            "kind": "settings",
            "path": table.path,
            "choice": table.choice,
            "summary": table.summary,
            "settings": shown_settings(table),
        }
    rows = {}
    for table in every.values():
        for key, setting in table.settings.items():
            path = f"{table.path}.{key}".lstrip(".")
            if name in (path, key):
                rows[path + (f" of {table.choice}" if table.choice else "")] = _row(setting)
    if not rows:
        return None
    summary = "Setting of a template." if len(rows) == 1 else f"{len(rows)} settings of a template have this name."
    return {"name": name, "kind": "settings", "path": "", "choice": "", "summary": summary, "settings": rows}


def names() -> list[str]:
    """Return the names that `page` knows, for hints about typing errors."""
    every = tables()
    settings = [f"{table.path}.{key}".lstrip(".") for table in every.values() for key in table.settings]
    return [*every, *settings]


def shown_settings(table: Table) -> dict[str, dict[str, Any]]:
    """Return what to show for each setting of a table, by name."""
    return {key: _row(setting) for key, setting in table.settings.items()}


def _row(setting: Setting) -> dict[str, Any]:
    meaning = setting.meaning
    if setting.tables:
        known = {table.summary: name for name, table in tables().items()}
        shown = setting.default if isinstance(setting.default, BaseModel) else None
        meaning += f" See `dlt show {known[_summary(type(shown) if shown else setting.tables[0])]}`."
    default = setting.default.name if hasattr(setting.default, "name") else default_of(setting)
    if setting.tables and default == {}:
        default = "its defaults"
    return {"type": setting.kind, "default": default, "range": setting.range, "meaning": meaning}


def how_to_set(page: dict[str, Any]) -> str:
    """Return a sentence that says how to write the settings of a page."""
    if not page["path"]:
        return ""
    optional = (item for item in page["settings"].items() if item[1]["default"] != REQUIRED)
    key, row = next(optional, ("name", {"default": "..."}))
    default = row["default"]
    is_number = isinstance(default, (int, float)) and not isinstance(default, bool)
    name = f' with name = "{page["choice"]}"' if page["choice"] else ""
    value = default if is_number else "..."
    return f"In a template: [{page['path']}]{name}. In a command: --set {page['path']}.{key}={value}"


def plain(value: Any) -> str:
    """Write a value as on the command line."""
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {plain(item)}' for key, item in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else re.sub(r"e([+-])0", r"e\1", str(value))
