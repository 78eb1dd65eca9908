"""The caller's side of the child process that converts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

from dltemplates.compat import signal_name, start_process

# -P: else a file of the user's current folder, such as an onnx.py, would be imported in place of the library.
WORKER = (sys.executable, "-P", "-m", "dltemplates.deploy.worker")
MAX_MEMORY = 8 * 2**30  # bytes; a child that took more is not asked again, as it gives none back before its end


class ConversionError(Exception):
    """A format that could not be converted; the text says why."""


class Converter:
    """A child process that converts, started again after it has died or a conversion took much memory.

    Use it as a context manager: on leaving, whatever happened, the child is gone.
    """

    def __init__(self, log: Path, command: Sequence[str] | None = None):
        """Prepare to start.

        Args:
            log: File for what the libraries print.
            command: The worker and its arguments, by default the one of this package.
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
        """Start the child; it gets ready while the caller goes on."""
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": _search_path()}
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
        """End the child, if there is one."""
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
            ConversionError: If the request failed, or the child died of it.
            OSError: If the child could not write.
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
            raise ConversionError(f"the converter {_end_of(status)}")
        reply = json.loads(line)
        if reply.pop("peak_memory") > MAX_MEMORY:
            self.stop()
        if "os_error" in reply:
            raise OSError(*reply["os_error"])
        if "error" in reply:
            raise ConversionError(reply["error"])
        return reply


def _search_path() -> str:
    """Where the child looks for modules: where this process does, but for the current folder."""
    current, package = os.getcwd(), str(Path(__file__).parents[2])
    paths = [path for path in sys.path if path and os.path.abspath(path) != current]
    return os.pathsep.join([*paths, package])  # last, as it may be the current folder itself


def _end_of(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal_name(status)
    if name == "SIGKILL":  # how the system stops what takes the last of the memory
        return "was killed (SIGKILL), most likely for want of memory; end what else runs, or use a larger machine"
    return f"crashed ({name})"
