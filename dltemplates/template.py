"""The template: one TOML file with the task, dataset, model, training and export of a network."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ValidationError,
)

from dltemplates import catalog, catalog_templates
from dltemplates.settings import (
    NO_DATASET,
    DatasetSettings,
    ExportSettings,
    ModelSettings,
    Named,
    SettingsTable,
    Whole,
    name_or_table,
)
from dltemplates.train_settings import TrainSettings
from dltemplates.upgrade import RENAMED_KEYS, upgrade_key, upgrade_template

COLUMNS = ("dataset.table.columns.", "dataset.series.columns.")
OPTIONS = ("task", "model")  # tables that hold options
NAMES = ("task", "task.name", "model", "model.name")
LENGTHS = {"train.epochs": "train.steps", "train.steps": "train.epochs"}
LEARNING_RATE = "train.learning_rate"
NAMED = ("task", "model", "train.optimizer", "train.learning_rate")  # tables that may be a name alone


class Template(SettingsTable):
    """The task, dataset, model, training and export of a network.

        template = dlt.load_template("resnet8_digits")
        print(template.to_toml())

    Attributes:
        task: What the network learns: a name of `dlt list tasks`, with its options.
        dataset: The dataset and its splits.
        model: The network: a name of `dlt list models`, with its options.
        train: Settings of training.
        export: Settings of export.
        seed: Seed of all random numbers: weights, order of the examples, augmentation.
    """

    task: Annotated[Named, BeforeValidator(name_or_table)]
    dataset: DatasetSettings = DatasetSettings(name=NO_DATASET)
    model: Annotated[ModelSettings, BeforeValidator(name_or_table)]
    train: TrainSettings = TrainSettings()
    export: ExportSettings = ExportSettings()
    seed: Whole = 0

    def flat(self) -> dict[str, Any]:
        """Return every value by its dotted path."""
        return dict(_flat(self.model_dump(mode="json")))

    def to_toml(self) -> str:
        """Return the template as TOML, with all defaults."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def load_template(
    name: str | Path, overrides: dict[str, Any] | None = None, *, notify: Callable[[str], None] | None = None
) -> Template:
    """Load a template.

        template = dlt.load_template("resnet8_digits", {"train.epochs": 3})

    Args:
        name: Name of a ready template, or path of a TOML file.
        overrides: Values by dotted path, such as `{"train.epochs": 3}`.
        notify: If given, old names in `overrides` are accepted and `notify` is called with a line for each. Without it,
            old names are errors.

    Returns:
        The checked template.

    Raises:
        ValueError: If the template is unknown or breaks a rule.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ValueError(f"A template file must exist. Received: {path}. `dlt new {path} --from ...` writes one.")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"A template must be UTF-8 text. Received: {path} ({error}). Save it as UTF-8.") from None
    else:
        text = catalog_templates.text(str(name))
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"A template must be valid TOML. Received: {path}: {error}.") from error
    if (path.parent / "run.json").is_file():  # a run's template, perhaps written by an earlier version
        table = upgrade_template(table)
    optimizer = _optimizer(table)
    for dotted, value in sorted((overrides or {}).items(), key=lambda item: item[0] not in NAMES):
        is_own = (parent := dotted.partition(".")[0]) in OPTIONS and _is_own(table, parent)
        may_be_old = notify is not None and not is_own
        new = upgrade_key(dotted, is_series=_is_series(table, overrides or {})) if may_be_old else dotted
        if notify and new != dotted:
            notify(f"`{dotted}` is now `{new}`; the old name works in this version only")
        _override(table, new, value)
        if (other := LENGTHS.get(new)) and other not in (overrides or {}):  # two from the user are an error
            table["train"].pop(other.partition(".")[2], None)
    if _optimizer(table) != optimizer and not any(key.startswith(LEARNING_RATE) for key in overrides or {}):
        _unset_rate(table["train"])
    template = parse_template(table, source=str(name))
    for kind, named in (("task", template.task.name), ("model", template.model.name)):
        if ":" not in named:
            catalog.check_name(kind, named)
    return template


def parse_template(table: dict[str, Any], *, source: str = "template") -> Template:
    """Check a table read from TOML.

    Raises:
        ValueError: If a key breaks a rule; names the first one.
    """
    _check_options(table, source)
    try:
        return Template.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{source}: {_explain(first, is_series=_is_series(table))}") from None


def parse_overrides(pairs: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Read `key=value` pairs; a value that is not valid TOML is text.

    Raises:
        ValueError: If a pair has no `=`.
    """
    overrides = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise ValueError(f"A setting is `key=value`. Received: {pair!r}. Try `train.epochs=3`.")
        try:
            overrides[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            overrides[key.strip()] = text
    return overrides


def _check_options(table: dict[str, Any], source: str) -> None:
    """Raise a `ValueError` if an option of a ready task or model has its old name."""
    for old, new in RENAMED_KEYS.items():
        parent, key = old.split(".")[:2]
        settings = table.get(parent)
        if parent in OPTIONS and isinstance(settings, dict) and key in settings and not _is_own(table, parent):
            raise ValueError(f"{source}: {_say_renamed(old, new, settings[key])}")


def _say_renamed(old: str, new: str, received: Any) -> str:
    parent, _, name = new.rpartition(".")
    return f"`{old}` is now `{new}`. Received: {received!r}. Write it in the table [{parent}], as `{name}`."


def _is_own(table: dict[str, Any], parent: str) -> bool:
    """Return whether the task or the model is the user's own, `module:name`; its options keep their names."""
    named = table.get(parent)
    return ":" in str(named.get("name") if isinstance(named, dict) else named)


def _override(table: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    if columns := next((path for path in COLUMNS if dotted.startswith(path)), None):
        parents, last = columns.split(".")[:-1], dotted.removeprefix(columns)  # a column's name may have dots
    for depth, key in enumerate(parents):
        child = table.setdefault(key, {})
        if child == "none":  # a removed table starts again
            child = table[key] = {}
        elif isinstance(child, str):  # a name that gets options
            child = table[key] = {"name": child}
        elif not isinstance(child, dict):
            path = ".".join(parents[: depth + 1])
            raise ValueError(f"A setting must lie in a table. Received: {dotted}, but `{path}` is {child!r}.")
        table = child
    table[last] = value


def _optimizer(table: dict[str, Any]) -> tuple[str, bool]:
    """Return the name of the optimizer in a table read from TOML, and whether it has momentum."""
    train = table.get("train")
    optimizer = train.get("optimizer") if isinstance(train, dict) else None
    if not isinstance(optimizer, dict):
        return str(optimizer or "adam"), False
    return str(optimizer.get("name", "sgd")), bool(optimizer.get("momentum"))


def _unset_rate(train: dict[str, Any]) -> None:
    """Keep the shape of a learning-rate schedule without its rate, so that the optimizer sets it."""
    rate = train.get("learning_rate")
    name = rate if isinstance(rate, str) else "constant"
    schedule: dict[str, Any] = rate if isinstance(rate, dict) else {"name": name}
    shape = {key: value for key, value in schedule.items() if key not in ("peak", "value")}
    if schedule.get("peak") and "final" in shape:
        shape["final"] /= schedule["peak"]
    train["learning_rate"] = shape


def _is_series(table: dict[str, Any], overrides: Iterable[str] = ()) -> bool:
    """Return whether the settings are for a series, by their new or old names."""
    dataset = table.get("dataset")
    keys = [f"dataset.{key}" for key in dataset] if isinstance(dataset, dict) else []
    return any(key.startswith(("dataset.series", "dataset.window")) for key in [*keys, *overrides])


def _explain(error: Any, *, is_series: bool) -> str:
    """Return a pydantic error as one line: the rule, the received value, and a fix."""
    # A tagged union adds its tag to the location; it is not a key in the template.
    tags = {"sgd", "adagrad", "rmsprop", "adam", "adamw", "constant", "cosine", "one_cycle", "step"}
    path = [str(part) for part in error["loc"] if part not in tags]
    key = ".".join(path)
    received = error.get("input")
    if (new := upgrade_key(key, is_series=is_series)) != key:
        return _say_renamed(key, new, received)
    if error["type"] == "extra_forbidden":
        if full := find_setting(key):
            written = f" Try --set {full}={received}." if isinstance(received, (int, float, str)) else ""
            return f"unknown key `{key}`. Received: {received!r}. Did you mean `{full}`?{written}"
        known = _known_keys(path[:-1], error["loc"])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(known)}."
        return f"unknown key `{key}`. Received: {received!r}. {hint}"
    if error["type"] == "missing":
        return f"missing key `{key}`. Add it; `dlt show resnet8_digits` has an example."
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        return f"`{key}` must be one of {context['expected_tags']}. Received: {context['tag']!r}."
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("model_type", "model_attributes_type"):
        expected = "a table, or a name" if key in NAMED else "a table"
        return f"`{key}` must be {expected}. Received: {received!r}. Write it as [{key}], with its settings below."
    if error["type"] == "value_error":
        return f"`{key}`: {message}"
    if error["type"] == "tuple_type":
        return f"`{key}` must be a list, such as [64, 64]. Received: {received!r}."
    return f"`{key}`: {message[0].lower()}{message[1:]}. Received: {received!r}."


USUAL_NAMES = {  # of settings, in other tools
    "lr": "learning_rate",
    "batch": "batch_size",
    "epoch": "epochs",
    "num_epochs": "epochs",
    "image_size": "size",
    "img_size": "size",
    "patience": "early_stopping",
    "augmentation": "augment",
    "quantization": "formats",
}


def find_setting(key: str) -> str | None:
    """Return the path of the setting that a key means, such as `train.epochs` for `epochs`; None if there is none.

    Args:
        key: A setting's name without its table, or another usual name of a setting, such as `train.lr`.
    """
    parent, _, name = key.rpartition(".")
    name = USUAL_NAMES.get(name, name)
    if parent and name == key.rpartition(".")[2]:
        return None  # its table was given, so the name is wrong
    return min((path for path in _paths(Template) if path == name or path.endswith(f".{name}")), key=len, default=None)


def _paths(model: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of each setting."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _paths(part, f"{prefix}{name}.")


def _known_keys(parents: list[str], location: tuple[Any, ...]) -> list[str]:
    part: Any = Template
    for name in parents:
        part = part.model_fields[name].annotation
        if NoneType in get_args(part):
            part, _ = get_args(part)
    fields = getattr(part, "model_fields", None)
    if fields is None:  # a union: the tag in the location names its member
        members = {get_args(member.model_fields["name"].annotation)[0]: member for member in get_args(part)}
        fields = next(member for tag, member in members.items() if tag in location).model_fields
    return list(fields)


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _without_none(value: Any) -> Any:
    """Drop keys whose value is None, since TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
