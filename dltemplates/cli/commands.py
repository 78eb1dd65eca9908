"""The command line: each command parses, calls one function, prints."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from dltemplates import __version__, catalog
from dltemplates.cli import output as out
from dltemplates.cli import pages, parse

STRATEGIES = ("auto", "single", "mirrored", "multiworker")
LISTED = ("templates", "models", "datasets", "tasks", "formats", "runs")

data_option = click.option("--data", metavar="NAME|PATH", help="A dataset, a folder of class folders, a .npz, a .csv.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a value of the template."
)
output_option = click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder of the run.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace the run that stands there.")
resume_option = click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
strategy_option = click.option(
    "--strategy", type=click.Choice(STRATEGIES), default="auto", help="Where to train; the result is the same."
)
devices_option = click.option("--devices", type=int, metavar="N", help="Train on N devices of this machine.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
import_option = click.option(
    "--import", "modules", multiple=True, metavar="MODULE", help="Import your own layers first."
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="dlt")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def dlt(context: click.Context, debug: bool) -> None:
    """Train a classic network on your own data and prove it on a phone's runtimes.

    Begin with: dlt run resnet8_digits
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@dlt.command("list")
@click.argument("what", type=click.Choice(LISTED), default="templates")
@json_option
def list_command(what: str, as_json: bool) -> None:
    """List what there is."""
    if what == "runs":
        from dltemplates.runs import list_runs

        rows = {str(run.path): run.describe() for run in list_runs()}
        if not rows:
            click.echo("no runs in saved_models/; `dlt run resnet8_digits` makes one", err=True)
    elif what == "templates":
        rows = {name: catalog.template_summary(name) for name in catalog.template_names()}
    else:
        rows = {name: entry.summary for name, entry in catalog.KINDS[what.removesuffix("s")].items()}
    out.show(rows, as_json)


