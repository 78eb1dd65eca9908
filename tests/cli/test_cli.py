"""The command line: its output, files and exit codes."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import click
import keras
import numpy as np
import pytest

from conftest import SMALL
from dltemplates import catalog
from dltemplates.catalog import MODELS, Entry
from dltemplates.cli import commands, pages
from dltemplates.cli import main as cli
from dltemplates.runs import Run
from dltemplates.training.checkpoint import list_checkpoints

QUICK = [f"--set={key}={json.dumps(value) if not isinstance(value, dict) else ''}" for key, value in SMALL.items()]
QUICK = [setting for setting in QUICK if not setting.endswith("=")] + [
    "--set=train.epochs=1",
    "--set=train.learning_rate=0.01",
    "--set=train.augment.rotation=0",
]


@pytest.fixture
def dlt(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder: `(exit code, stdout, stderr)`."""
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def exported(small_run, tmp_path_factory):
    """Copy the small run, and export two formats."""
    from dltemplates.deploy.export_run import export

    path = tmp_path_factory.mktemp("exported") / "small"
    shutil.copytree(small_run.path, path)
    report = export(path, formats=["tflite:int8", "onnx:float32"], max_drop=0.1)
    assert not report.failed
    return Run(path)


LIGHT = ("resnet8_digits", "cifar10", "multi_label", "tflite:int8")  # `dlt show` builds no network for these


def error_line(err):
    (line,) = [line for line in err.splitlines() if line.startswith("dlt: ")]
    assert err.strip().endswith(line)
    assert "Traceback" not in err
    return line


