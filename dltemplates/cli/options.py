"""The options that several commands of `dlt` share."""

from __future__ import annotations

from pathlib import Path

import click

STRATEGIES = ("auto", "single", "mirrored", "multiworker")

data_option = click.option(
    "--data", metavar="NAME|PATH", help="Dataset: a name, a folder of class folders, a .npz or a .csv file."
)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the template, such as train.epochs=3. Repeatable.",
)
task_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="task.KEY=VALUE",
    help="Change how a text is written, such as task.temperature=0.5 or task.beam=4. Repeatable.",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to write to. Default: a new one in saved_models/.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an existing run in that folder.")
resume_option = click.option("--resume", is_flag=True, help="Continue an interrupted run.")
strategy_option = click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="auto",
    help="How to use several devices or machines. Results agree up to rounding.",
)
devices_option = click.option("--devices", type=int, metavar="N", help="Train on N devices of this machine.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
import_option = click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Import a Python module first, such as one with your own layers. Repeatable.",
)
