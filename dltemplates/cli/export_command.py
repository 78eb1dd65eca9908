"""`dlt export`, for a run or a Keras model trained elsewhere."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from dltemplates import catalog
from dltemplates.cli import output as out
from dltemplates.cli import parse
from dltemplates.cli.options import import_option, json_option


@click.command()
@click.argument("path", metavar="RUN|MODEL.keras", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "formats",
    multiple=True,
    metavar="FORMAT",
    help="Format to write; see `dlt list formats`. Repeatable. Default: the template's formats.",
)
@click.option("--all", "all_formats", is_flag=True, help="Write every format that the model supports.")
@click.option("--max-drop", metavar="DROP", help="Largest allowed drop of the score: 0.01, or 1% of the float score.")
@click.option(
    "--require-proof", is_flag=True, help="Exit with code 3 unless the 90% interval of the drop is within --max-drop."
)
@click.option(
    "--input", type=click.Choice(["uint8", "int8"]), help="Input type of int8 files. Default: the template's."
)
@click.option(
    "--calibration", type=int, metavar="N", help="Number of training examples that calibrate the integer formats."
)
@click.option("--string-inputs", is_flag=True, help="Also write files that take categories as text.")
@parse.renamed_flag("--strings", "--string-inputs")
@click.option(
    "--stateful",
    is_flag=True,
    help="Also write a streaming form of a sequence network: one row in, the states in and out.",
)
@click.option("--task", metavar="TASK", help="Only for a .keras file: its task, such as classification.")
@click.option("--data", metavar="NAME|PATH", help="Only for a .keras file: its dataset; a name, folder, .npz or .csv.")
@click.option(
    "--input-range",
    metavar="LOW,HIGH",
    help="Only for a .keras file: its range of pixels, such as -1,1. Default: 0,255.",
)
@click.option(
    "--input-shape",
    metavar="H,W,C",
    help="Only for a .keras file that takes images of any size: height, width, channels.",
)
@click.option(
    "--class-names",
    metavar="A,B,C",
    help="Only for a .keras file: the classes in the order of its outputs. Default: the order of the data.",
)
@click.option(
    "--resize",
    type=click.Choice(["stretch", "crop", "pad"]),
    help="Only for a .keras file: how images are resized. Default: stretch.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Only for a .keras file: folder of its run. Default: a new one in saved_models/.",
)
@click.option("--overwrite", is_flag=True, help="Only for a .keras file: replace an existing run in that folder.")
@import_option
@json_option
def export(
    path,
    formats,
    all_formats,
    max_drop,
    require_proof,
    input,
    calibration,
    string_inputs,
    stateful,
    modules,
    as_json,
    **foreign,
) -> None:
    """Export a run for deployment and check each file.

    Each file is loaded in its own runtime and scored. A Keras model trained elsewhere (.keras or .h5) needs --task and
    --data.
    """
    for name in formats:
        catalog.check_name("format", name)
    if formats and all_formats:
        raise ValueError("`--to` and `--all` exclude each other. Received: --to and --all. Drop one.")
    if max_drop is not None:
        from dltemplates.settings import parse_drop

        parse_drop(max_drop)
    parse.import_modules(modules)
    is_foreign = path.suffix in (".keras", ".h5")
    if not is_foreign and (unused := [f"--{name.replace('_', '-')}" for name, value in foreign.items() if value]):
        raise ValueError(
            f"{', '.join(unused)} is for a .keras file. Received: {path}. A run has its own; drop the option."
        )
    from dltemplates.deploy.export_run import export

    with ExitStack() as unfinished:
        run = _import_model(path, unfinished, **foreign) if is_foreign else path
        with out.export_progress() as progress:
            report = export(
                run,
                formats="all" if all_formats else formats or None,
                max_drop=max_drop,
                input=input,
                calibration=calibration,
                string_inputs=string_inputs or None,
                stateful=stateful or None,
                progress=progress,
            )
    out.export_result(report, as_json)
    out.check_exports(report, require_proof=require_proof)


def _import_model(path, unfinished, task, data, input_range, input_shape, class_names, resize, output, overwrite):
    if not task or not data:
        raise ValueError(
            f"A Keras model needs --task and --data. Received: {path} alone. Add both to score its exports."
        )
    low_high = parse.numbers(input_range, "--input-range", 2) if input_range is not None else None
    from dltemplates.training.importing.import_model import import_model

    run = import_model(
        path,
        task=task,
        data=data,
        input_range=(low_high[0], low_high[1]) if low_high else None,
        input_shape=parse.shape(input_shape) if input_shape is not None else None,
        class_names=parse.names(class_names, "--class-names") if class_names is not None else None,
        resize=resize or "stretch",
        output=output,
        overwrite=overwrite,
        unfinished=unfinished,
    )
    out.note(f"{path} imported as {run.path}")
    for warning in run.record.spec.warnings:
        out.note(warning)
    return run
