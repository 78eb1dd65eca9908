"""The pages of `dlt show`, one for each name of the catalog."""

from __future__ import annotations

import textwrap
from typing import Any

import click

from dltemplates import catalog, catalog_templates
from dltemplates.cli import docstrings, parse
from dltemplates.cli import output as out

WIDTH = 100  # characters in a readable line
SECTIONS = ("Args:", "Returns:", "Raises:")  # of a docstring, for programmers


def gather(name: str) -> dict[str, Any]:
    """Return the page of a template, model, dataset, task, format or setting, ready for JSON.

    Raises:
        ValueError: If the name is unknown.
    """
    kinds = [kind for kind, entries in catalog.KINDS.items() if name in entries]
    if own := catalog.OWN_DATA.get(name):
        example = parse.template_for(own.group, own.example)
        return {"name": name, "kind": "data", "summary": own.summary, "example": example}
    if name in catalog_templates.names():
        return {"name": name, "kind": "template", "text": catalog_templates.text(name).rstrip()}
    if not kinds:
        from dltemplates.cli import setting_pages  # loads pydantic
        from dltemplates.template import find_setting

        if page := setting_pages.page(name):
            return page
        if path := find_setting(name):
            raise ValueError(f"Unknown name. Received: {name!r}. Did you mean {path}?")
        catalog.check_name("name", name, [*catalog_templates.known_names(), *setting_pages.names()])
    kind = kinds[0]
    if kind == "format":
        return {"name": name, "kind": kind, "summary": catalog.FORMATS[name].summary}
    texts = catalog.describe(kind, name)
    if kind == "model":
        return {"name": name, "kind": kind, **_model(name, texts)}
    page = {"name": name, "kind": kind, **{part: texts[part] for part in ("summary", "module", "docstring")}}
    return page | ({"options": task_options(texts)} if kind == "task" else {})


def show(page: dict[str, Any]) -> None:
    """Print a page."""
    match page["kind"]:
        case "template":
            click.echo(page["text"])
        case "format":
            click.echo(f"{page['name']}: {page['summary']}")
        case "data":
            click.echo(f"{page['name']}: {page['summary']}\nExample: {page['example']}")
        case "model":
            out.render(_model_page(page))
        case "settings":
            out.render(_settings_page(page))
        case _:
            out.render(_text_page(page))


def arguments_of(model: str) -> dict[str, dict[str, Any]]:
    """Return the default and the meaning of each argument of a builder."""
    texts = catalog.describe("model", model)
    return docstrings.read_arguments(texts["signature"], texts["docstring"])


