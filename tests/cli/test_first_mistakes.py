"""The first mistakes of a new user: each is answered in one line by what to type, with exit code 2."""

import re
import shutil
import sys

import pytest

from conftest import run_dlt
from dltemplates import catalog, catalog_templates
from dltemplates.cli import main as cli
from dltemplates.cli.commands import dlt as commands
from dltemplates.runs import Run
from dltemplates.template import find_setting, load_template, parse_overrides

MARRIED = ("--data", "people.csv", "--set", "dataset.target=married")
ROWS = "".join(f"{20 + n},{('Seoul', 'Busan')[n % 2]},{('yes', 'no')[n % 3 > 0]}\n" for n in range(60))


@pytest.fixture
def here(tmp_path, monkeypatch, digit_folder, small_run):
    """Enter a folder with photographs, a table and a run."""
    shutil.copytree(digit_folder, tmp_path / "photographs")
    (tmp_path / "people.csv").write_text("age,city,married\n" + ROWS)
    shutil.copytree(small_run.path, tmp_path / "saved_models" / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    return tmp_path


def answer(capsys, *arguments):
    """Run a command that is wrong, and return its one line."""
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("dlt: ")]
    assert err.strip().endswith(line)
    return line


MISTAKES = {
    "a folder template without data": (
        ["run", "convnet_folder"],
        "needs your data. Received: none. Your images: .*Add --data photographs",
    ),
    "a folder that is not there": (
        ["run", "convnet_folder", "--data", "photos_of_mine"],
        "Unknown dataset. Received: 'photos_of_mine'. It is no path in /.*, and no name of `dlt list datasets`",
    ),
    "a folder with a typing error": (
        ["run", "convnet_folder", "--data", "photograph"],
        "Received: 'photograph'. Did you mean photographs\\?",
    ),
    "a path that is not there": (
        ["run", "convnet_folder", "--data", "./photograph"],
        "no such path.*Check the spelling; relative paths start at /",
    ),
    "a model": (
        ["run", "resnet50"],
        "This must be a template, not a model.*`dlt run vgg16_folder --data PATH --set model.name",
    ),
    "a model with a template": (
        ["train", "vgg16"],
        "not a model. Received: vgg16. Try `dlt run vgg16_folder --data PATH`",
    ),
    "a model for a new template": (["new", "mine.toml", "--from", "lenet5"], "not a model.*`dlt run lenet5_mnist`"),
    "images in place of a template": (
        ["run", "photographs"],
        "A template comes before the data.*Try `dlt run transfer_folder --data photographs`",
    ),
    "a table in place of a template": (
        ["train", "people.csv"],
        "A template comes before the data. Received: people.csv. "
        "Try `dlt run table_classification --data people.csv --set dataset.target=COLUMN`",
    ),
    "a run in place of a template": (
        ["run", "saved_models/small"],
        "Expected a template, not a run.*Try `dlt run saved_models/small/template.toml`",
    ),
    "no template": (["run"], "Missing argument.*`dlt list` names the templates. Try `dlt run resnet8_digits`"),
    "a setting without its table": (
        ["run", "resnet8_digits", "--set", "epochs=2"],
        "unknown key `epochs`. Received: 2. Did you mean `train.epochs`\\? Try --set train.epochs=2",
    ),
    "a setting by another name": (
        ["run", "resnet8_digits", "--set", "train.lr=0.1"],
        "unknown key `train.lr`. Received: 0.1. .*Try --set train.learning_rate=0.1",
    ),
    "a setting as an option": (
        ["run", "resnet8_digits", "--epochs", "2"],
        "No such option '--epochs'. Settings of a template are set with --set train.epochs=VALUE",
    ),
    "a table template on images": (
        ["train", "mlp_adult", "--data", "photographs"],
        "Template mlp_adult is for a table. Received: photographs, images. Try `dlt run \\w+ --data photographs`",
    ),
    "a series template on images": (
        ["train", "lstm_sunspots", "--data", "photographs"],
        "Template lstm_sunspots is for a series. Received: photographs, images",
    ),
    "an image template on a table": (
        ["train", "convnet_folder", "--data", "people.csv"],
        "Template convnet_folder is for images. Received: people.csv, a table. Try `dlt run \\w+ --data people.csv",
    ),
    "an image template on a table with a target": (
        ["train", "convnet_folder", "--data", "people.csv", "--set", "dataset.target=city"],
        "Try `dlt run table_classification --data people.csv --set dataset.target=city`",
    ),
    "a regression of text": (
        ["train", "table_regression", "--data", "people.csv", "--set", "dataset.target=city"],
        "Task regression predicts numbers. Received: city, which has text. "
        "Try `dlt run table_classification --data people.csv --set dataset.target=city`",
    ),
    "no run to evaluate": (["evaluate", "nothere"], "must exist. Received: nothere. `dlt list runs` names"),
    "a run's name without its folder": (["evaluate", "small"], "Received: small. Did you mean saved_models/small\\?"),
    "no run to predict": (["predict", "smal", "1.jpg"], "Received: smal. Did you mean saved_models/small"),
    "no run to export": (["export", "smal"], "A run must be a folder. Received: smal. Did you mean saved_models/small"),
    "no run to report": (["report", "nothere"], "Received: nothere. `dlt list runs` names the runs here"),
    "no run to compare": (["compare", "nothere"], "Received: nothere. `dlt list runs` names the runs here"),
    "data before the run": (["predict", "people.csv", "x"], "comes before the data.*Try `dlt predict RUN people.csv`"),
    "no input": (["predict", "saved_models/small"], "Missing argument.*such as `dlt predict RUN photo.jpg`"),
    "no run": (["evaluate"], "Missing argument.*`dlt list runs` names your runs"),
    "a new template of nothing": (["new", "mine.toml"], "Try `dlt new mine.toml --from resnet8_digits`"),
    "a new template without a file": (["new", "--from", "vgg16_folder"], "Try `dlt new mine.toml --from vgg16_folder`"),
    "a template without a command": (["lenet5_mnist"], "A command comes before a template.*`dlt run lenet5_mnist`"),
    "a name without a command": (["lenet5"], "A command comes before a name.*`dlt show lenet5`"),
    "a command of nothing": (["help", "trian"], "No such command 'trian'"),
    "a name of nothing": (["show", "train.epoch"], "Unknown name.*Did you mean train.epochs\\?"),
    "a usual name of a setting": (["show", "lr"], "Unknown name. Received: 'lr'. Did you mean train.learning_rate\\?$"),
    "nearly a setting": (["show", "epoch"], "Unknown name. Received: 'epoch'. Did you mean train.epochs\\?$"),
    "a name like no other": (["show", "qqq"], "Received: 'qqq'. `dlt list` and `dlt show template` have the names.$"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_first_mistake_is_answered_by_what_to_type(here, capsys, mistake):
    arguments, message = MISTAKES[mistake]
    before = sorted(here.rglob("*"))
    assert re.search(message, answer(capsys, *arguments))
    assert sorted(here.rglob("*")) == before


def test_the_first_run_is_suggested_where_there_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    assert "Train one first, such as `dlt run resnet8_digits`" in answer(capsys, "evaluate", "nothere")


def test_new_without_a_template_lists_them(here, capsys):
    assert cli.main(["new", "mine.toml"]) == 2
    assert set(catalog_templates.names()) < set(capsys.readouterr().err.split())
    assert not (here / "mine.toml").exists()


def test_an_exported_file_without_data_names_the_data_of_its_run(here, capsys):
    assert cli.main(["train", "mlp_adult", *MARRIED, "--set", "train.epochs=1", "-o", "run"]) == 0
    assert cli.main(["export", "run", "--to", "onnx:float32"]) == 0
    file = "run/exports/run-float32.onnx"
    assert f"Try `dlt evaluate {file} --data people.csv`" in answer(capsys, "evaluate", file)
    shutil.copy(file, "alone.onnx")
    assert "Try `dlt evaluate alone.onnx --data NAME|PATH`" in answer(capsys, "evaluate", "alone.onnx")
    assert cli.main(["evaluate", file, "--data", "people.csv"]) == 0


@pytest.mark.parametrize("model", catalog.MODELS)
def test_the_command_for_a_model_is_right(model):
    words = catalog_templates.command_for(model).split()
    assert words[:2] == ["dlt", "run"]
    settings = [word for word in words if "=" in word]
    assert load_template(words[2], parse_overrides(settings)).model.name == model


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("epochs", "train.epochs"),
        ("batch_size", "train.batch_size"),
        ("lr", "train.learning_rate"),
        ("train.lr", "train.learning_rate"),
        ("size", "dataset.images.size"),
        ("rotation", "train.augment.rotation"),
        ("train.epoch", "train.epochs"),
        ("export.epochs", None),
        ("nothing", None),
    ],
)
def test_the_setting_that_is_meant_is_found(key, path):
    assert find_setting(key) == path