def test_help_and_list_load_no_tensorflow_and_little_else():
    for arguments in (["--help"], ["list"], ["list", "models"], *(["show", name] for name in LIGHT)):
        code = (
            "import sys\nfrom dltemplates.cli.main import main\n"
            f"code = main({arguments})\n"
            "assert not {'tensorflow', 'keras', 'numpy', 'pydantic'} & set(sys.modules), set(sys.modules)\n"
            "sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.parametrize("group", ["templates", "models", "datasets", "tasks", "formats", "runs"])
def test_list_prints_every_name_of_a_group(dlt, group):
    code, out, _ = dlt("list", group, "--json")
    assert code == 0
    listed = json.loads(out)
    assert (listed == {}) == (group == "runs")
    code, out, _ = dlt("list", group)
    assert code == 0
    assert all(name in out for name in listed)


@pytest.mark.parametrize(("name", "kind"), zip(LIGHT, ("template", "dataset", "task", "format"), strict=True))
def test_show_describes_an_entry_of_each_kind(dlt, name, kind):
    code, out, _ = dlt("show", name)
    assert code == 0
    assert len(out) > 50
    code, out, _ = dlt("show", name, "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["name"], said["kind"]) == (name, kind)


@pytest.mark.parametrize(
    ("task", "option", "default", "meaning"),
    [
        ("generation", "critic_steps", 1, "Steps of the discriminator per step of the generator"),
        ("variational", "noise", 0.0, "Standard deviation of the noise"),  # as in the class it is derived from
        ("classification", "loss", "cross_entropy", "whose gradient is Rosenblatt's rule"),
    ],
)
def test_show_explains_the_options_of_a_task(dlt, task, option, default, meaning):
    said = json.loads(dlt("show", task, "--json")[1])["options"]
    assert not {"self", "targets"} & set(said)
    assert said[option]["default"] == default
    assert meaning in said[option]["meaning"]
    _, out, _ = dlt("show", task)
    assert f"{option} " in out
    assert meaning.split()[0] in out


def test_every_option_of_a_task_is_explained():
    options = {(task, name): about for task in catalog.TASKS for name, about in pages.gather(task)["options"].items()}
    assert {task for task, _ in options} > {"classification", "generation"}
    assert "spec" not in {name for _, name in options}
    for option, about in options.items():
        assert about["meaning"], option


def test_show_wraps_a_long_url_without_cutting_it(dlt):
    _, out, _ = dlt("show", "alexnet")
    assert "4824-imagenet-classification-with-deep-convolutional-neural-networks" in "".join(out.split())
    assert "…" not in out


def test_show_describes_a_model_from_paper_to_results(dlt):
    code, out, _ = dlt("show", "lenet5")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    lines = [" ".join(line.split()) for line in out.splitlines()]
    text = " ".join(lines)
    assert "Gradient-Based Learning Applied to Document Recognition" in text
    assert "http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf" in text
    assert "idea Section II.B: three 5x5 convolutions with 6, 16 and 120 maps" in text
    for line in (
        "3 10 x 10 x 16 Conv2D 2,416 240,000",
        "classifier 10 Flatten, 2x Dense 11,014 10,920",
        "total 61,706 416,520",
        "activation tanh Activation of the hidden layers, by its Keras name.",
    ):
        assert line in lines
    assert "input_shape 28, 28, 1 `(height, width, channels)`; 8x8 to 32x32" in text  # its least and greatest size
    assert "lenet5_mnist 0.9926 test, 0.9922 as int8" in text


def test_show_prints_a_model_as_one_json_object(dlt):
    code, out, _ = dlt("show", "resnet20", "--json")
    assert code == 0
    said = json.loads(out)
    assert (said["name"], said["kind"]) == ("resnet20", "model")
    assert said["paper"].startswith("He, Zhang, Ren, Sun:")
    assert (said["parameters"], said["trainable"], said["macs"]) == (271_098, 269_722, 40_551_040)
    assert said["parameters_in_training"] == 271_098
    assert [stage["output"] for stage in said["stages"]] == [[32, 32, 16], [16, 16, 32], [8, 8, 64], [10]]
    assert sum(stage["parameters"] for stage in said["stages"]) == said["parameters"]
    assert sum(stage["macs"] for stage in said["stages"]) == said["macs"]
    assert said["stages"][0]["layers"] == {"Conv2D": 7, "BatchNormalization": 7, "ReLU": 7, "Add": 3}
    assert said["sizes"]["input_shape"]["paper"] == [32, 32, 3]
    assert "at least 8" in said["sizes"]["input_shape"]["meaning"]
    assert "resnet20_cifar10" in said["results"]
    said = json.loads(dlt("show", "convnet", "--json")[1])
    assert said["options"]["filters"]["default"] == [32, 64, 128]
    assert said["options"]["filters"]["meaning"].startswith("Filters of each stage.")
    assert set(said["options"]) == {"filters", "dropout_rate"}


def test_show_counts_the_parameters_with_and_without_auxiliary_classifiers(dlt, monkeypatch):
    sizes = {"input_shape": (224, 224, 3), "num_outputs": 1000}
    entry = Entry("dltemplates.models.convolutional.googlenet:googlenet", "nine inception modules", sizes)
    monkeypatch.setitem(MODELS, "googlenet", entry)
    _, out, _ = dlt("show", "googlenet")
    assert re.search(r"^total +6,998,552 ", out, re.MULTILINE)
    assert "In training, with auxiliary classifiers, there are 13,378,280." in " ".join(out.split())


def test_show_keeps_a_count_and_its_layer_on_one_line(dlt):
    _, out, _ = dlt("show", "convnet")
    assert not re.search(r"\dx\s*$", out, re.MULTILINE)
    assert "2x BatchNormalization" in out


@pytest.mark.slow
def test_show_works_for_every_model(dlt):
    assert MODELS
    for name in MODELS:
        code, out, err = dlt("show", name)
        assert code == 0, err
        assert max(map(len, out.splitlines())) <= 100, name
        assert all(part in out for part in ("idea", "\ntotal ", "\noption ")), name


def test_show_suggests_the_nearest_name(dlt):
    code, _, err = dlt("show", "lenet6")
    assert code == 2
    assert "Did you mean lenet5" in error_line(err)


def test_new_writes_a_commented_template(dlt, tmp_path):
    assert dlt("new", "mine.toml", "--from", "resnet8_digits")[0] == 0
    assert (tmp_path / "mine.toml").read_text().startswith("#")
    code, _, err = dlt("new", "mine.toml", "--from", "resnet8_digits")
    assert code == 2
    assert "Received: mine.toml, " in error_line(err)
    assert dlt("new", "mine.toml", "--from", "resnet8_digits", "--overwrite")[0] == 0
    code, _, err = dlt("new", "mine.yaml", "--from", "resnet8_digits")
    assert code == 2
    assert "Received: mine.yaml. Try mine.toml" in error_line(err)
    code, _, err = dlt("new", "mine.toml/deeper.toml", "--from", "resnet8_digits")
    assert code == 2
    assert "Received: mine.toml, which is a file" in error_line(err)


def test_build_writes_definition_and_weights_and_prints_their_size(dlt, tmp_path):
    code, out, _ = dlt("build", "resnet20", "--input-shape", "32,32,3", "--classes", "10")
    assert code == 0
    assert "269,722" in out
    assert "float16" in out
    folder = tmp_path / "saved_models" / "resnet20"
    model = keras.models.model_from_json((folder / "definition.json").read_text())
    model.load_weights(folder / "model.weights.h5")
    assert {path.name for path in folder.iterdir()} == {"definition.json", "model.weights.h5"}
    code, out, _ = dlt("build", "mlp", "--size", "input_shape=[4]", "--classes", "2", "--json")
    assert code == 0
    assert json.loads(out)["parameters"] > 0
    code, out, _ = dlt("build", "mlp", "--json")  # at the sizes of its paper
    assert code == 0
    assert json.loads(out)["parameters"] == 266_610


def test_build_of_a_template_takes_its_sizes_from_the_data(dlt):
    code, out, _ = dlt("build", "resnet8_digits", "--json", "-o", "here")
    assert code == 0
    assert json.loads(out)["parameters"] == 78_378
    code, _, err = dlt("build", "resnet8_digits", "--classes", "3")
    assert code == 2
    assert "Received: num_outputs. " in error_line(err)
    code, _, err = dlt("build", "resnet8_digits", "-o", "here")
    assert code == 2
    assert "Received: here, " in error_line(err)
    assert dlt("build", "resnet8_digits", "-o", "here", "--overwrite")[0] == 0


def test_train_evaluate_predict_export_report_compare(dlt, tmp_path, digit_folder):
    code, out, err = dlt("train", "resnet8_digits", *QUICK, "-o", "a")
    assert code == 0, err
    assert "test" in out
    assert "epoch   1" in err
    assert dlt("train", "resnet8_digits", *QUICK, "--set=seed=1", "-o", "b", "--json")[0] == 0
    code, out, _ = dlt("evaluate", "a", "--json")
    assert code == 0
    assert json.loads(out)["scores"] == Run(tmp_path / "a").record.scores["test"]
    code, out, _ = dlt("predict", "a", digit_folder / "one" / "0.png", digit_folder / "zero", "--json")
    assert code == 0
    assert len(json.loads(out)["predictions"]) == 21
    code, out, _ = dlt("export", "a", "--to", "saved_model", "--to", "tflite:float32", "--json")
    assert code == 0
    assert [result["verdict"] for result in json.loads(out)["results"]] == ["passed", "passed"]
    code, out, _ = dlt("evaluate", "a/exports/a-saved_model")
    assert code == 0
    assert "accuracy" in out
    code, out, _ = dlt("report", "a")
    assert code == 0
    page = (tmp_path / "a" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(list((tmp_path / "a" / "figures").glob("*.png"))) > 3
    assert "tflite:float32" in page
    code, out, _ = dlt("compare", "a", "b", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["seed"] for row in rows.values()] == [0, 1]
    assert "train.epochs" not in rows["a"]
    assert dlt("compare", "a", "b")[0] == 0
    code, out, _ = dlt("list", "runs")
    assert code == 0


@pytest.mark.slow  # `.ci/run` runs it in full
def test_run_trains_exports_and_reports(dlt, tmp_path):
    code, out, err = dlt("run", "resnet8_digits", *QUICK, "--set=export.formats=['onnx:float32']", "-o", "here")
    assert code == 0, err
    assert "passed" in out
    assert (tmp_path / "here" / "report.html").exists()


def test_an_exported_file_works_alone_and_without_tensorflow(exported, digit_folder, tmp_path):
    files = [file for suffix in (".tflite", ".onnx") for file in exported.exports_path.glob(f"*{suffix}")]
    assert len(files) == 2
    for file in files:
        alone = tmp_path / file.name
        shutil.copy(file, alone)
        code = (
            "import sys\nfrom dltemplates.cli.main import main\n"
            f"a = main(['evaluate', {str(alone)!r}, '--data', 'digits', '--json'])\n"
            f"b = main(['predict', {str(alone)!r}, {str(digit_folder / 'one')!r}])\n"
            "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\nsys.exit(a or b)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        end = done.stdout.index("\n}\n") + 2
        result = json.loads(done.stdout[:end])
        assert result["scores"]["accuracy"] > 0.8
        assert len(done.stdout[end:].strip().splitlines()) == 20


def test_a_failed_format_exits_with_3_and_leaves_no_file(dlt, exported, tmp_path):
    """Scale one channel by 10,000: equal results in floats, but int8 rounds the other channels to 0."""
    shutil.copytree(exported.path, tmp_path / "small")
    run = Run(tmp_path / "small")
    model = run.model()
    network = model.get_layer("convnet")
    *_, normalization = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    dense = network.get_layer("logits")
    factors = np.where(np.arange(dense.kernel.shape[0]) == 0, 1e4, 1)
    for variable in (normalization.gamma, normalization.beta):
        variable.assign(variable * factors)
    dense.kernel.assign(dense.kernel / factors[:, None])
    run.save_weights(model)
    run.save_record(run.record)
    (earlier,) = run.exports_path.glob("*int8.tflite")
    code, out, err = dlt(
        "export", "small", "--to", "tflite:dynamic", "--to", "tflite:int8", "--max-drop", "0", "--json"
    )
    verdicts = {result["format"]: result["verdict"] for result in json.loads(out)["results"]}
    assert verdicts["tflite:int8"] == "failed"
    assert code == 3
    assert "tflite:int8" in error_line(err)
    assert not earlier.exists()


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        (["train", "resnet8_digits"], "--strict", "--fail-on-bad-image"),
        (["export", "somewhere"], "--strings", "--string-inputs"),
    ],
)
def test_a_renamed_flag_is_hidden_and_names_the_new_one(dlt, tmp_path, command, old, new):
    code, out, err = dlt(*command, old)
    assert (code, out) == (2, "")
    assert error_line(err) == f"dlt: `{old}` is now `{new}`. Received: {old}. Use the new name."
    assert list(tmp_path.iterdir()) == []
    code, out, _ = dlt(command[0], "--help")
    assert code == 0
    assert new in out.split()
    assert old not in out.split()


def test_help_explains_every_command_and_option_within_80_columns(dlt, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert {"train", "export", "run"} < set(commands.dlt.commands)
    for arguments in ([], *([name] for name in commands.dlt.commands)):
        code, out, _ = dlt(*arguments, "--help")
        assert code == 0
        assert max(map(len, out.splitlines())) <= 80, arguments
    _, _, summaries = dlt("--help")[1].partition("Commands:")
    assert "..." not in summaries  # none is cut
    for name, command in commands.dlt.commands.items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.hidden or parameter.help, (name, parameter.name)


def test_show_wraps_the_texts_of_tasks_and_datasets(dlt):
    for name in ("generation", "nab"):
        code, out, _ = dlt("show", name)
        assert code == 0
        assert max(map(len, out.splitlines())) <= 100, name
        assert "Raises:" not in out, name


def test_options_of_foreign_models_are_refused_for_runs(dlt, small_run):
    for options in (
        *(["--task", "classification"], ["--data", "mnist"], ["--input-range", "0,1"], ["--output", "x"]),
        *(["--input-shape", "8,8,1"], ["--class-names", "a,b"]),
    ):
        code, _, err = dlt("export", small_run.path, *options)
        assert code == 2
        assert error_line(err).startswith(f"dlt: {options[0]} ")
        assert f"Received: {small_run.path}. " in error_line(err)


def test_conflicting_options_are_refused(dlt, small_run):
    code, _, err = dlt("export", small_run.path, "--to", "onnx:float32", "--all")
    assert code == 2
    assert "Received: --to and --all. " in error_line(err)
    for command in ("train", "run"):
        code, _, err = dlt(command, "resnet8_digits", "--resume", "--overwrite")
        assert code == 2
        assert "`--resume` and `--overwrite` exclude each other. Received: both. Drop one." in error_line(err)


BAD = {
    "a template": (["train", "resnet8_digit"], "Unknown template.*resnet8_digits"),
    "a model": (["build", "lenet", "--classes", "3"], "Unknown model or template.*lenet5"),
    "a dataset": (["train", "resnet8_digits", "--data", "digit"], "Unknown dataset.*digits"),
    "a format": (["export", "somewhere", "--to", "tflite:int9"], "Unknown format.*tflite:int8"),
    "a key": (["train", "resnet8_digits", "--set", "train.epoch=3"], "unknown key `train.epoch`.*epochs"),
    "a type": (["train", "resnet8_digits", "--set", "train.epochs=x"], "`train.epochs`.*Received: 'x'"),
    "a negative number": (
        ["train", "resnet8_digits", "--set", "train.batch_size=-4"],
        "`train.batch_size`.*Received: -4",
    ),
    "a path of a setting": (
        ["train", "resnet8_digits", "--set", "train.epochs.deep=3"],
        "Received: train.epochs.deep, .*`train.epochs`",
    ),
    "a setting": (["train", "resnet8_digits", "--set", "train.epochs"], "`key=value`.*Received: 'train.epochs'"),
    "an option of a model": (["train", "resnet8_digits", "--set", "model.width=3"], "width"),
    "a shape the model cannot take": (
        ["build", "resnet8", "--input-shape", "4,4,3", "--classes", "10"],
        r"8x8.*Received: input_shape=\(4, 4, 3\)",
    ),
    "a class alone": (["build", "resnet8", "--classes", "1"], "Received: --classes 1"),
    "no class": (["build", "resnet8", "--classes", "0"], "Received: --classes 0"),
    "a shape that is none": (
        ["build", "resnet8", "--input-shape", "a,b", "--classes", "10"],
        "--input-shape .*Received: 'a,b'",
    ),
    "an image size the model cannot take": (
        ["train", "resnet8_digits", "--set", "dataset.images.size=[4, 4]"],
        r"8x8.*Received: input_shape=\(4, 4, 1\)",
    ),
    "a run that is missing": (["evaluate", "nowhere"], "Received: nowhere"),
    "a run to resume": (["train", "resnet8_digits", "--resume"], "Received: none of 'resnet8_digits'"),
    "a run to go on with": (["run", "resnet8_digits", "--resume"], "Received: none of 'resnet8_digits'"),
    "a folder without a run to go on with": (
        ["run", "resnet8_digits", "--resume", "-o", "nowhere"],
        "Received: nowhere",
    ),
    "workers of the main job": (
        ["run", "resnet8_digits", "--strategy", "multiworker"],
        "Received: strategy multiworker",
    ),
    "devices of the main job": (["run", "resnet8_digits", "--devices", "0"], "Received: 0"),
    "data that does not exist": (["train", "resnet8_digits", "--data", "./nothing"], "nothing"),
    "a model file without a task": (["export", "m.keras"], "--task and --data"),
    "a model file of an autoencoder": (
        ["export", "m.keras", "--task", "reconstruction", "--data", "digits"],
        "Received: reconstruction. Try classification",
    ),
    "a model file that is missing": (
        ["export", "m.keras", "--task", "classification", "--data", "digits"],
        "Received: m.keras, ",
    ),
    "a model file's range": (
        ["export", "m.keras", "--task", "classification", "--data", "digits", "--input-range", "1"],
        "--input-range",
    ),
    "a module": (["evaluate", "nowhere", "--import", "no_such_module"], "--import .*Received: 'no_such_module'"),
    "a command": (["trian"], "No such command"),
    "an option": (["train", "resnet8_digits", "--fast"], "No such option"),
    "a size": (["build", "mlp", "--size", "foo=3"], "Unknown size"),
    "a model file's budget": (
        ["export", "m.keras", "--task", "classification", "--data", "digits", "--max-drop", "foo"],
        "`max_drop`.*Received: 'foo'",
    ),
    "a model file's range of nothing": (
        ["export", "m.keras", "--task", "classification", "--data", "digits", "--input-range", "5,5"],
        r"Received: \(5.0, 5.0\)",
    ),
    "a model file's class": (
        ["export", "m.keras", "--task", "classification", "--data", "digits", "--class-names", "ant"],
        "--class-names must be two or more names separated by commas. Received: 'ant'",
    ),
    "a model file's shape": (
        ["export", "m.keras", "--task", "classification", "--data", "digits", "--input-shape", "8,0,1"],
        "--input-shape .*Received: '8,0,1'",
    ),
    "a max-drop": (["train", "resnet8_digits", "--set", "export.max_drop=x"], "`max_drop`.*Received: 'x'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_prints_one_line_exits_with_2_and_writes_nothing(dlt, tmp_path, case):
    arguments, message = BAD[case]
    code, out, err = dlt(*arguments)
    assert code == 2, err
    assert out == ""
    assert re.search(message, error_line(err)), err
    assert list(tmp_path.iterdir()) == []


def test_dlt_alone_shows_its_help(dlt):
    code, out, err = dlt()
    assert code == 0
    assert "Commands:" in out
    assert err == ""


def test_a_broken_run_does_not_hide_the_others(dlt, small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "saved_models" / "good")
    (tmp_path / "saved_models" / "bad").mkdir()
    (tmp_path / "saved_models" / "bad" / "run.json").write_text("{")
    code, out, _ = dlt("list", "runs")
    assert code == 0
    assert "broken" in out
    assert "convnet on digits" in out


def test_errors_are_json_too(dlt):
    code, out, _ = dlt("evaluate", "nowhere", "--json")
    assert code == 2
    assert "nowhere" in json.loads(out)["error"]


def test_debug_shows_the_traceback(dlt):
    code, _, err = dlt("--debug", "evaluate", "nowhere")
    assert code == 2
    assert "Traceback" in err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run.path / "run.json").unlink(), "run.json|saved_model.pb"),
        (lambda run: run.record_path.write_text(run.record_path.read_text()[:100]), "Received: .*run.json "),
        (lambda run: run.weights_path.write_bytes(run.weights_path.read_bytes()[:-1]), "model.weights.h5, .*sha256"),
        (lambda run: run.definition_path.write_text("{}"), "Received: .*definition.json, .*sha256"),
        (lambda run: run.template_path.write_text(run.template_path.read_text() + "#"), "template.toml, .*sha256"),
        (lambda run: run.labels_path.write_text("x"), "Received: .*labels.txt, .*sha256"),
        (lambda run: run.weights_path.unlink(), "Received: .*model.weights.h5"),
    ],
)
def test_a_damaged_run_is_refused(dlt, small_run, tmp_path, damage, message):
    run = Run(tmp_path / "run")
    shutil.copytree(small_run.path, run.path)
    damage(run)
    for arguments in (["evaluate", "run"], ["export", "run", "--to", "onnx:float32"], ["report", "run"]):
        code, _, err = dlt(*arguments)
        assert code == 2
        assert re.search(message, error_line(err)), err
    assert not run.exports_path.exists()


