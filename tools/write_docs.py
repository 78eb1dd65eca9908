"""Write the pages of docs/ that list parts of the code, and the table of measured results in the READMEs.

    python tools/write_docs.py                # all of them; models.md takes a minute
    python tools/write_docs.py settings.md    # one of them

A test compares the files with this tool.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dltemplates import catalog, catalog_templates
from dltemplates.cli import listing, setting_pages
from dltemplates.errors import EXIT_CODES

ROOT = Path(__file__).resolve().parents[1]
Row = Iterable[str]
SHOWN = ("resnet8_digits", "mlp_digits", "mlp_adult", "mlp_california_housing", "lstm_sunspots", "autoencoder_digits")
HEADS = {
    "README.md": ("template", "learns", "test score", "best simple model", "training"),
    "README.ko.md": ("템플릿", "학습 내용", "테스트 점수", "가장 좋은 단순 모델", "학습 시간"),
}
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*?(?=\n\n)", re.DOTALL)


def table(head: Row, rows: Iterable[Row]) -> str:
    """Return a table in Markdown."""
    head = [*head]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def page(title: str, name: str, source: str, *blocks: str) -> str:
    """Return a page whose first paragraph says that it is generated.

    Args:
        title: Heading of the page.
        name: Name of its file in docs/.
        source: Where its facts stand, the place to edit.
        blocks: Paragraphs, headings and tables.
    """
    note = f"`python tools/write_docs.py {name}` generates this page from {source}."
    return "\n\n".join((f"# {title}", note, *blocks)) + "\n"


def model_row(name: str) -> tuple[str, ...]:
    """Return the row of a model of the catalog. The network is built without weights."""
    from dltemplates.models.build import build_network
    from dltemplates.models.summary import summarize, without_weights
    from dltemplates.tasks.assemble import without_auxiliary

    entry = catalog.MODELS[name]
    summary = summarize(without_auxiliary(without_weights(lambda: build_network(name, entry.sizes, {}))))
    shape = entry.sizes.get("input_shape")
    size = "x".join(map(str, shape)) if shape else f"{entry.sizes['vocabulary_size']:,} tokens"
    outputs = "".join(f", {entry.sizes[key]}" for key in ("num_outputs", "horizon") if key in entry.sizes)
    return f"`{name}`", entry.summary, size + outputs, f"{summary.trainable:,}", f"{summary.macs:,}"


def models(row: Callable[[str], Row] = model_row) -> str:
    """Return docs/models.md; `row` builds the row of a model."""
    head = ("model", "description", "input, outputs", "parameters", "multiply-accumulates")
    return page(
        "Models",
        "models.md",
        "`dltemplates/catalog_models.py`",
        "Each model is one function in [dltemplates/models](../dltemplates/models). It takes sizes and returns a\n"
        "functional `keras.Model` whose output is logits. The code is plain Keras and runs on any backend.\n"
        "`dlt show vgg16` prints the paper, the idea, the layers by stage, and the options. Every model takes smaller\n"
        "images and other numbers of classes; most take a `width` or a `depth`:",
        "```bash\ndlt build resnet50 --input-shape 64,64,3 --classes 5 --set width=0.25\n```",
        "The table gives the sizes of each model's paper. Parameters are the ones that training changes; the moving\n"
        "averages of batch normalization are not counted. A multiply-accumulate (MAC) is one multiplication and one\n"
        "addition.",
        table(head, map(row, catalog.MODELS)),
        "- `googlenet` trains with its auxiliary classifiers (13,378,280 parameters); the served network drops them.\n"
        "- The multiply-accumulates of networks for texts are those of one token.\n"
        "- An autoencoder's encoder and decoder are also exported separately.\n"
        "- The row of a GAN counts generator and discriminator; only the generator is exported.",
        "[own_images.md](own_images.md#start-from-other-weights) says which can start from ImageNet weights,\n"
        "[ideas.md](ideas.md) measures the ideas behind them, [add_model.md](add_model.md) shows how to add one.",
    )


def templates() -> str:
    """Return docs/templates.md."""
    rows = catalog_templates.overview()
    blocks = []
    for title, names in listing.grouped(rows):
        cells = [
            (f"`{name}`", row["learns"], row["needs"], listing.minutes(row), listing.score(row), row["summary"])
            for name, row in ((name, rows[name]) for name in names)
        ]
        blocks += [f"## {title}", table((*listing.TEMPLATE_COLUMNS, "description"), cells)]
    return page(
        "Ready templates",
        "templates.md",
        "the files in `dltemplates/templates/`",
        "`dlt run NAME` trains one, exports it and writes a report. `dlt show resnet8_digits` explains one.",
        "- **needs:** `your data` with `--data`; `download` needs a dataset that is not included.\n"
        "- **min:** minutes of training on two CPU cores.\n"
        "- **score:** on the test split; accuracy, unless it has a name. [results.md](results.md) has the machines.\n"
        "- **-:** not measured, or it depends on your data.",
        *blocks,
    )


def settings() -> str:
    """Return docs/settings.md."""
    blocks = []
    for part in setting_pages.tables().values():
        heading = f"`{part.choice}`, for `[{part.path}]`" if part.choice else f"`[{part.path}]`"
        blocks += [f"## {heading if part.path else 'Template'}", part.summary]
        rows = [
            (f"`{key}`", row["type"], f"`{setting_pages.plain(row['default'])}`", row["range"], row["meaning"])
            for key, row in setting_pages.shown_settings(part).items()
        ]
        blocks.append(
            table(("setting", "type", "default", "range", "meaning"), rows) if rows else "It has no settings."
        )
    return page(
        "Settings of a template",
        "settings.md",
        "`dltemplates/settings.py` and `dltemplates/train_settings.py`",
        "Set one in a template, or in a command with `--set train.epochs=30`. The value `none` unsets a setting whose\n"
        "default is none. `dlt show train` prints a table of this page. `dlt new mine.toml --from resnet8_digits`\n"
        "writes a template with every setting in it.",
        *blocks,
    )


def exit_codes() -> str:
    """Return docs/exit_codes.md."""
    return page(
        "Exit codes",
        "exit_codes.md",
        "`dltemplates/errors.py`",
        "A command ends with one of these codes, for scripts. An error is one line on stderr: the rule, the\n"
        "received value, and the way out. With `--json`, stdout has one JSON object, also after an error.",
        table(("code", "meaning", "when"), ((str(code), *texts) for code, texts in EXIT_CODES.items())),
    )


def recorded() -> dict[str, dict[str, Any]]:
    """Return the results of `tools/record_result.py`, by template."""
    file = ROOT / "dltemplates" / "templates" / "results.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def score_cell(entry: dict[str, Any]) -> str:
    """Return the score of a result with its evidence."""
    evidence = f", {entry['evidence']}" if "evidence" in entry else ""
    return f"{entry['metric']} {entry['score']:,g}{evidence}"


def baseline_cell(entry: dict[str, Any]) -> str:
    """Return the best baseline of a result."""
    return str(entry.get("baseline", "-"))


def remarks(template: str) -> str:
    """Return the results in the opening comment of a ready template, in one line."""
    comment = re.match(r"(#.*\n)*", catalog_templates.text(template))[0]
    found = [part for part in re.split(r"\n#\n", comment) if part.startswith(("# Measured", "# For comparison"))]
    return " ".join(re.sub(r"\n?# *", " ", part).strip() for part in found).removeprefix("Measured: ")


def results() -> str:
    """Return docs/results.md."""
    head = ("template", "test score", "best baseline", "training", "changed settings", "machine", "date")
    rows = []
    for name, entry in recorded().items():
        changed = ", ".join(f"`{key}={value}`" for key, value in entry.get("settings", {}).items())
        figures = (score_cell(entry), baseline_cell(entry), f"{entry['seconds']:,} s")
        rows.append((f"`{name}`", *figures, changed, entry["host"], entry["date"]))
    details = [f"- `{name}`: {text}" for name in catalog_templates.names() if (text := remarks(name))]
    return page(
        "Measured results",
        "results.md",
        "`dltemplates/templates/results.toml` and the templates",
        "All scores are on the test split, with seed 0. n is the number of independent examples; then comes the 95%\n"
        'interval. A busy machine also ran other programs. "Training" is without the time of the export.\n'
        "`tools/record_result.py` writes the result of a run. The results of `transfer_folder` are in\n"
        "[own_images.md](own_images.md#choose-a-template).",
        table(head, rows),
        "## Remarks\n\nThe opening comment of each template says:",
        "\n".join(details),
    )


def measured_table(head: tuple[str, ...]) -> str:
    """Return the table of a README, with these headings.

    Raises:
        ValueError: If the results are from several machines.
    """
    shown = {name: recorded()[name] for name in SHOWN}
    host, *others = dict.fromkeys(entry["host"] for entry in shown.values())
    if others:
        raise ValueError(
            f"The table needs results of one machine. Received: {', '.join((host, *others))}. Record them again."
        )
    overview = catalog_templates.overview()
    rows = [
        (f"`{name}`", overview[name]["learns"], score_cell(entry), baseline_cell(entry), f"{entry['seconds']} s")
        for name, entry in shown.items()
    ]
    return table((*head[:-1], f"{head[-1]}, {host}"), rows)


def readme(name: str) -> str:
    """Return a README with its table of measured results."""
    text, count = MEASURED.subn(measured_table(HEADS[name]), (ROOT / name).read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"A README needs one table after `<!-- measured -->`. Received: {count} in {name}. Add it.")
    return text


PAGES: dict[str, Callable[[], str]] = {
    "models.md": models,
    "templates.md": templates,
    "settings.md": settings,
    "exit_codes.md": exit_codes,
    "results.md": results,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PAGE", help="pages to write; none: all")
    every, names = (*PAGES, *HEADS), parser.parse_args().names
    if unknown := [name for name in names if name not in every]:  # `choices` refuses an empty list before Python 3.12
        parser.error(f"PAGE must be one of {', '.join(every)}. Received: {', '.join(unknown)}.")
    for name in names or every:
        path, text = (ROOT / name, readme(name)) if name in HEADS else (ROOT / "docs" / name, PAGES[name]())
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
