"""The main job: resuming after an interruption, and its display on a terminal."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import in_process_converter, run_dlt, small_template
from dltemplates.cli import main as cli
from dltemplates.deploy.export_run import export
from dltemplates.deploy.parity import CheckError, check_part
from dltemplates.deploy.report import REPORT_FILE, load_report
from dltemplates.main_job import run
from dltemplates.runs import Run
from dltemplates.training.checkpoint import list_checkpoints
from dltemplates.training.recording.progress import Silent
from dltemplates.training.workers.cluster import VARIABLE, tf_config

FORMATS = ("tflite:float32", "tflite:int8", "onnx:float32")
TEMPLATE = small_template(train__epochs=3, export={"formats": FORMATS, "calibration": 64, "max_drop": 0.1})


class Listener(Silent):
    """Reporter that collects notes, and interrupts as Ctrl-C does after epoch `stop_at`."""

    def __init__(self, stop_at=None):
        self.notes, self.stop_at = [], stop_at

    def note(self, text):
        self.notes.append(text)

    def epoch(self, row, best):
        if row["epoch"] == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def complete_run(tmp_path_factory):
    """Run the main job without an interruption. Tests only read this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dltemplates.deploy.export.Converter", in_process_converter())
        trained, report = run(TEMPLATE, output=tmp_path_factory.mktemp("job") / "complete")
    assert [result.verdict for result in report.results] == ["passed"] * 3
    return trained


@pytest.fixture
def copy(complete_run, tmp_path):
    """Copy that run to a folder of the same name, since its files have that name too."""
    shutil.copytree(complete_run.path, tmp_path / complete_run.name)
    return Run(tmp_path / complete_run.name)


def go_on(copied, **options):
    """Resume the main job, and return its report, the state of each format, and the notes."""
    listener, states = Listener(), {}
    _, report = run(
        TEMPLATE, output=copied.path, resume=True, reporter=listener, progress=states.__setitem__, **options
    )
    return report, states, listener.notes


def stamps(copied):
    """Return the inode and time of each export: a file that is written again has new ones."""
    files = [path for path in copied.exports_path.iterdir() if path.name != REPORT_FILE]
    assert files
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_resuming_a_complete_run_exports_nothing_again(copy, in_process):
    copy.report_path.unlink()
    before, weights = stamps(copy), copy.weights_path.read_bytes()
    report, states, notes = go_on(copy)
    assert states == dict.fromkeys(FORMATS, "kept")
    assert "nothing was left to do" in notes[-1]
    assert report == load_report(copy.exports_path)
    assert stamps(copy) == before
    assert copy.weights_path.read_bytes() == weights
    assert copy.report_path.exists()


def lose_a_file(copied):
    next(copied.exports_path.glob("*-int8.tflite")).unlink()


def damage_a_file(copied):
    next(copied.exports_path.glob("*-int8.tflite")).write_bytes(b"half")


def forget_a_format(copied):
    """Drop a format from the report, as a kill between the file and the report does."""
    report = load_report(copied.exports_path)
    others = tuple(result for result in report.results if result.format != "tflite:int8")
    report.model_copy(update={"results": others}).save(copied.exports_path)


def export_with_int8_input(copied):
    assert not export(copied, formats=["tflite:int8"], input="int8").failed


def change_in_the_report(**settings):
    def change(copied):
        report = load_report(copied.exports_path)
        changed = report.result("tflite:int8").model_copy(update=settings)
        results = tuple(changed if result.format == "tflite:int8" else result for result in report.results)
        report.model_copy(update={"results": results}).save(copied.exports_path)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lose_a_file,
        damage_a_file,
        forget_a_format,
        export_with_int8_input,
        change_in_the_report(calibration=32),
        change_in_the_report(max_drop="0.2"),
        change_in_the_report(input=None, calibration=None),  # from a version that did not record them
    ],
)
def test_only_a_format_with_other_settings_or_a_bad_file_is_exported_again(copy, in_process, change):
    change(copy)
    before = stamps(copy)
    report, states, notes = go_on(copy)
    assert states == {"tflite:float32": "kept", "tflite:int8": "passed", "onnx:float32": "kept"}
    assert "nothing was left to do" not in notes[-1]
    rewritten = {name for name, stamp in stamps(copy).items() if stamp != before.get(name)}
    assert rewritten == {report.result("tflite:int8").file}
    result = load_report(copy.exports_path).result("tflite:int8")
    assert (result.max_drop, result.input, result.calibration) == ("0.1", "uint8", 64)


