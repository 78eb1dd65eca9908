"""The commands of `dlt`. Each parses its arguments, calls one function, and prints the result."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from dltemplates import __version__, catalog, catalog_templates
from dltemplates.cli import listing, pages, parse
from dltemplates.cli import output as out
from dltemplates.cli.export_command import export
from dltemplates.cli.options import (
    data_option,
    devices_option,
    import_option,
    json_option,
    output_option,
    overwrite_option,
    resume_option,
    set_option,
    strategy_option,
    task_option,
)

LISTED = ("templates", "models", "datasets", "tasks", "formats", "runs")


@click.group(
    cls=parse.Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="dlt")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def dlt(context: click.Context, debug: bool) -> None:
    """Train a classic network on your own data, export it, and check the exported files.

    Start with: dlt run resnet8_digits

    \b
    Complete names with the Tab key:
    bash: eval "$(_DLT_COMPLETE=bash_source dlt)"
    zsh:  eval "$(_DLT_COMPLETE=zsh_source dlt)"
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


dlt.add_command(export)


@dlt.command("list")
@click.argument("kind", type=parse.Plural(LISTED), default="templates")
@json_option
def list_command(kind: str, as_json: bool) -> None:
    """List templates, models, datasets, tasks, formats or runs."""
    if kind == "runs":
        from dltemplates.runs import list_runs

        rows: dict[str, Any] = {str(run.path): run.describe() for run in list_runs()}
        if not rows:
            click.echo("no runs in saved_models/; start one with `dlt run resnet8_digits`", err=True)
        if as_json:
            out.show(rows, True)
        else:
            listing.show_runs(rows)
    elif kind in ("templates", "datasets"):
        overview, show = {
            "templates": (catalog_templates.overview, listing.show_templates),
            "datasets": (catalog.dataset_overview, listing.show_datasets),
        }[kind]
        if as_json:
            out.show(overview(), True)
        else:
            show()
    elif kind == "models" and not as_json:
        listing.show_models()
    else:
        out.show({name: entry.summary for name, entry in catalog.KINDS[kind.removesuffix("s")].items()}, as_json)


@dlt.command()
@click.argument("name", shell_complete=parse.complete_name)
@json_option
def show(name: str, as_json: bool) -> None:
    """Explain a template, model, dataset, task, format or setting.

    NAME is a name of `dlt list`, a table of settings, such as train, dataset, augment or adam, or a setting, such as
    train.epochs.
    """
    page = pages.gather(name)
    if as_json:
        out.show(page, True)
    else:
        pages.show(page)


@dlt.command("help", hidden=True)
@click.argument("command", required=False)
@click.pass_context
def help_command(context: click.Context, command: str | None) -> None:
    """Print the help, as `--help` does."""
    parent = context.find_root()
    if command is None:
        click.echo(parent.get_help())
        return
    _, found, _ = dlt.resolve_command(parent, [command])
    click.echo(found.get_help(click.Context(found, parent, command)))


@dlt.command(hidden=True)
def version() -> None:
    """Print the version, as `--version` does."""
    click.echo(f"dlt, version {__version__}")


@dlt.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from",
    "template",
    metavar="TEMPLATE",
    shell_complete=parse.complete_template,
    help="Ready template to copy; `dlt list` names them.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def new(file: Path | None, template: str | None, overwrite: bool) -> None:
    """Write a commented template for you to edit."""
    if file is None or template is None:
        click.echo("\n".join(catalog_templates.names()), err=True)
        received = " ".join(filter(None, ("dlt new", str(file or ""), f"--from {template}" if template else "")))
        raise ValueError(
            "`dlt new` needs a file and one of these templates. "
            f"Received: {received}. Try `dlt new {file or 'mine.toml'} --from {template or 'resnet8_digits'}`."
        )
    from dltemplates.cli.new_template import new_template
    from dltemplates.files import atomic_write, check_folder

    catalog_templates.text(template)  # refuse an unknown name first
    if file.suffix != ".toml":
        raise ValueError(f"A template file must end in .toml. Received: {file}. Try {file.with_suffix('.toml')}.")
    check_folder(file.parent)
    if file.exists() and not overwrite:
        raise ValueError(f"The file must be new. Received: {file}, which exists. Add --overwrite.")
    atomic_write(file, new_template(template, str(file)))
    data = " --data PATH" if catalog_templates.overview()[template]["needs"] == "your data" else ""
    click.echo(f"wrote {file}. Edit it, then: dlt run {file}{data}")