def test_settings_of_another_kind_of_data_show_that_the_user_knows(here, capsys):
    line = answer(capsys, "train", "mlp_adult", "--data", "photographs", "--set", "dataset.images.sise=[8, 8]")
    assert "Did you mean `size`" in line


def test_help_and_version_are_commands_too(here, capsys):
    assert cli.main(["help"]) == 0
    assert "Commands:" in capsys.readouterr().out
    assert cli.main(["help", "predict"]) == 0
    assert "FILE.csv" in capsys.readouterr().out
    assert cli.main(["version"]) == 0
    assert re.fullmatch(r"dlt, version [\d.]+\n", capsys.readouterr().out)
    assert not {"help", "version"} & set(
        re.findall(r"^  (\w+)", commands.get_help(commands.make_context("dlt", [])), re.M)
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dlt tra", "train"),
        ("dlt run resnet8", "resnet8_digits"),
        ("dlt show googlen", "googlenet_cifar10"),
        ("dlt show trai", "train.epochs"),
        ("dlt show ada", "adam"),
        ("dlt build res", "resnet50"),
    ],
)
def test_the_shell_completes_commands_and_names(words, expected):
    place = str(len(words.split()) - 1)
    done = run_dlt(_DLT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=place)
    assert f"plain,{expected}" in done.stdout.splitlines()
    assert "_dlt_completion" in run_dlt(_DLT_COMPLETE="bash_source").stdout