def test_every_format_is_exported_again_after_a_change_of_weights(copy, in_process):
    model = copy.model()
    model.get_layer("convnet").get_layer("logits").bias.assign_add([0.01] * 10)
    copy.save_weights(model)
    copy.save_record(copy.record)
    _, states, _ = go_on(copy)
    assert states == dict.fromkeys(FORMATS, "passed")


def test_a_failed_format_is_tried_again_and_exits_with_3(copy, in_process, monkeypatch, capsys):
    def failing(format, *arguments):
        if format.key == "tflite:int8":
            raise CheckError("over budget")
        return check_part(format, *arguments)

    forget_a_format(copy)
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    arguments = ["run", str(copy.template_path), "-o", str(copy.path), "--resume", "--json"]
    with monkeypatch.context() as patched:
        patched.setattr("dltemplates.deploy.export.check_part", failing)
        for _ in range(2):
            assert cli.main(arguments) == 3
            out, err = capsys.readouterr()
            assert {result["format"]: result["verdict"] for result in json.loads(out)["exports"]["results"]} == {
                "tflite:float32": "passed", "tflite:int8": "failed", "onnx:float32": "passed",
            }  # fmt: skip
            assert "onnx:float32: kept" in err
            assert "tflite:int8: failed" in err
    assert cli.main(arguments) == 0
    assert cli.main(arguments) == 0
    assert "nothing was left to do" in capsys.readouterr().err


def test_an_interrupted_training_prints_the_command_to_resume(complete_run, tmp_path, in_process):
    folder = tmp_path / complete_run.name
    with pytest.raises(KeyboardInterrupt, match=rf"at step .*Continue with `dlt run .* --resume -o {folder}`"):
        run(TEMPLATE, output=folder, reporter=Listener(stop_at=1))
    assert Run(folder).record.state == "interrupted"
    report, states, notes = go_on(Run(folder))
    assert any("resuming" in note for note in notes)
    assert states == dict.fromkeys(FORMATS, "passed")
    assert report.model_sha256 == load_report(complete_run.exports_path).model_sha256


def test_an_interrupted_export_prints_the_command_to_resume(copy, in_process):
    forget_a_format(copy)

    def interrupt(key, state):
        if state == "converting":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=rf"in the export. Continue with `dlt run .* --resume -o {copy.path}`"):
        run(TEMPLATE, output=copy.path, resume=True, progress=interrupt)
    _, states, _ = go_on(copy)
    assert states == {"tflite:float32": "kept", "tflite:int8": "passed", "onnx:float32": "kept"}


def test_conflicting_options_are_refused(copy, monkeypatch):
    with pytest.raises(ValueError, match="`--resume` and `--overwrite` exclude each other. Received: both"):
        go_on(copy, overwrite=True)
    with pytest.raises(ValueError, match=r"trains on one machine\. Received: strategy multiworker"):
        go_on(copy, strategy="multiworker")
    with pytest.raises(ValueError, match=r"with its own template\. Received: seed = 1"):
        run(TEMPLATE.model_copy(update={"seed": 1}), output=copy.path, resume=True)
    monkeypatch.setenv(VARIABLE, tf_config(["a:1", "b:1"], 0))
    with pytest.raises(ValueError, match=r"trains on one machine\. Received: strategy auto on several workers"):
        run(TEMPLATE, output=copy.path.with_name("new"))
    assert not copy.path.with_name("new").exists()


