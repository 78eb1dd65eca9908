"""The converter process ends with its caller."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from dltemplates.compat import is_alive

# A worker whose conversions never end; TensorFlow is left out, to start fast.
BUSY = """
    import time
    from dltemplates.deploy import worker

    def answer(request):
        print("busy", file=__import__("sys").stderr, flush=True)
        time.sleep(600)

    worker._import_tensorflow = lambda: None
    worker.answer = answer
    {patch}
    worker.main()
"""
CALLER = """
    import sys
    from pathlib import Path
    from dltemplates.deploy.converters.convert import Converter

    log = Path(sys.argv[1])
    with Converter(log, [sys.executable, "-c", sys.argv[2]]) as converter:
        print(converter.process.pid, flush=True)
        converter.ask(do="convert")
"""
WITHOUT_LINUX = "worker.die_with_parent = lambda: None"  # only the end of stdin tells the worker, as on macOS


def wait_until(condition, seconds=30.0):
    """Wait until a condition holds; return whether it does in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def has_ended(pid):
    """Check whether a process has ended; a zombie has."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"
    return not is_alive(pid)


@pytest.mark.parametrize("patch", ["", WITHOUT_LINUX], ids=["linux", "other systems"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_caller_leaves_no_converter_behind(tmp_path, patch, number):
    log = tmp_path / "log.txt"
    worker = textwrap.dedent(BUSY).format(patch=patch)
    caller = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CALLER), str(log), worker], stdout=subprocess.PIPE, text=True
    )
    child = int(caller.stdout.readline())
    try:
        assert wait_until(lambda: log.exists() and "busy" in log.read_text())
        assert not has_ended(child)
        caller.send_signal(number)
        caller.wait(10)
        assert wait_until(lambda: has_ended(child), seconds=5)
    finally:
        caller.stdout.close()
        if not has_ended(child):
            os.kill(child, signal.SIGKILL)


def test_the_worker_ends_when_stdin_ends():
    command = [sys.executable, "-c", textwrap.dedent(BUSY).format(patch=WITHOUT_LINUX)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdin.close()
        assert process.wait(30) == 0
