import json
import os

import pytest

from dltemplates.files import atomic_write
from dltemplates.new_runs import make_run, new_run_path
from dltemplates.runs import Run, list_runs, load_run


def test_a_run_must_be_a_folder_with_a_whole_record(tmp_path):
    with pytest.raises(ValueError, match=f"Received: {tmp_path / 'none'}\\. "):
        load_run(tmp_path / "none")
    with pytest.raises(ValueError, match=rf"run\.json.*Received: {tmp_path}\. "):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"format_version": 1}))
    with pytest.raises(ValueError, match=r"Received: .*run\.json \("):
        load_run(tmp_path)


def test_an_unfinished_run_is_refused(small_run, tmp_path):
    run = Run(tmp_path / "run")
    run.path.mkdir()
    record = small_run.record.model_copy(update={"state": "running", "sha256": {}})
    atomic_write(run.record_path, record.model_dump_json())
    with pytest.raises(ValueError, match=f"Received: {run.path}, .*--resume"):
        load_run(run.path)


def test_only_runs_are_overwritten_and_free_names_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(new_run_path("x", None)) == "saved_models/x"
    (tmp_path / "saved_models" / "x").mkdir(parents=True)
    assert str(new_run_path("x", None)) == "saved_models/x-2"
    assert new_run_path("x", tmp_path / "saved_models" / "x", overwrite=True).name == "x"
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"Received: {tmp_path / 'file'}, "):
        new_run_path("x", tmp_path / "file", overwrite=True)
    assert make_run("x", None).path.name == "x-2"
    assert make_run("x", None).path.name == "x-3"
    (tmp_path / "saved_models" / "x" / "notes").touch()
    with pytest.raises(ValueError, match="Received: .*x, .*other"):
        new_run_path("x", tmp_path / "saved_models" / "x", overwrite=True)
    with pytest.raises(ValueError, match="Received: .*x, .*--overwrite"):
        new_run_path("x", tmp_path / "saved_models" / "x")


def test_weights_larger_than_the_free_disk_raise_os_error(small_run, monkeypatch, tmp_path):
    import shutil

    run = Run(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(OSError, match="No space left on device"):
        run.save_weights(Run(small_run.path).model())
    assert os.listdir(tmp_path) == []


def test_clear_removes_only_the_files_of_a_run(small_run, tmp_path):
    import shutil

    run = Run(tmp_path / "run")
    shutil.copytree(small_run.path, run.path)
    (run.path / "notes.txt").touch()
    (run.checkpoint_path / ".partial-1-last.npz").touch()
    (run.path / ".partial-1-model.weights.h5").touch()
    run.clear()
    assert set(os.listdir(run.path)) - {run.lock_path.name} == {"notes.txt"}


def test_the_model_loads_from_definition_and_weights(small_run):
    run = load_run(small_run.path)
    model = run.model()
    assert model.input_shape == (None, 8, 8, 1)
    assert run.record.parameters == model.count_params()
    assert run.serving().contract.outputs[0].classes == tuple("0123456789")


def test_unknown_layers_in_a_definition_raise_with_the_import_option(small_run, tmp_path):
    run = Run(small_run.path)
    other = Run(tmp_path)
    text = run.definition_path.read_text().replace('"keras.layers"', '"mine.layers"').replace('"Conv2D"', '"MyConv"')
    other.definition_path.write_text(text)
    with pytest.raises(ValueError, match="definition.json.*Received: .*--import"):
        other.model()


def test_listed_runs_are_described(small_run):
    listed = [run for run in list_runs(small_run.path.parent) if run.name == "small"]
    assert "convnet on digits, done, test accuracy 0." in listed[0].describe()


def test_a_run_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"must be a folder\. Received: .*file, which is a file\. Choose"):
        new_run_path("x", tmp_path / "file", overwrite=True)
    with pytest.raises(ValueError, match=r"must be a folder\. Received: .*run, but .*file is a file\. Choose"):
        new_run_path("x", tmp_path / "file" / "folder" / "run")
