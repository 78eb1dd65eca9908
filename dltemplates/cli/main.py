"""The entry point of `dlt`: it runs a command and turns an error into one line and an exit code."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from typing import Any

import click
from click.shell_completion import shell_complete

from dltemplates.errors import DONE, FAILED, INTERRUPTED, LOST_WORKERS, OVER_BUDGET, WRONG_USE


def main(arguments: list[str] | None = None) -> int:
    """Run `dlt`.

    Returns:
        The exit code, a key of `dltemplates.errors.EXIT_CODES`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
    signal.signal(signal.SIGTERM, _interrupt)
    if "--debug" in arguments:
        logging.basicConfig()
        logging.getLogger("dltemplates").setLevel(logging.DEBUG)
    else:
        _silence_native_logs()
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.path.append(os.getcwd())  # for the user's modules; installed packages come first
    from dltemplates.cli.commands import dlt

    for name in ("dlt", "dltemplates"):
        if instruction := os.environ.get(variable := f"_{name.upper()}_COMPLETE"):
            return shell_complete(dlt, {}, name, variable, instruction)
    try:
        with dlt.make_context("dlt", list(arguments)) as context:
            dlt.invoke(context)
        return DONE
    except click.exceptions.Exit as end:  # --help and --version
        return end.exit_code
    except (Exception, KeyboardInterrupt) as error:
        code, message = explain(error)
        if "--debug" in arguments:
            traceback.print_exc()
    message = " ".join(message.split())
    if "--json" in arguments and code != OVER_BUDGET:  # OVER_BUDGET has printed its report
        print(json.dumps({"error": message}))
    print(f"dlt: {message}", file=sys.stderr)
    return code


def explain(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the message for an error."""
    from dltemplates.cli.output import OverBudgetError
    from dltemplates.errors import LostWorkersError, WorkerError

    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, str(error) or "interrupted"
        case click.MissingParameter() if error.param and error.param.name in HINTS:
            return WRONG_USE, f"{error.format_message()} {HINTS[error.param.name]}"
        case click.NoSuchOption() if (setting := _setting_of(error.option_name)) and _takes_settings(error.ctx):
            return WRONG_USE, f"{error.format_message()} Settings of a template are set with --set {setting}=VALUE."
        case click.UsageError():
            hint = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
            return WRONG_USE, f"{error.format_message()}{hint}"
        case ValueError():
            return WRONG_USE, str(error)
        case OverBudgetError():
            return OVER_BUDGET, str(error)
        case OSError():
            file = f" {error.filename}" if error.filename else ""
            return FAILED, f"{error.strerror or error}.{file}"
        case FloatingPointError() | WorkerError():
            return FAILED, str(error)
        case LostWorkersError():
            return LOST_WORKERS, str(error)
        case _:
            return FAILED, f"{type(error).__name__}: {error} (see the traceback with `dlt --debug ...`)"


HINTS = {  # for a missing argument, by its name
    "template": "`dlt list` names the templates. Try `dlt run resnet8_digits`.",
    "path": "`dlt list runs` names your runs.",
    "paths": "`dlt list runs` names your runs.",
    "inputs": "Write images, a .csv file, a row or a text after the run, such as `dlt predict RUN photo.jpg`.",
    "name": "`dlt list`, `dlt list models` and `dlt list datasets` have the names.",
}


def _takes_settings(context: click.Context | None) -> bool:
    return context is not None and any(parameter.name == "settings" for parameter in context.command.params)


def _setting_of(option: str) -> str | None:
    """Return the setting that an unknown option means: `train.epochs` for `--epochs`."""
    from dltemplates.template import find_setting

    return find_setting(option.lstrip("-").replace("-", "_"))


def _interrupt(number: int, frame: Any) -> None:
    """Handle SIGTERM like Ctrl-C, so that no partial files stay."""
    raise KeyboardInterrupt


def _silence_native_logs() -> None:
    """Discard native libraries' output to file descriptor 2; Python's stderr still works."""
    try:
        visible = os.dup(2)
    except OSError:  # no stderr
        return
    sys.stderr = os.fdopen(visible, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