@dlt.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Say what a template, model, dataset, task or format is."""
    said = pages.gather(name)
    if as_json:
        out.show(said, True)
    else:
        pages.show(said)


@dlt.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "template", required=True, help="The ready template to begin with.")
@overwrite_option
def new(file: Path, template: str, overwrite: bool) -> None:
    """Write a commented template to edit."""
    from dltemplates.runs import atomic_write, check_folder

    text = catalog.template_text(template)
    if file.suffix != ".toml":
        raise ValueError(f"A template file must end in .toml. Received: {file}. Try {file.with_suffix('.toml')}.")
    check_folder(file.parent)
    if file.exists() and not overwrite:
        raise ValueError(f"The file must be new. Received: {file}, which exists. Add --overwrite.")
    atomic_write(file, text)
    click.echo(f"{file}: edit it, then `dlt train {file}`")


@dlt.command()
@click.argument("name", metavar="MODEL|TEMPLATE")
@click.option("--input-shape", metavar="H,W,C", help="Size of the input, such as 32,32,3; else the paper's.")
@click.option("--classes", type=int, help="Number of classes; else the paper's. For values, --size num_outputs=1.")
@click.option("--size", "sizes", multiple=True, metavar="NAME=VALUE", help="Another size that the model asks for.")
@set_option
@output_option
@overwrite_option
@json_option
def build(name, input_shape, classes, sizes, settings, output, overwrite, as_json) -> None:
    """Write the definition and fresh weights of a model, and say how large it is."""
    from dltemplates.models.summary import describe
    from dltemplates.template import parse_overrides
    from dltemplates.training.build import build

    wanted = parse_overrides(sizes)
    if input_shape is not None:
        wanted["input_shape"] = parse.shape(input_shape)
    if classes is not None:
        wanted["num_outputs"] = parse.classes(classes)
    changed = parse_overrides(settings)
    folder, summary = build(name, sizes=wanted, settings=changed, output=output, overwrite=overwrite, tell=out.note)
    if as_json:
        totals = {key: value for key, value in dataclasses.asdict(summary).items() if key != "rows"}
        out.show({"folder": str(folder), **totals}, True)
    else:
        click.echo(describe(summary))
        click.echo(f"written to {folder}")


@dlt.command()
@click.argument("template", metavar="TEMPLATE|FILE.toml")
@data_option
@set_option
@output_option
@overwrite_option
@resume_option
@click.option(
    "--fail-on-bad-image", is_flag=True, help="Stop at an image that cannot be read; else another replaces it."
)
@parse.renamed_flag("--strict", "--fail-on-bad-image")
@strategy_option
@devices_option
@click.option(
    "--workers", type=int, metavar="N", help="Train on N processes of this machine, started again if one dies."
)
@click.option("--max-restarts", type=int, metavar="N", help="How often the workers are started again; by default 3.")
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
    """Train a template."""
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
    if run.record_path.exists():  # a worker that is not the chief may not see it
        out.run_result(run, as_json)


@dlt.command()
@click.argument("path", metavar="RUN|EXPORT", type=click.Path(path_type=Path))
@data_option
@click.option("--split", default="test", help="train, validation or test; or all, of data that it was not trained on.")
@import_option
@json_option
def evaluate(path, data, split, modules, as_json) -> None:
    """Judge a run or an exported file on a split."""
    parse.import_modules(modules)
    from dltemplates.inference import evaluate
    from dltemplates.runs import shown

    result = evaluate(path, data=data, split=split)
    out.note(result["data_note"])
    if as_json:
        out.show(result, True)
    else:
        examples = f"{result['examples']} of {result['of']} examples"
        out.show({"file": result["file"], "data": f"{result['data']} {split}, {examples}"})
        out.show({name: shown(value) for name, value in result["scores"].items()})
        out.note_unknown(split, result.get("unknown", {}))


@dlt.command()
@click.argument("path", metavar="RUN|EXPORT", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True)
@click.option("--part", default="", help="Of a run, a part of the network, such as decoder.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="predictions",
    help="The folder for images that it makes, or FILE.csv for the predictions.",
)
@import_option
@json_option
def predict(path, inputs, part, output, modules, as_json) -> None:
    """Say what a run or an exported file makes of images, rows of a table, the CSV file of a series, or seeds."""
    parse.import_modules(modules)
    from dltemplates.inference import predict

    results = predict(path, inputs, part=part, output=output)
    if as_json:
        out.show({"predictions": results}, True)
        return
    for result in results:
        if "error" in result:
            click.echo(f"skipped: {result['error']}", err=True)
            continue
        figures = "  ".join(out.short(key, value) for key, value in result.items() if key not in ("input", "next"))
        click.echo(f"{result['input']}  {figures}")


@dlt.command()
@click.argument("path", metavar="RUN|MODEL.keras", type=click.Path(path_type=Path))
@click.option("--to", "formats", multiple=True, metavar="FORMAT", help="A format: `dlt list formats`.")
@click.option("--all", "all_formats", is_flag=True, help="Every format that the model can take.")
@click.option("--max-drop", help="Greatest drop of the score: 0.01, or 1% of the float score.")
@click.option(
    "--require-proof", is_flag=True, help="End with 3 where the examples cannot prove that the drop is in the budget."
)
@click.option("--task", help="For a .keras file: what it was trained for.")
@data_option
@click.option("--input", type=click.Choice(["uint8", "int8"]), help="What int8 files take; by default as trained.")
@click.option("--calibration", type=int, help="Training examples that set the ranges of integer formats.")
@click.option("--string-inputs", is_flag=True, help="Also write files that take categories as text.")
@parse.renamed_flag("--strings", "--string-inputs")
@click.option("--input-range", help="For a .keras file: what its input makes of 0..255, such as -1,1.")
@click.option("--resize", type=click.Choice(["stretch", "crop", "pad"]), help="For a .keras file.")
@output_option
@overwrite_option
@import_option
@json_option
def export(
    path, formats, all_formats, max_drop, require_proof, input, calibration, string_inputs, modules, as_json, **foreign
) -> None:
    """Write a run, or a Keras model trained elsewhere, for deployment, and prove each file in its own runtime."""
    for name in formats:
        catalog.check_name("format", name)
    if formats and all_formats:
        raise ValueError("The formats are named or all. Received: --to and --all. Leave one out.")
    if max_drop is not None:
        from dltemplates.settings import parse_drop

        parse_drop(max_drop)
    parse.import_modules(modules)
    run: Any = path
    if path.suffix in (".keras", ".h5"):
        run = _import_model(path, **foreign)
    elif given := [f"--{name.replace('_', '-')}" for name, value in foreign.items() if value]:
        raise ValueError(f"{', '.join(given)} is for a .keras file. Received: {path}. A run has its own; leave it out.")
    from dltemplates.deploy.export_run import export

    with out.export_progress() as progress:
        report = export(
            run,
            formats="all" if all_formats else formats or None,
            max_drop=max_drop,
            input=input,
            calibration=calibration,
            string_inputs=string_inputs or None,
            progress=progress,
        )
    out.export_result(report, as_json)
    out.check_exports(report, require_proof=require_proof)


def _import_model(path, task, data, input_range, resize, output, overwrite):
    if not task or not data:
        raise ValueError(
            f"A Keras model needs --task and --data. Received: {path} alone. Give both, to score its exports."
        )
    low, high = parse.numbers(input_range or "0,255", "--input-range", 2)
    from dltemplates.training.import_model import import_model

    run = import_model(
        path,
        task=task,
        data=data,
        input_range=(low, high),
        resize=resize or "stretch",
        output=output,
        overwrite=overwrite,
    )
    click.echo(f"{path} imported as {run.path}", err=True)
    return run


@dlt.command()
@click.argument("paths", metavar="RUN RUN...", nargs=-1, required=True)
@json_option
def compare(paths, as_json) -> None:
    """Show runs side by side: scores, sizes, and the settings that differ."""
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
    """Write the report of a run: one HTML file with its figures."""
    from dltemplates.reports.report import write_report

    click.echo(write_report(path, tell=out.note))


@dlt.command()
@click.argument("template", metavar="TEMPLATE|FILE.toml")
@data_option
@set_option
@output_option
@overwrite_option
@resume_option
@strategy_option
@devices_option
@json_option
def run(template, data, settings, as_json, **options) -> None:
    """Train a template, export it to every format, check each, and write the report: the main job in one command."""
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
    """Say which versions and devices are here, and what works; ends with 1 where something needed does not."""
    from dltemplates.doctor import broken, diagnose

    findings = diagnose()
    out.show(findings, as_json)
    out.check_health(broken(findings))


def _template(name: str, data: str | None, settings: tuple[str, ...]):
    from dltemplates.template import load_template, parse_overrides

    overrides = parse_overrides(settings) | ({"dataset.name": data} if data else {})
    return load_template(name, overrides, tell=out.note)