def task_options(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the default and the meaning of each option of a task."""
    arguments = docstrings.read_arguments(texts["signature"], texts["arguments"])
    return {key: argument for key, argument in arguments.items() if key not in ("self", "spec")}


def _model(name: str, texts: dict[str, str]) -> dict[str, Any]:
    """Return the parts of a model's page. The network is built without weights, at the sizes of its paper."""
    from dltemplates.models.build import build_network
    from dltemplates.models.summary import stages, summarize, without_weights
    from dltemplates.tasks.assemble import without_auxiliary

    sizes, arguments = catalog.MODELS[name].sizes, arguments_of(name)
    trained = without_weights(lambda: build_network(name, sizes, {}))
    summary = summarize(without_auxiliary(trained))
    return {
        "summary": texts["summary"],
        **docstrings.read_module(texts["module"]),
        "sizes": {key: {"paper": value, "meaning": arguments[key]["meaning"]} for key, value in sizes.items()},
        "stages": [
            {
                "stage": stage.name,
                "output": stage.output_shape and stage.output_shape[1:],
                "layers": stage.layers,
                "parameters": stage.parameters,
                "macs": stage.macs,
            }
            for stage in stages(summary)
        ],
        "parameters": summary.parameters,
        "trainable": summary.trainable,
        "macs": summary.macs,
        "bytes": summary.bytes,
        "parameters_in_training": trained.count_params(),
        "options": {key: argument for key, argument in arguments.items() if key not in (*sizes, "name")},
        "results": catalog_templates.measured(name),
    }


def _model_page(page: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.table import Table
    from rich.text import Text

    about = Table.grid(padding=(0, 2, 0, 0))
    about.add_column(no_wrap=True)
    about.add_column(overflow="fold")  # never cut a paper's address
    for label, text in (("paper", page["paper"]), ("idea", page["idea"]), *(("", note) for note in page["notes"])):
        if text:
            about.add_row(Text(label, "bold"), _markdown(text) if text.startswith("|") else Text(text))
            about.add_row()
    totals = [f"{page['trainable']:,} of the parameters are trainable."]
    totals.append("All take " + ", ".join(f"{size:,} bytes as {dtype}" for dtype, size in page["bytes"].items()) + ".")
    if (trained := page["parameters_in_training"]) != page["parameters"]:
        totals.append(f"In training, with auxiliary classifiers, there are {trained:,}.")
    sized = {key: {"default": size["paper"], "meaning": size["meaning"]} for key, size in page["sizes"].items()}
    results = _table("template", "measured here")
    for template, lines in page["results"].items():
        results.add_row(template, Text("\n".join(lines) or "not yet"))
    sizes = ", ".join(f"{key} {_plain(size['paper'], ' x ')}" for key, size in page["sizes"].items())
    parts = [
        Text(f"{page['name']}: {page['summary']}\n", "bold"),
        about,
        Text(f"Layers by stage, at the sizes {sizes}\n", "bold"),
        _stages(page),
        Text("\n" + " ".join(totals) + "\n"),
        _options(sized | page["options"]),
        Text(),
        results if page["results"] else Text("No ready template trains this model yet."),
    ]
    return Constrain(Group(*parts), WIDTH)


def _text_page(page: dict[str, Any]) -> Any:
    """Return the page of a dataset or a task: its docstrings, and the options of a task."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.text import Text

    paragraphs = docstrings.read_paragraphs(page["module"]) + docstrings.read_paragraphs(page["docstring"])
    parts = [Text(f"{page['name']} ({page['kind']}): {page['summary']}\n", "bold")]
    parts += [Text(f"{paragraph}\n") for paragraph in paragraphs if not paragraph.startswith(SECTIONS)]
    return Constrain(Group(*parts, *([_options(page["options"])] if page.get("options") else [])), WIDTH)


def _settings_page(page: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.text import Text

    from dltemplates.cli.setting_pages import allowed, how_to_set, plain

    table = _table("setting", "default", "allowed", "meaning")
    for key, row in page["settings"].items():
        cells = (plain(row["default"]), allowed(row["type"], row["range"]), row["meaning"])
        table.add_row(key, *map(Text, cells))
    parts = [Text(f"{page['name']}: {page['summary']}", "bold")]
    parts += [Text(line) for line in (how_to_set(page), "")]
    parts.append(table)
    return Constrain(Group(*parts), WIDTH)


def _options(options: dict[str, dict[str, Any]]) -> Any:
    from rich.text import Text

    table = _table("option", "default", "meaning")
    for key, option in options.items():
        table.add_row(key, Text(_plain(option["default"])), Text(option["meaning"]))
    return table


def _stages(page: dict[str, Any]) -> Any:
    rows = [("stage", "output", "parameters", "MACs")]
    for stage in page["stages"]:
        output = " x ".join(str(size or "any") for size in stage["output"] or ("?",))
        rows.append((stage["stage"], output, f"{stage['parameters']:,}", f"{stage['macs']:,}"))
    total = ("total", "", f"{page['parameters']:,}", f"{page['macs']:,}")
    left = WIDTH - sum(max(map(len, column)) + 2 for column in zip(*rows, total, strict=True))
    table = _table("stage", "output", "layers", "parameters", "MACs", right=("parameters", "MACs"))
    for (name, output, *figures), stage in zip(rows[1:], page["stages"], strict=True):
        table.add_row(name, output, _layers(stage["layers"], left), *figures)
    table.add_row(*total[:2], "", *total[2:], style="bold")
    return table


def _markdown(text: str) -> Any:
    """Return a Markdown table of a docstring as a rich table."""
    from rich.text import Text

    head, _, *rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    table = _table(*head)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _layers(counts: dict[str, int], width: int) -> str:
    """List the types of layers with their counts; a line never breaks between a count and its type."""
    text = ", ".join(f"{count}x\N{NO-BREAK SPACE}{kind}" if count > 1 else kind for kind, count in counts.items())
    return textwrap.fill(text, width).replace("\N{NO-BREAK SPACE}", " ")


def _table(*columns: str, right: tuple[str, ...] = ()) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        justify: Any = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=number == 0 or column in right)
    return table


def _plain(value: Any, comma: str = ", ") -> str:
    """Write a value as in a template, without brackets and quotes."""
    match value:
        case [*items]:
            return comma.join(map(_plain, items))
        case bool() | None:
            return str(value).lower()
        case _:
            return str(value)