def test_an_output_folder_that_exists_is_refused_and_can_be_overwritten(dlt, small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    code, _, err = dlt("train", "resnet8_digits", *QUICK, "-o", "run")
    assert code == 2
    assert "--overwrite" in error_line(err)
    assert Run(tmp_path / "run").record.epochs == 6
    assert dlt("train", "resnet8_digits", *QUICK, "-o", "run", "--overwrite")[0] == 0
    assert Run(tmp_path / "run").record.epochs == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    code, _, err = dlt("train", "resnet8_digits", *QUICK, "-o", "mine", "--overwrite")
    assert code == 2
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.slow
def test_default_folders_are_numbered(dlt, tmp_path):
    for name in ("resnet8_digits", "resnet8_digits-2"):
        assert dlt("train", "resnet8_digits", *QUICK)[0] == 0
        assert (tmp_path / "saved_models" / name / "run.json").exists()


def test_resuming_a_changed_template_exits_with_2(dlt, small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    code, _, err = dlt("train", "run/template.toml", "--set", "train.epochs=9", "--resume", "-o", "run")
    assert code == 2
    assert "Received: train.epochs = 9, " in error_line(err)


def start(*arguments, cwd, **options):
    command = [sys.executable, "-m", "dltemplates", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_ctrl_c_exits_with_130_and_the_run_can_be_resumed(small_run, tmp_path):
    arguments = ["train", small_run.template_path, "--set", "train.epochs=500", "-o", "run"]
    process = start(*arguments, cwd=tmp_path)
    deadline = time.monotonic() + 90
    while not (tmp_path / "run" / "history.csv").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in error_line(err)
    run = Run(tmp_path / "run")
    assert run.record.state == "interrupted"
    again = start(*arguments, "--resume", cwd=tmp_path)
    lines = [again.stderr.readline() for _ in range(2)]
    assert "predicts one of 10 classes" in lines[0]
    assert "resuming run at step" in lines[1]
    again.kill()
    again.communicate()


def mount_small_disk(tmp_path, size):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one")
    return folder


def fill(folder):
    filler = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, bytes(4096))
    os.close(filler)


def wait_for_checkpoint(run, process, step):
    deadline = time.monotonic() + 90
    while not any(path.name >= f"step-{step:09d}.npz" for path in list_checkpoints(run.checkpoint_path)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_full_disk_exits_with_1_and_keeps_the_last_checkpoint(small_run, tmp_path):
    folder = mount_small_disk(tmp_path, "1m")
    try:
        arguments = ["train", small_run.template_path, "--set", "train.checkpoint_seconds=0"]
        process = start(*arguments, "-o", folder / "run", cwd=tmp_path)
        run = Run(folder / "run")
        wait_for_checkpoint(run, process, 3)
        fill(folder)
        _, err = process.communicate(timeout=90)
        assert process.returncode == 1, err
        assert "a checkpoint could not be written (No space left on device); the training goes on" in err
        assert "No space left on device" in err.splitlines()[-1]
        assert len(list_checkpoints(run.checkpoint_path)) in (1, 2)
        os.unlink(folder / "filler")
        process = start(*arguments, "-o", run.path, "--resume", cwd=tmp_path)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert run.record.scores == small_run.record.scores
    finally:
        subprocess.run(["umount", folder], check=False)


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while_only_warns(small_run, tmp_path):
    folder = mount_small_disk(tmp_path, "1m")
    try:
        run = Run(folder / "run")
        arguments = ["train", small_run.template_path, "--set", "train.checkpoint_seconds=0"]
        process = start(*arguments, "-o", run.path, cwd=tmp_path)
        wait_for_checkpoint(run, process, 3)
        fill(folder)
        while "goes on" not in process.stderr.readline():
            assert process.poll() is None
        os.unlink(folder / "filler")
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        assert run.record.scores == small_run.record.scores
    finally:
        subprocess.run(["umount", folder], check=False)


@pytest.mark.parametrize("option", ["--resume", pytest.param("--overwrite", marks=pytest.mark.slow)])
def test_a_run_is_trained_by_one_process_at_a_time(small_run, tmp_path, option):
    run = Run(tmp_path / "run")
    arguments = ["train", small_run.template_path, "--set", "train.epochs=300", "-o", run.path]
    process = start(*arguments, cwd=tmp_path)
    wait_for_checkpoint(run, process, 0)
    second = start(*arguments, option, cwd=tmp_path)
    _, err = second.communicate(timeout=90)
    assert second.returncode == 2
    assert f"Received: {run.path}, " in error_line(err)
    assert "another process" in error_line(err)
    assert process.poll() is None
    process.kill()
    process.communicate()
    again = start(*arguments, "--resume", cwd=tmp_path)  # a lock ends with its process
    assert "resuming" in [again.stderr.readline() for _ in range(2)][1]
    again.kill()
    again.communicate()


def test_a_read_only_disk_exits_with_1(small_run, tmp_path):
    folder = mount_small_disk(tmp_path, "1m")
    try:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        process = start("train", small_run.template_path, "-o", folder / "run", cwd=tmp_path)
        _, err = process.communicate(timeout=90)
        assert process.returncode == 1, err
        assert "Read-only file system" in error_line(err)
    finally:
        subprocess.run(["umount", folder], check=False)


def test_doctor_exits_with_1_if_a_runtime_is_broken(dlt, monkeypatch):
    monkeypatch.setattr("dltemplates.doctor.broken", lambda findings: ["ONNX does not load"])
    code, out, err = dlt("doctor", "--json")
    assert code == 1
    assert json.loads(out)["python"]
    assert "ONNX does not load" in err


def test_doctor_lists_runtimes_and_devices(dlt):
    code, out, _ = dlt("doctor", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["TFLite loads"] == "yes"
    assert "CPU" in found["devices"]