@dlt.command()
@click.argument("name", metavar="MODEL|TEMPLATE", shell_complete=parse.complete_name)
@click.option("--input-shape", metavar="H,W,C", help="Input shape, such as 32,32,3. Default: the paper's.")
@click.option(
    "--classes",
    type=int,
    metavar="N",
    help="Number of classes. Default: the paper's. For regression, use --size num_outputs=1 instead.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an argument of the model, such as num_outputs=1; see `dlt show MODEL`.",
)
@set_option
@output_option
@overwrite_option
@json_option
def build(name, input_shape, classes, sizes, settings, output, overwrite, as_json) -> None:
    """Build a model: write its definition and random weights.

    Also print its layers, parameters, MACs and bytes.
    """
    from dltemplates.models.summary import describe
    from dltemplates.template import parse_overrides
    from dltemplates.training.build import build

    chosen = parse_overrides(sizes)
    if input_shape is not None:
        chosen["input_shape"] = parse.shape(input_shape)
    if classes is not None:
        chosen["num_outputs"] = parse.classes(classes)
    overrides = parse_overrides(settings)
    folder, summary = build(name, sizes=chosen, settings=overrides, output=output, overwrite=overwrite, notify=out.note)
    if as_json:
        totals = {key: value for key, value in dataclasses.asdict(summary).items() if key != "rows"}
        out.show({"folder": str(folder), **totals}, True)
    else:
        click.echo(describe(summary))
        click.echo(f"written to {folder}")


@dlt.command()
@click.argument("template", metavar="TEMPLATE|FILE.toml", shell_complete=parse.complete_template)
@data_option
@set_option
@output_option
@overwrite_option
@resume_option
@click.option(
    "--fail-on-bad-image", is_flag=True, help="Stop at an unreadable image. Default: use another image instead."
)
@parse.renamed_flag("--strict", "--fail-on-bad-image")
@strategy_option
@devices_option
@click.option(
    "--workers", type=int, metavar="N", help="Train in N processes on this machine; restart them if one dies."
)
@click.option("--max-restarts", type=int, metavar="N", help="Largest number of restarts of the workers. Default: 3.")
@json_option
def train(
    template,
    data,
    settings,
    output,
    overwrite,
    resume,
    fail_on_bad_image,
    strategy,
    devices,
    workers,
    max_restarts,
    as_json,
) -> None:
    """Train a template.

    TEMPLATE is the name of a ready template; `dlt list` prints them.
    """
    parsed = _template(template, data, settings)
    parse.check_workers(workers, max_restarts, strategy, devices)
    from dltemplates.training.recording.progress import make_reporter

    shared: dict[str, Any] = {
        "name": Path(template).stem,
        "output": output,
        "resume": resume,
        "overwrite": overwrite,
        "fail_on_bad_image": fail_on_bad_image,
        "reporter": make_reporter(),
    }
    if workers is not None:
        from dltemplates.training.workers.supervise import train_on_workers

        run = train_on_workers(parsed, workers, max_restarts=3 if max_restarts is None else max_restarts, **shared)
    else:
        from dltemplates.training.train import train

        run = train(parsed, strategy=strategy, devices=devices, **shared)
    if run.record_path.exists():  # only the chief worker is sure to see it
        out.run_result(run, as_json)


