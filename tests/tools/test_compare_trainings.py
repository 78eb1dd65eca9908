"""The comparison of two checkouts, bit for bit."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
WEIGHTS = {"layers/dense/vars/0": np.ones((2, 3), np.float32), "layers/dense/vars/1": np.zeros(3, np.float32)}
ROWS = ({"epoch": 1, "loss": 0.5, "seconds": 1.0}, {"epoch": 2, "loss": 0.25, "seconds": 2.0})


def write_run(folder, weights=WEIGHTS, rows=ROWS):
    folder.mkdir()
    with h5py.File(folder / "model.weights.h5", "w") as file:
        for name, array in weights.items():
            file[name] = array
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def compared(tool, tmp_path):
    """Return a function that compares a changed run with the usual one: weights, history."""

    def compare(**changes):
        write_run(tmp_path / "first")
        write_run(tmp_path / "second", **changes)
        runs = tmp_path / "first", tmp_path / "second"
        return (
            tool.compare_weights(*map(tool.read_weights, runs)),
            tool.compare_histories(*map(tool.read_history, runs)),
        )

    return compare


def test_the_seconds_of_a_run_do_not_count(compared):
    assert compared(rows=[row | {"seconds": 99.0} for row in ROWS]) == ("", "")


def test_one_different_bit_of_a_weight_is_found(compared):
    bias = np.zeros(3, np.float32)
    bias[1] = np.nextafter(np.float32(0), np.float32(1))
    weights, history = compared(weights=WEIGHTS | {"layers/dense/vars/1": bias})
    assert weights == "1 of 2 arrays, by up to 1.4e-45"
    assert history == ""


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (np.ones(3, np.float64), "1 of 2 arrays, by up to 1.0e"),
        (-np.zeros(3, np.float32), "1 of 2 arrays, by up to 0.0e"),
        (np.zeros(4, np.float32), "1 of 2 arrays, in shape"),
    ],
)
def test_different_arrays_are_found(compared, changed, difference):
    assert compared(weights=WEIGHTS | {"layers/dense/vars/1": changed})[0].startswith(difference)


def test_layers_may_be_renamed_but_weights_must_be_equal(compared, tool):
    renamed = {name.replace("dense", "hidden"): array for name, array in WEIGHTS.items()}
    assert compared(weights=renamed)[0] == ""
    assert tool.compare_weights(WEIGHTS, {name: array + 1 for name, array in renamed.items()}) == "other arrays"
    assert tool.compare_weights(WEIGHTS, {}) == tool.compare_weights({}, {}) == "no weights"


@pytest.mark.parametrize(
    ("rows", "difference"),
    [
        ([ROWS[0], ROWS[1] | {"loss": 0.251}], "loss of epoch 2: 0.25 and 0.251"),
        (ROWS[:1], "2 and 1 epochs"),
        ([{"epoch": 1, "cost": 0.5}, {"epoch": 2, "cost": 0.25}], "no common loss"),
        ([row | {"val_loss": 1} for row in ROWS], ""),  # a metric that only one of them writes
    ],
)
def test_a_different_history_is_found(compared, rows, difference):
    assert compared(rows=rows) == ("", difference)


def test_this_checkout_knows_all_eight_templates(tool):
    assert len(tool.TEMPLATES) == 8
    known = tool.known_settings(tool.TEMPLATES)
    for name, settings in tool.TEMPLATES.items():
        assert len(tool.translate(settings, known[name])) == len(settings)
    assert set(tool.NEWER) <= {key for settings in tool.TEMPLATES.values() for key in settings}


def test_each_checkout_gets_the_names_that_it_knows(tool, tmp_path):
    package = tmp_path / "dltemplates"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "catalog.py").write_text("def load(kind, name):\n    return lambda targets, noise: None\n")
    (package / "template.py").write_text(
        "from pydantic import BaseModel\n"
        "class Images(BaseModel):\n    size: int = 8\n"
        "class Dataset(BaseModel):\n    name: str\n    images: Images | None = None\n"
        "class Template(BaseModel):\n    dataset: Dataset\n"
    )
    settings = {"task.name": "t", "task.noise": 1, "task.relative": True, "dataset.name": "d", "dataset.image_size": 9}
    known = tool.ask_known(tmp_path, {"x": settings})["x"]
    assert known == ["task.name", "task.noise", "dataset.name", "dataset.images.size"]
    with pytest.raises(ValueError, match=r"know each setting. Received: task\.relative.*task\.subtract_last.*NEWER"):
        tool.translate(settings, known)
    del settings["task.relative"]
    assert tool.translate(settings, known) == {
        "task.name": "t", "task.noise": 1, "dataset.name": "d", "dataset.images.size": 9,
    }  # fmt: skip


@pytest.mark.parametrize(("step", "code", "difference"), [(0, 0, "equal"), (1, 1, "1 of 2 arrays, by up to 1.0e+00")])
def test_the_exit_code_shows_different_bits(tool, tmp_path, monkeypatch, capsys, step, code, difference):
    trained = []

    def train(checkout, settings, output):
        bias = WEIGHTS["layers/dense/vars/1"] + step * len(trained)
        trained.append(checkout)
        write_run(output, WEIGHTS | {"layers/dense/vars/1": bias})
        return 1.0

    monkeypatch.setattr(tool, "train", train)
    monkeypatch.setattr(tool, "ask_known", lambda checkout, templates: templates)
    monkeypatch.setattr(sys, "argv", ["compare_trainings.py", str(ROOT), str(ROOT), "--only", "vae"])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert ended.value.code == code
    assert trained == [ROOT, ROOT]
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.startswith("template")
    assert line.startswith("vae")
    assert difference in line


def test_a_failing_training_ends_with_its_error(tool, tmp_path, monkeypatch, capsys):
    def train(checkout, settings, output):
        raise subprocess.CalledProcessError(2, "python", stderr="`units` must be positive.\n")

    monkeypatch.setattr(tool, "train", train)
    monkeypatch.setattr(tool, "ask_known", lambda checkout, templates: templates)
    monkeypatch.setattr(sys, "argv", ["compare_trainings.py", str(ROOT), str(ROOT)])
    with pytest.raises(SystemExit, match="2"):
        tool.main()
    assert capsys.readouterr().err == "`units` must be positive.\n"


def test_a_checkout_must_hold_the_package(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare_trainings.py", str(ROOT), str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        tool.main()
    assert f"must hold dltemplates/. Received: {tmp_path}" in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_checkout_twice_is_equal(tmp_path):
    script = ROOT / "tools" / "compare_trainings.py"
    done = subprocess.run(
        [sys.executable, script, ROOT, ROOT, "--only", "table", "-o", tmp_path / "runs"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[-2:] == ["equal", "equal"]
    for place in ("first", "second"):
        assert (tmp_path / "runs" / f"table-{place}" / "model.weights.h5").stat().st_size > 10_000
