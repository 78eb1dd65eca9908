"""The entry point: runs a command and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback

import click

DONE, FAILED, WRONG_USE, OVER_BUDGET, INTERRUPTED = 0, 1, 2, 3, 130


class OverBudgetError(Exception):
    """An export missed its budget or failed its check."""


def main(arguments: list[str] | None = None) -> int:
    """Run `dlt`.

    Returns:
        0 done; 1 failed; 2 wrong usage or input; 3 an export missed its budget; 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
    if "--debug" not in arguments:
        _silence_native_logs()
    from dltemplates.cli.commands import dlt

    try:
        return dlt.main(arguments, prog_name="dlt", standalone_mode=False) or DONE
    except click.Abort:
        code, message = INTERRUPTED, "interrupted"
    except KeyboardInterrupt as interrupt:
        code, message = INTERRUPTED, str(interrupt) or "interrupted"
    except click.UsageError as error:
        hint = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
        code, message = WRONG_USE, f"{error.format_message()}{hint}"
    except ValueError as error:
        code, message = WRONG_USE, str(error)
    except OverBudgetError as error:
        code, message = OVER_BUDGET, str(error)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        code, message = FAILED, f"{error.strerror or error}.{place}"
    except FloatingPointError as error:
        code, message = FAILED, str(error)
    except Exception as error:
        code, message = FAILED, f"{type(error).__name__}: {error} (a traceback with --debug)"
    if "--debug" in arguments:
        traceback.print_exc()
    message = " ".join(message.split())
    if "--json" in arguments:
        print(json.dumps({"error": message}))
    print(f"dlt: {message}", file=sys.stderr)
    return code


def _silence_native_logs() -> None:
    """Send what native libraries write to file descriptor 2 nowhere; Python's stderr stays where it is."""
    try:
        visible = os.dup(2)
    except OSError:  # there is no stderr
        return
    sys.stderr = os.fdopen(visible, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
