"""Kill a real export, and measure how long its converter process lives on.

    python tools/kill_export.py RUN [--to tflite:int8] [--signal KILL] [--after 0 1 2]

Copies the run, starts `dlt export` on the copy, and waits until the converter process runs. After the given seconds it
sends the signal to the export alone, and counts the seconds until the converter has ended. Then the same command must
succeed and leave no work folder. Linux only: the processes are found in /proc.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKER = b"dltemplates.deploy.worker"


def main() -> int:
    """Print a line per kill; return 1 if a converter outlives `--within` seconds, or the next export fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--to", default="tflite:int8", metavar="FORMAT")
    parser.add_argument("--signal", default="KILL", choices=["KILL", "TERM", "INT"])
    parser.add_argument("--after", type=float, nargs="+", default=[0.0, 2.0, 5.0], metavar="SECONDS")
    parser.add_argument("--within", type=float, default=5.0, metavar="SECONDS")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / options.run.resolve().name
        shutil.copytree(options.run, run)
        command = [sys.executable, "-m", "dltemplates", "export", str(run), "--to", options.to]
        for after in options.after:
            seconds = kill(command, getattr(signal, f"SIG{options.signal}"), after, options.within)
            failed |= seconds is None
            result = f"its converter lived {options.within} s longer" if seconds is None else f"{seconds:.2f} s"
            print(f"SIG{options.signal} {after} s after the converter's start: {result}")
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        left = [path.name for path in (run / "exports").glob(".partial-*")]
        print(f"the same command again: exit code {status}, {len(left)} work folders left")
        return int(failed or status != 0 or bool(left))


def kill(command: list[str], number: int, after: float, within: float) -> float | None:
    """Start an export, kill it, and return the seconds that its converter lived on; None if it still lives."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as export:
        worker = find_worker(export)
        time.sleep(after)
        export.send_signal(number)
        started = time.monotonic()
        while time.monotonic() - started < within:
            if not is_running(worker):
                return time.monotonic() - started
            time.sleep(0.01)
        os.kill(worker, signal.SIGKILL)
        return None


def find_worker(export: subprocess.Popen) -> int:
    """Wait for the converter process of an export, and return its id."""
    while export.poll() is None:
        for folder in Path("/proc").glob("[0-9]*"):
            if parent_of(folder) == export.pid and WORKER in read(folder / "cmdline").split(b"\0"):
                return int(folder.name)
        time.sleep(0.02)
    raise SystemExit(f"The export ended before its converter started, with exit code {export.returncode}.")


def parent_of(folder: Path) -> int | None:
    """Return the parent of a process by its folder in /proc; None if it has ended."""
    fields = read(folder / "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 and fields[0] != b"Z" else None


def is_running(process: int) -> bool:
    """Return whether a process still runs."""
    return parent_of(Path(f"/proc/{process}")) is not None


def read(path: Path) -> bytes:
    """Return the content of a file; nothing if its process has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    sys.exit(main())
