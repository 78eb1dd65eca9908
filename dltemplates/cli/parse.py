"""Readers and checks of option values."""

from __future__ import annotations

import csv
import itertools
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from dltemplates import catalog, catalog_templates

NEGATIVE_NUMBER = re.compile(r"-\.?[0-9]")


class NumberArguments(click.Command):
    """A command whose arguments may begin with a negative number, such as `-0.5` or `-1.5,2`.

    Click reads every word that begins with `-` as an option. No option of such a command begins with a digit.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, with the arguments behind `--`."""
        try:
            return super().parse_args(ctx, self._arguments_last(args))
        except click.NoSuchOption as error:
            if error.option_name.startswith("--"):
                raise
            message = f"{error.message} Write -- before an input that begins with -."
            raise click.NoSuchOption(error.option_name, message, ctx=ctx) from None

    def _arguments_last(self, words: list[str]) -> list[str]:
        """Return the words with the arguments behind `--`; unchanged without a negative number."""
        if not any(NEGATIVE_NUMBER.match(word) for word in words):
            return words
        with_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        options: list[str] = []
        arguments: list[str] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                arguments += rest
            elif not word.startswith("-") or word == "-" or NEGATIVE_NUMBER.match(word):
                arguments.append(word)
            else:
                options.append(word)
                if word in with_value:
                    value = next(rest, None)
                    if value is None:
                        return options  # click's error names the option that lacks its value
                    options.append(value)
        return [*options, "--", *arguments]


class Commands(click.Group):
    """The commands of `dlt`; a name of the catalog in their place is answered with its command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command."""
        name = args[0]
        if name in self.commands:
            return super().resolve_command(ctx, args)
        if name in catalog_templates.files() or name.endswith(".toml"):
            raise ValueError(f"A command comes before a template. Received: dlt {name}. Try `dlt run {name}`.")
        if any(name in entries for entries in catalog.KINDS.values()):
            raise ValueError(f"A command comes before a name. Received: dlt {name}. Try `dlt show {name}`.")
        return super().resolve_command(ctx, args)


class Plural(click.Choice):
    """A choice of plurals that takes the singular too: `model` is `models`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the plural."""
        return super().convert(f"{value}s" if f"{value}s" in self.choices else value, param, ctx)