@dlt.command()
@click.argument("path", metavar="RUN|EXPORT", type=click.Path(path_type=Path))
@data_option
@click.option(
    "--split",
    default="test",
    help="train, validation, test (default), or all. `all` scores every example; it needs data not used in training.",
)
@task_option
@import_option
@json_option
def evaluate(path, data, split, settings, modules, as_json) -> None:
    """Score a run or an exported file on a split."""
    parse.import_modules(modules)
    from dltemplates.inference import evaluate

    result = evaluate(path, data=data, split=split, options=parse.task_options(settings))
    out.note(result["data_note"])
    if as_json:
        out.show(result, True)
    else:
        examples = f"{result['examples']} of {result['of']} examples"
        out.show({"file": result["file"], "data": f"{result['data']} {split}, {examples}"})
        out.scores(result)
        out.note_unknown(split, result.get("unknown", {}))


@dlt.command(cls=parse.NumberArguments, short_help="Predict images, table rows, a series, texts, or seeds.")
@click.argument("path", metavar="RUN|EXPORT", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True)
@click.option("--part", default="", help="Part to use, such as decoder, of a run, or of a file that holds several.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="predictions",
    metavar="FOLDER|FILE.csv",
    help="A .csv file for the predictions, after your own columns; or a folder for generated images. Default: "
    "predictions.",
)
@task_option
@import_option
@json_option
def predict(path, inputs, part, output, settings, modules, as_json) -> None:
    """Predict images, table rows, a series, texts, or seeds with a run or an exported file."""
    parse.import_modules(modules)
    from dltemplates.inference import predict

    results = predict(path, inputs, part=part, output=output, options=parse.task_options(settings))
    if as_json:
        out.show({"predictions": results}, True)
        return
    for result in results:
        if "error" in result:
            click.echo(f"skipped: {result['error']}", err=True)
            continue
        figures = "  ".join(out.short(key, value) for key, value in result.items() if key not in ("input", "next"))
        click.echo(f"{result['input']}  {figures}")
    if output.suffix == ".csv":
        out.note(f"wrote {output}")


@dlt.command()
@click.argument("paths", metavar="RUN RUN...", nargs=-1, required=True)
@json_option
def compare(paths, as_json) -> None:
    """Compare runs: scores, sizes, and settings that differ."""
    from dltemplates.reports.compare import compare, render

    rows = compare(paths)
    for name, row in rows.items():
        out.note(f"{name}: {row['data']}" if row["data"] else None)
    if as_json:
        out.show(rows, True)
    else:
        out.render(render(rows))


@dlt.command()
@click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
def report(path) -> None:
    """Write the report of a run, one HTML file with figures."""
    from dltemplates.reports.report import write_report

    click.echo(write_report(path, notify=out.note))


@dlt.command()
@click.argument("template", metavar="TEMPLATE|FILE.toml", shell_complete=parse.complete_template)
@data_option
@set_option
@output_option
@overwrite_option
@resume_option
@strategy_option
@devices_option
@json_option
def run(template, data, settings, as_json, **options) -> None:
    """Train a template, export it, check each file, and report.

    Each file is loaded in its own runtime and scored. The run's folder gets a report.html.
    """
    parsed = _template(template, data, settings)
    from dltemplates.main_job import run
    from dltemplates.training.recording.progress import make_reporter

    with out.export_progress(waits=True) as progress:
        trained, exports = run(parsed, name=Path(template).stem, reporter=make_reporter(), progress=progress, **options)
    if as_json:
        out.show({**out.run_figures(trained), "exports": exports.model_dump(mode="json")}, True)
    else:
        out.run_result(trained, False)
        out.export_result(exports, False)
        click.echo(f"report: {trained.report_path}")
    out.check_exports(exports)


@dlt.command()
@json_option
def doctor(as_json) -> None:
    """Check this machine: versions, devices and runtimes.

    The exit code is 1 if something that dlt needs does not work.
    """
    from dltemplates.doctor import broken, diagnose

    findings = diagnose()
    out.show(findings, as_json)
    out.check_health(broken(findings))


def _template(name: str, data: str | None, settings: tuple[str, ...]):
    from dltemplates.template import load_template, parse_overrides

    overrides = parse_overrides(settings) | ({"dataset.name": data} if data else {})
    parse.check_is_template(name)
    parse.check_data_fits(name, overrides.get("dataset.name"), overrides)
    return load_template(name, overrides, notify=out.note)
