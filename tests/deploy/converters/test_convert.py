import contextlib
import os
import signal
import sys
import textwrap

import pytest

from dltemplates.deploy.converters.convert import MAX_MEMORY, ConversionError, Converter

ECHO = """
    import json, os, signal, sys
    print("what a library prints", file=sys.stderr)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "die":
            os.kill(os.getpid(), request["signal"])
        if request["do"] == "exit":
            sys.exit(request["status"])
        print(json.dumps({"peak_memory": 0} | request.get("reply", {"pid": os.getpid()})), flush=True)
"""


@pytest.fixture
def converter(tmp_path):
    with Converter(tmp_path / "log.txt", (sys.executable, "-c", textwrap.dedent(ECHO))) as converter:
        yield converter


def alive(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_one_child_answers_all_requests(converter):
    assert converter.ask(do="echo") == converter.ask(do="echo") == {"pid": converter.process.pid}


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        ({"do": "die", "signal": signal.SIGSEGV}, r"crashed \(SIGSEGV\)"),
        ({"do": "die", "signal": signal.SIGKILL}, r"was killed \(SIGKILL\), most likely because memory ran out"),
        ({"do": "die", "signal": signal.SIGRTMIN + 3}, r"crashed \(\d+\)"),
        ({"do": "exit", "status": 3}, "ended with status 3"),
    ],
)
def test_a_dead_child_fails_one_request(converter, request_, match):
    first = converter.process.pid
    with pytest.raises(ConversionError, match=match):
        converter.ask(**request_)
    assert converter.ask(do="echo")["pid"] != first


def test_a_child_killed_from_outside_is_started_again(converter):
    os.kill(converter.process.pid, signal.SIGKILL)
    converter.process.wait()
    with pytest.raises(ConversionError, match="was killed"):
        converter.ask(do="echo")
    assert converter.ask(do="echo")["pid"] == converter.process.pid


def test_a_child_that_used_much_memory_is_replaced(converter):
    first = converter.process.pid
    assert converter.ask(do="echo", reply={"peak_memory": MAX_MEMORY}) == {}
    assert converter.process.pid == first
    assert converter.ask(do="echo", reply={"peak_memory": MAX_MEMORY + 1}) == {}
    assert not alive(first)
    assert converter.ask(do="echo")["pid"] == converter.process.pid


def test_errors_of_the_child_are_raised_here(converter):
    with pytest.raises(ConversionError, match="unknown operator"):
        converter.ask(do="echo", reply={"error": "unknown operator"})
    with pytest.raises(OSError, match="No space left"):
        converter.ask(do="echo", reply={"os_error": [28, "No space left on device", "out"]})


def test_the_child_ends_with_the_context(tmp_path):
    with (
        contextlib.suppress(KeyboardInterrupt),
        Converter(tmp_path / "log.txt", (sys.executable, "-c", textwrap.dedent(ECHO))) as converter,
    ):
        pid = converter.ask(do="echo")["pid"]
        raise KeyboardInterrupt
    assert not alive(pid)
    converter.stop()
    assert (tmp_path / "log.txt").read_text() == "what a library prints\n"


@pytest.mark.parametrize("in_path", [False, True])
def test_the_child_imports_no_modules_from_the_current_folder(tmp_path, monkeypatch, in_path):
    (tmp_path / "numpy.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    if in_path:  # as with `python -m dltemplates`
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with Converter(tmp_path / "log.txt") as converter, pytest.raises(FileNotFoundError, match=r"none\.npz"):
        converter.ask(do="latency", path="none.onnx", example="none.npz")
    assert not (tmp_path / "imported").exists()