def test_the_help_has_the_completion_of_bash_and_zsh(here, capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for shell in ("bash", "zsh"):
        assert re.search(rf'{shell}: +eval "\$\(_DLT_COMPLETE={shell}_source dlt\)"\n', out)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("folder", "dlt run transfer_folder --data photographs"),
        (".npz", "dlt run transfer_folder --data images.npz"),
        (".csv table", "dlt run table_classification --data customers.csv --set dataset.target=COLUMN"),
        (".csv series", "dlt run series_forecasting --data sales.csv --set dataset.target=COLUMN"),
    ],
)
def test_the_users_own_kinds_of_data_have_a_page(here, capsys, name, command):
    assert name in catalog.OWN_DATA
    assert cli.main(["show", name]) == 0
    assert capsys.readouterr().out == f"{name}: {catalog.OWN_DATA[name].summary}\nExample: {command}\n"


@pytest.mark.parametrize(
    ("template", "command"),
    [("resnet8_digits", "dlt run mine.toml"), ("table_regression", "dlt run mine.toml --data PATH")],
)
def test_a_new_template_comes_with_the_command_to_run_it(here, capsys, template, command):
    assert cli.main(["new", "mine.toml", "--from", template]) == 0
    assert capsys.readouterr().out == f"wrote mine.toml. Edit it, then: {command}\n"
    assert "Measured" not in (here / "mine.toml").read_text()


def test_fewer_examples_than_a_batch_lower_it_and_resume_keeps_it(here, capsys):
    train = ["train", "mlp_adult", *MARRIED, "--set", "train.epochs=2", "-o", "run"]
    assert cli.main(train) == 0
    out, err = capsys.readouterr()
    note = r"train\.batch_size is 8 instead of 256, since there are (\d+) training examples"
    assert re.search(note, err)
    assert re.search(note, out)
    run = Run(here / "run")
    assert run.template.train.batch_size == 8
    assert int(re.search(note, out).group(1)) == run.record.spec.sizes["train"] < 256
    run.save_record(run.record.model_copy(update={"state": "interrupted"}))
    assert cli.main([*train, "--resume"]) == 0
    assert "resuming run at step" in capsys.readouterr().err
    assert run.record.state == "done"
    assert Run(here / "run").template.train.batch_size == 8


def test_predictions_of_a_table_stand_behind_the_users_columns(here, capsys):
    assert cli.main(["train", "mlp_adult", *MARRIED, "--set", "train.epochs=1", "-o", "run"]) == 0
    new = "city,name,class,age\nSeoul,Kim,7B,31\nBusan,Lee,,55\n"
    (here / "new.csv").write_text(new)
    assert cli.main(["predict", "run", "new.csv", "-o", "out.csv"]) == 0
    assert "wrote out.csv" in capsys.readouterr().err
    head, *rows = [line.split(",") for line in (here / "out.csv").read_text().splitlines()]
    assert head == [
        "city",
        "name",
        "class",
        "age",
        "predicted_class",
        "probability",
        "probabilities.no",
        "probabilities.yes",
    ]
    assert [row[:4] for row in rows] == [line.split(",") for line in new.splitlines()[1:]]
    assert {row[4] for row in rows} <= {"yes", "no"}


def test_the_command_has_two_names():
    import configparser

    from conftest import TOOLS

    setup = configparser.ConfigParser()
    setup.read(TOOLS.parent / "setup.cfg")
    scripts = dict(line.split(" = ") for line in setup["options.entry_points"]["console_scripts"].split("\n") if line)
    assert scripts == {"dlt": "dltemplates.cli.main:main", "dltemplates": "dltemplates.cli.main:main"}
    assert sys.modules["dltemplates.cli.main"].main is cli.main