def complete_template(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ready templates and the .toml files that a word may become, for the shell."""
    names = [name for name in catalog_templates.names() if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def complete_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the catalog, and the settings, that a word may become, for the shell."""
    from dltemplates.cli import setting_pages  # loads pydantic

    known = [*catalog_templates.known_names(), *setting_pages.names()]
    return [CompletionItem(name) for name in sorted(set(known)) if name.startswith(incomplete)]


def renamed_flag(old: str, new: str) -> Callable[[Any], Any]:
    """Return a hidden option that refuses a flag's old name with an error that has the new one.

    Args:
        old: Old name, such as `--strict`.
        new: New name.
    """

    def refuse(_context: click.Context, _parameter: click.Parameter, is_given: bool) -> None:
        if is_given:
            raise ValueError(f"`{old}` is now `{new}`. Received: {old}. Use the new name.")

    return click.option(old, is_flag=True, hidden=True, expose_value=False, callback=refuse)


def import_modules(names: tuple[str, ...]) -> None:
    """Import the user's modules with their layers, tasks and datasets."""
    for name in names:
        try:
            catalog.trust(name)
        except ImportError as error:
            raise ValueError(
                f"--import must name a module. Received: {name!r} ({error}). Check its spelling and PYTHONPATH."
            ) from error


def task_options(settings: tuple[str, ...]) -> dict[str, Any]:
    """Read the options of a task, `task.name=value`.

    Raises:
        ValueError: If a setting is of something else.
    """
    from dltemplates.template import parse_overrides

    options = {}
    for key, value in parse_overrides(settings).items():
        parent, _, name = key.partition(".")
        if parent != "task" or not name or "." in name:
            raise ValueError(
                f"Only options of the task can change after the training. Received: {key}. Try `--set task.beam=4`."
            )
        options[name] = value
    return options


def numbers(text: str, option: str, count: int) -> list[float]:
    """Read `count` numbers separated by commas."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise ValueError(f"{option} must be {count} numbers separated by commas. Received: {text!r}.")
    return values


def names(text: str, option: str) -> tuple[str, ...]:
    """Read names separated by commas; a name with a comma is in double quotes."""
    values = next(csv.reader([text]), [])
    if not all(values) or len(values) < 2:
        raise ValueError(f"{option} must be two or more names separated by commas. Received: {text!r}.")
    return tuple(values)


def shape(text: str) -> tuple[int, ...]:
    """Read an input shape, such as `32,32,3`."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ValueError(f"--input-shape must be positive whole numbers. Received: {text!r}. Try 32,32,3.")
    return sizes


def check_workers(workers: int | None, max_restarts: int | None, strategy: str, devices: int | None) -> None:
    """Check that the options for workers fit together."""
    if workers is None and max_restarts is not None:
        raise ValueError("--max-restarts needs --workers. Received: --max-restarts alone. Add --workers 2.")
    if workers is not None and (strategy not in ("auto", "multiworker") or devices is not None):
        received = f"--strategy {strategy}" if devices is None else f"--devices {devices}"
        raise ValueError(
            f"--workers uses strategy multiworker with one device per worker. Received: {received}. Drop one."
        )


def classes(count: int) -> int:
    """Check a number of classes.

    Raises:
        ValueError: If it is less than two.
    """
    if count < 2:
        raise ValueError(
            f"A classifier must have at least two classes. Received: --classes {count}. "
            "Use --classes 2, or for regression --size num_outputs=1."
        )
    return count


FIRST_CHOICE = {  # template to try on data of a kind
    "images": "transfer_folder",
    "tables": "table_classification",
    "series": "series_forecasting",
    "sequences": "sequence_classification",
    "text": "text_classification",
}


def template_for(kind: str, data: str, target: str = "COLUMN") -> str:
    """Return a command for data of a kind: `images`, `tables`, `series`, `sequences` or `text`."""
    column = f" --set {shlex.quote(f'dataset.target={target}')}" if kind in ("tables", "series") else ""
    return f"dlt run {FIRST_CHOICE[kind]} --data {shlex.quote(data)}{column}"


def check_is_template(name: str) -> None:
    """Raise a `ValueError` if data or a run is in the place of a template."""
    path = Path(name)
    if name in catalog_templates.files() or path.suffix == ".toml" or not path.exists():
        return
    if (path / "template.toml").is_file():
        raise ValueError(
            f"Expected a template, not a run. Received: {name}. Try `dlt run {path / 'template.toml'}`, or to continue "
            f"it `dlt run {path / 'template.toml'} --resume -o {name}`."
        )
    if kind := _kind_of_data(path):
        raise ValueError(f"A template comes before the data. Received: {name}. Try `{template_for(kind, name)}`.")


def check_data_fits(name: str, data: Any, settings: Mapping[str, Any]) -> None:
    """Raise a `ValueError` if the data is of another kind than a ready template is for.

    Args:
        name: The template, as given.
        data: The data, as given; None for the template's.
        settings: The given settings by path. One for the kind of data shows that the user knows it.
    """
    group = catalog_templates.groups().get(name)
    kind = _kind_of_data(Path(data)) if isinstance(data, str) and data not in catalog.DATASETS else None
    if group is None or kind is None or any(setting.startswith(OF_KIND) for setting in settings):
        return
    is_for_sequences = "sequences" in (_dataset_of(name).get("name"), *_dataset_of(name).get("series", ()))
    is_for_images = group in ("images", "generative") and "images" in _dataset_of(name)
    if is_for_sequences:
        return
    if kind == "sequences" or (kind == "text" and group != "text"):
        received = {"sequences": "sequences", "text": "texts"}[kind]
    elif kind == "images" and group in ("tables", "series", "text"):
        received = "images"
    elif kind == "tables" and is_for_images:
        received = "a table"
    else:
        return
    wanted = {"tables": "a table", "series": "a series", "text": "texts"}.get(group, "images")
    command = template_for(kind, str(data), str(settings.get("dataset.target", "COLUMN")))
    raise ValueError(f"Template {name} is for {wanted}. Received: {data}, {received}. Try `{command}`.")


OF_KIND = ("dataset.images", "dataset.table", "dataset.series", "dataset.text")


def _dataset_of(template: str) -> dict[str, Any]:
    return dict(tomllib.loads(catalog_templates.text(template)).get("dataset", {}))


def _kind_of_data(path: Path) -> str | None:
    """Return `images`, `tables`, `sequences` or `text` for a path to data; None if it is none of them."""
    if path.suffix == ".jsonl" or (path.suffix == ".tsv" and path.is_file() and not _has_numbers(path)):
        return "text"
    if path.suffix in (".ts", ".tsv"):
        return "sequences"
    if path.suffix == ".npz":
        return "images"
    if path.suffix == ".csv":
        return "tables"
    if not path.is_dir():
        return None
    if any(path.glob("*/*.txt")):
        return "text"
    return "tables" if any(path.glob("*.csv")) and not any(child.is_dir() for child in path.iterdir()) else "images"


def _has_numbers(path: Path) -> bool:
    """Return whether the second line of a file with tabs has numbers after its first cell, as sequences have."""
    with path.open(encoding="utf-8", errors="replace") as file:
        *_, line = ("", *itertools.islice(file, 2))
    try:
        return len([float(cell) for cell in line.split("\t")[1:]]) > 1
    except ValueError:
        return False
