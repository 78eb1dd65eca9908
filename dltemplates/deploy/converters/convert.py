"""The caller's side of the converter process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

from dltemplates.compat import search_path, signal_name, start_process

# -P: without it, an onnx.py in the current folder would be imported in place of the library.
WORKER = (sys.executable, "-P", "-m", "dltemplates.deploy.worker")
MAX_MEMORY = 8 * 2**30  # bytes; a child that used more is replaced, since it frees memory only when it ends


class ConversionError(Exception):
    """A conversion that failed; the message says why."""


class Converter:
    """The converter process; it is started again if it dies, or after a conversion that took much memory.

    Use it as a context manager, which always ends the process.
    """

    def __init__(self, log: Path, command: Sequence[str] | None = None):
        """Store the options; `start` starts the process.

        Args:
            log: File for the output of the libraries.
            command: The worker and its arguments; by default this package's worker.
        """
        self.log = log
        self.command = tuple(command or WORKER)
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Converter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> subprocess.Popen[str]:
        """Start the child, which imports its libraries while the caller continues."""
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": search_path()}
        with self.log.open("ab") as log:
            process = start_process(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                encoding="utf-8",
            )
        self.process = process
        return process

    def stop(self) -> None:
        """End the child, if it runs."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and wait for its reply.

        Raises:
            ConversionError: If the request failed, or the child died.
            OSError: If the child could not read or write a file.
        """
        process = self.process or self.start()
        requests, replies = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        line = ""
        with contextlib.suppress(BrokenPipeError):
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            line = replies.readline()
        if not line.endswith("\n"):
            status = process.wait()
            self.stop()
            raise ConversionError(f"the converter {_describe_end(status)}")
        reply = json.loads(line)
        if reply.pop("peak_memory") > MAX_MEMORY:
            self.stop()
        if "os_error" in reply:
            raise OSError(*reply["os_error"])
        if "error" in reply:
            raise ConversionError(reply["error"])
        return reply


def _describe_end(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal_name(status)
    if name == "SIGKILL":  # Linux kills a process this way when memory runs out
        return "was killed (SIGKILL), most likely because memory ran out; close other programs, or use a larger machine"
    return f"crashed ({name})"
