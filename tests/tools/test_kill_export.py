"""The script that kills exports."""

import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="the script finds processes in /proc")
def test_a_killed_export_takes_its_converter_along(tool, small_run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kill_export.py", str(small_run.path), "--to", "tflite:float32", "--after", "0"])
    assert tool.main() == 0
    first, last = capsys.readouterr().out.splitlines()
    seconds = float(first.removeprefix("SIGKILL 0.0 s after the converter's start: ").removesuffix(" s"))
    assert 0 <= seconds < 5
    assert last == "the same command again: exit code 0, 0 work folders left"