def start(*arguments, **options):
    command = [sys.executable, "-m", "dltemplates", "run", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_until(condition, process):
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def has_format(run):
    with contextlib.suppress(ValueError):
        return len(load_report(run.exports_path).results) > 0
    return False


@pytest.fixture
def killed(tmp_path):
    """Write a template that trains for some seconds and exports all formats; return it and its run."""
    settings = {"train__epochs": 4, "train__checkpoint_seconds": 0, "export": {"calibration": 64, "max_drop": 0.1}}
    path = tmp_path / "killed.toml"
    path.write_text(small_template(**settings).to_toml())
    return path, Run(tmp_path / "run")


@pytest.mark.slow
def test_a_job_killed_in_training_and_in_export_ends_like_an_uninterrupted_one(killed, tmp_path):
    path, run = killed
    process = start(path, "-o", run.path)
    wait_until(lambda: len(list_checkpoints(run.checkpoint_path)) > 1, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert run.record.state == "running"
    assert not run.exports_path.exists()
    process = start(path, "-o", run.path, "--resume")
    wait_until(lambda: has_format(run), process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert run.record.state == "done"
    finished = {result.file for result in load_report(run.exports_path).results}
    before = stamps(run)
    assert not run.report_path.exists()
    done = run_dlt("run", path, "-o", run.path, "--resume")
    assert done.returncode == 0, done.stderr
    assert "saved_model: kept" in done.stderr
    assert "epoch" not in done.stderr
    report = load_report(run.exports_path)
    assert [result.verdict for result in report.results] == ["passed"] * 9
    assert {name: stamp for name, stamp in stamps(run).items() if name in finished} == {
        name: stamp for name, stamp in before.items() if name in finished
    }
    assert {path.name for path in run.exports_path.iterdir()} == {REPORT_FILE, *(r.file for r in report.results)}
    assert run.report_path.exists()
    # In a process of its own: one that trained on several devices before has other threads, and so other roundings.
    one = run_dlt("train", path, "-o", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    assert run.record.sha256["model.weights.h5"] == Run(tmp_path / "one").record.sha256["model.weights.h5"]
    done = run_dlt("run", path, "-o", run.path, "--resume")
    assert done.returncode == 0, done.stderr
    assert "nothing was left to do" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["training", "export"])
def test_ctrl_c_exits_with_130_and_prints_the_command_to_resume(killed, phase):
    path, run = killed
    process = start(path, "-o", run.path)
    wait_until(run.history_path.exists if phase == "training" else lambda: has_format(run), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert re.search(rf"Continue with `dlt run {run.template_path} --resume -o {run.path}`", err.splitlines()[-1])
    done = run_dlt("run", run.template_path, "--resume", "-o", run.path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_main_job_trains_on_several_devices(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(TEMPLATE.to_toml())
    done = run_dlt("run", path, "-o", tmp_path / "run", "--devices", "2", "--strategy", "mirrored")
    assert done.returncode == 0, done.stderr
    assert "training on 2 x CPU" in done.stderr
    assert len(load_report(tmp_path / "run" / "exports").results) == 3


def on_a_terminal(*arguments):
    """Run `dlt` on a pseudo-terminal, and return its exit code and output."""
    here, there = pty.openpty()
    command = [sys.executable, "-m", "dltemplates", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=there, stdout=there, stderr=there)
    os.close(there)
    printed = b""
    with contextlib.suppress(OSError):  # Linux raises it once the other end is closed
        while part := os.read(here, 65536):
            printed += part
    os.close(here)
    return process.wait(), printed.decode()


@pytest.mark.slow
def test_a_terminal_shows_one_display_at_a_time(tmp_path):
    path = Path(tmp_path / "shown.toml")
    path.write_text(TEMPLATE.to_toml())
    code, printed = on_a_terminal("run", path, "-o", tmp_path / "run")
    assert code == 0, printed
    training_ended = max(printed.rindex("training "), printed.index("epoch   3"))
    assert printed.index("exporting") > training_ended
    assert "exporting tflite:float32: converting" in printed
    # A display hides the cursor at its start and shows it at its end, so the two displays do not overlap.
    assert re.findall(r"\x1b\[\?25([lh])", printed) == ["l", "h", "l", "h"]
