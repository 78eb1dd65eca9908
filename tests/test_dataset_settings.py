"""Dataset settings: one table per kind of data, and the upgrade of the first edition's keys."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from conftest import load_data, run_dlt
from dltemplates.datasets.features import class_value, number_value
from dltemplates.datasets.load import check_settings
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.settings import NO_DATASET, DatasetSettings
from dltemplates.tasks.serving.contract import Contract
from dltemplates.template import load_template, parse_overrides, parse_template
from dltemplates.upgrade import DATASET_KEYS, upgrade_contract, upgrade_key, upgrade_template

OLD = {"name": "x", "image_size": None, "channels": None, "resize": "stretch", "columns": {}, "window": None}
OLD |= {"horizon": 1, "period": 1, "validation": 0.1}
CASES = {
    "nothing": ({"name": "mnist"}, {}),
    "images": ({"name": "photographs", "image_size": [8, 9]}, {"images": {"size": [8, 9], "resize": "stretch"}}),
    "one channel": ({"name": "a.npz", "channels": 1}, {"images": {"channels": 1, "resize": "stretch"}}),
    "another rule": ({"name": "photographs", "resize": "pad"}, {"images": {"resize": "pad"}}),
    "a series": (
        {"name": "a.csv", "window": 24, "horizon": 3, "columns": {"day": "skip"}},
        {"series": {"window": 24, "horizon": 3, "season_length": 1, "columns": {"day": "skip"}}},
    ),
    "a table": ({"name": "a.csv", "columns": {"zip": "category"}}, {"table": {"columns": {"zip": "category"}}}),
    "a window of images, which was ignored": (
        {"name": "photographs", "image_size": [8, 8], "window": 24},
        {"images": {"size": [8, 8], "resize": "stretch"}},
    ),
    "a size of a table, which was ignored": ({"name": "a.csv", "image_size": [8, 8]}, {}),
    "a size of a series, which was ignored": (
        {"name": "a.csv", "image_size": [8, 8], "window": 5},
        {"series": {"window": 5, "horizon": 1, "season_length": 1}},
    ),
}


@pytest.mark.parametrize("version", [1, "1.1"])
@pytest.mark.parametrize("name", CASES)
def test_upgrade_keeps_the_settings_that_a_first_edition_run_used(name, version):
    old, tables = CASES[name]
    expected = {"name": old["name"], "validation": 0.1} | tables
    written = {key: value for key, value in (OLD | old).items() if value is not None}
    assert upgrade_template({"task": "x", "dataset": written}) == {"task": "x", "dataset": expected}
    contract = {"format_version": version, "name": "y"}
    assert upgrade_contract(contract | {"data": OLD | old}) == contract | {"data": expected}
    assert upgrade_template({"dataset": expected}) == {"dataset": expected}
    DatasetSettings.model_validate(expected)


def test_upgrade_leaves_a_table_without_a_dataset_unchanged():
    for table in ({"format_version": 1, "data": None}, {"format_version": 1}):
        assert upgrade_contract(table) == upgrade_template(table) == table
    for broken in ({"dataset": 3}, {"dataset": None}):
        assert upgrade_template(broken) == broken


def test_upgrade_keeps_the_new_keys_of_a_later_contract():
    later = {"format_version": "2.5", "data": {"name": "x", "channels": 7}}
    assert upgrade_contract(later) == later


def test_a_contract_of_the_first_edition_is_read():
    data = {"name": "digits", "image_size": [16, 16], "channels": None, "resize": "stretch", "window": None}
    table = {"name": "n", "task": "classification", "inputs": [], "outputs": [], "targets": [], "data": data}
    upgraded = upgrade_contract(table | {"format_version": 1}) | {"format_version": "3.0"}
    assert Contract.model_validate(upgraded).data.images.size == (16, 16)


@pytest.mark.parametrize("key", DATASET_KEYS)
def test_an_old_key_in_a_users_template_raises_with_the_new_key(key):
    table = {"task": "classification", "dataset": {"name": "digits", key: 24}, "model": "mlp"}
    new = upgrade_key(f"dataset.{key}", is_series=False)
    _, kind, name = new.split(".")
    expected = f"template: `dataset.{key}` is now `{new}`. Received: 24. Write it in the table [dataset.{kind}], as"
    with pytest.raises(ValueError, match=re.escape(f"{expected} `{name}`.")) as caught:
        parse_template(table)
    assert "\n" not in str(caught.value)


def test_old_columns_of_a_series_raise_with_the_key_of_the_series_table():
    dataset = {"name": "a.csv", "columns": {"day": "skip"}, "window": 24}
    with pytest.raises(ValueError, match=r"`dataset\.columns` is now `dataset\.series\.columns`"):
        parse_template({"task": "forecasting", "dataset": dataset, "model": "lstm"})


def test_a_template_is_upgraded_only_inside_a_run(tmp_path):
    text = 'task = "classification"\nmodel = "mlp"\n[dataset]\nname = "digits"\nimage_size = [4, 5]\nperiod = 1\n'
    path = tmp_path / "template.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"`dataset\.image_size` is now `dataset\.images\.size`"):
        load_template(path)
    (tmp_path / "run.json").write_text("{}")
    assert load_template(path).dataset.images.size == (4, 5)
    assert load_template(path, {"dataset.images.size": (6, 6)}).dataset.images.size == (6, 6)


def test_an_old_key_on_the_command_line_works_with_a_notice():
    heard = []
    overrides = parse_overrides(["dataset.image_size=[8, 8]", "dataset.channels=1", "train.epochs=2"])
    template = load_template("resnet8_digits", overrides, notify=heard.append)
    assert (template.dataset.images.size, template.dataset.images.channels) == ((8, 8), 1)
    assert heard == [
        "`dataset.image_size` is now `dataset.images.size`; the old name works in this version only",
        "`dataset.channels` is now `dataset.images.channels`; the old name works in this version only",
    ]
    columns = parse_overrides(["dataset.columns.a.b=skip"])
    assert load_template("mlp_adult", columns, notify=heard.append).dataset.table.columns == {"a.b": "skip"}
    assert load_template("lstm_sunspots", columns, notify=heard.append).dataset.series.columns == {"a.b": "skip"}
    both = parse_overrides(["dataset.columns.a.b=skip", "dataset.window=3"])
    assert load_template("mlp_adult", both, notify=heard.append).dataset.series.window == 3
    with pytest.raises(ValueError, match=r"`dataset\.image_size` is now `dataset\.images\.size`"):
        load_template("resnet8_digits", overrides)


def test_commands_print_the_notice_on_stderr(tmp_path):
    build = ("build", "resnet8_digits", "--set", "dataset.image_size=[8,8]", "--set", "model.name=mlp", "--json")
    done = run_dlt(*build, "-o", tmp_path / "build")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parameters"] > 0
    assert "`dataset.image_size` is now `dataset.images.size`" in done.stderr
    refused = run_dlt("train", "resnet8_digits", "--set", "dataset.window=24", "-o", tmp_path / "run")
    assert refused.returncode == 2
    assert "Received: `dataset.images` and `dataset.series`" in refused.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("first", "second"), [("images", "table"), ("images", "series"), ("table", "series")])
def test_two_kinds_at_once_are_refused(first, second):
    table = {"task": "classification", "dataset": {"name": "digits", first: {}, second: {}}, "model": "mlp"}
    way_out = f"--set dataset.{first}=none or --set dataset.{second}=none."
    received = f"Received: `dataset.{first}` and `dataset.{second}`."
    with pytest.raises(ValueError, match=rf"^template: `dataset`: .*{received}.*{way_out}$"):
        parse_template(table)


def test_a_kind_can_be_removed_on_the_command_line():
    template = load_template("lstm_sunspots", {"dataset.series": "none", "dataset.images.size": [8, 8]})
    assert template.dataset.series is None
    assert template.dataset.images.size == (8, 8)


def test_a_removed_kind_starts_again_from_its_defaults():
    template = load_template("lstm_sunspots", parse_overrides(["dataset.series=none", "dataset.series.window=3"]))
    assert (template.dataset.series.window, template.dataset.series.horizon) == (3, 1)
    template = load_template("lstm_sunspots", parse_overrides(["dataset.series.window=3", "dataset.series=none"]))
    assert template.dataset.series is None


def digits_images():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (60, 8, 8, 1)).astype("uint8"), np.arange(60) % 2


def write_npz(folder):
    images, labels = digits_images()
    np.savez(folder / "images.npz", x=images, y=labels)
    return {"name": str(folder / "images.npz")}


def write_images(folder):
    images, labels = digits_images()
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / "images" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    return {"name": str(folder / "images")}


def write_labelled(folder):
    images, labels = digits_images()
    (folder / "labelled").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(folder / "labelled" / f"{number}.png")
    rows = [f"{number}.png,{label}.5" for number, label in enumerate(labels)]
    (folder / "labelled" / "labels.csv").write_text("\n".join(["file,value", *rows]))
    return {"name": str(folder / "labelled")}


def write_table(folder, name="table.csv"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("a,b\n" + "\n".join(f"{row},{row % 2}" for row in range(60)))
    return {"name": str(path), "target": "b"}


def write_tables(folder):
    return write_table(folder, "tables/train.csv") | {"name": str(folder / "tables")}


def write_series(folder):
    return write_table(folder) | {"series": {"window": 3}}


KINDS_OF_DATA = {  # a function that writes it, and the settings that it uses
    "images of the catalog": (lambda folder: {"name": "digits"}, {"images"}),
    "a .npz of images": (write_npz, {"images"}),
    "class folders": (write_images, {"images"}),
    "a folder with labels.csv": (write_labelled, {"images"}),
    "a table": (write_table, {"table", "target"}),
    "a folder of tables": (write_tables, {"table", "target"}),
    "a series": (write_series, {"series", "target"}),
    "numbers of the catalog": (lambda folder: {"name": "iris"}, set()),
    "a variant of the catalog": (lambda folder: {"name": "gates:and"}, set()),
}
SETTINGS = {
    "images": {"images": {"channels": 1}},
    "table": {"table": {"columns": {"a": "number"}}},
    "series": {"series": {"window": 3, "horizon": 2}},
    "target": {"target": "a"},
}
# `window` turns a CSV file into a series, so a table refuses only the other settings of a series.
OF_A_TABLE = {"series": {"horizon": 2}}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", KINDS_OF_DATA)
def test_data_takes_the_settings_of_its_kind_and_refuses_others(kind, setting, tmp_path):
    write, used = KINDS_OF_DATA[kind]
    given = OF_A_TABLE if "table" in used and setting == "series" else SETTINGS[setting]
    settings = write(tmp_path) | given
    if setting in used:
        load_data(DatasetSettings(**settings))
        return
    if "series" in used:  # its window is needed, and so there are two kinds
        with pytest.raises(ValueError, match=f"Received: `dataset.{setting}` and `dataset.series`"):
            DatasetSettings(**settings)
        return
    key = re.escape(str(given[setting])) if setting != "target" else "'a'"
    way_out = "leave it out" if setting == "target" else f"--set dataset.{setting}=none"
    expected = rf"^`dataset\.{setting}` is for .*\. Received: {key} for .*, .*{way_out}\.$"
    with pytest.raises(ValueError, match=expected):
        load_data(DatasetSettings(**settings))


def test_accepted_settings_are_used(tmp_path):
    table = write_table(tmp_path)
    assert load_data(DatasetSettings(**table | {"target": "a"})).spec.targets[0].columns[0].name == "a"
    series = load_data(DatasetSettings(**table | {"target": "a"}, series={"window": 3}))
    assert series.spec.targets[0].columns[0].name == "a"
    assert load_data(DatasetSettings(name="digits", images={"channels": 3})).spec.inputs[0].shape == (8, 8, 3)


def numbers() -> Dataset:
    value, label = number_value(2), class_value(("a", "b"))
    arrays = {value.name: np.zeros((4, 2), np.float32), label.name: np.arange(4) % 2}
    return Dataset(DatasetSpec(inputs=(value,), targets=(label,), sizes={"train": 4}), {"train": ArraySource(arrays)})


def test_a_users_code_may_use_any_setting():
    check_settings(DatasetSettings(name="mine:data", series={"window": 3}, target="a"), numbers())


def test_data_of_a_task_takes_no_settings():
    with pytest.raises(ValueError, match=r"`dataset\.images` is for images\. Received: .* for none, data of the task"):
        check_settings(DatasetSettings(name=NO_DATASET, images={"channels": 1}), numbers())
