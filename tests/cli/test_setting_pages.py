"""The pages of settings: `dlt show train`, and the comment lines of `dlt new`."""

import re
import tomllib

import pytest

from dltemplates import catalog_templates
from dltemplates.cli import setting_pages
from dltemplates.cli.new_template import ALTERNATIVES, new_template
from dltemplates.cli.setting_pages import REQUIRED, page, tables
from dltemplates.template import load_template, parse_template

EVERY = tables()
DATA_TABLES = ("dataset.images.", "dataset.table.", "dataset.series.")
OPTION = re.compile(r"# ([\w.]+ = .*)")
OMITTED = ("augment", "layerwise_pretrain")  # in a template of a table: of images, and of RBMs


def test_every_table_and_setting_of_a_template_has_a_page():
    template = load_template("resnet8_digits", {"train.layerwise_pretrain": {}, "train.augment.randaugment": {}})
    paths = {f"{table.path}.{key}".lstrip(".") for table in EVERY.values() for key in table.settings}
    known = (*paths, "train.optimizer.name", "train.learning_rate.name")
    for key in template.flat():
        inner = key.replace("train.layerwise_pretrain.optimizer", "train.optimizer")
        assert inner.startswith(("task.", "model.")) or inner in known, key
    assert {"train", "dataset", "images", "table", "series", "augment", "export", "adam", "sgd", "cosine"} < set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_every_setting_has_a_type_and_a_meaning(name):
    assert EVERY[name].summary
    for key, setting in EVERY[name].settings.items():
        assert setting.kind, key
        assert setting.meaning, key


@pytest.mark.parametrize(
    ("path", "type_", "range_", "default"),
    [
        ("train.epochs", "whole number", "above 0", 20),
        ("train.weight_decay", "number", "0 or more", 0.0),
        ("train.augment.rotation", "number", "0 to 180", 0.0),
        ("train.augment.contrast", "number", "0 to below 1", 0.0),
        ("dataset.validation", "number between 0 and 1, or auto", "", "auto"),
        ("dataset.images.size", "list of 2 whole numbers", "above 0", None),
        ("dataset.images.channels", "choice", "1, 3", None),
        ("dataset.table.separator", "choice", '",", ";", "tab", "|"', None),
        ("dataset.name", "text", "", REQUIRED),
        ("train.deterministic", "true or false", "", True),
        ("export.max_drop", "number or text", "", None),
        ("train.optimizer", "name or table", "sgd, adagrad, rmsprop, adam, adamw", "adam"),
    ],
)
def test_a_setting_shows_the_rule_that_checks_it(path, type_, range_, default):
    row = page(path)["settings"][path]
    assert (row["type"], row["range"]) == (type_, range_)
    assert row["default"] == default


def test_the_shown_range_is_the_checked_one():
    with pytest.raises(ValueError, match=r"`train\.augment\.rotation`.*180"):
        load_template("resnet8_digits", {"train.augment.rotation": 181.0})
    assert load_template("resnet8_digits", {"train.augment.rotation": 180.0}).train.augment.rotation == 180


def test_a_name_of_several_settings_shows_them_all():
    assert set(page("epochs")["settings"]) == {"train.epochs", "train.layerwise_pretrain.epochs"}
    assert page("no_such_setting") is None


def test_a_page_says_how_to_set_an_optional_setting():
    assert setting_pages.how_to_set(page("dataset")).endswith("--set dataset.target=...")
    assert setting_pages.how_to_set(page("train")).endswith("--set train.epochs=20")


def test_meanings_write_none_as_the_user_types_it():
    for table in EVERY.values():
        for key, setting in table.settings.items():
            assert not re.search(r"\bNone\b", setting.meaning), key


def test_none_unsets_a_setting_but_not_a_text():
    template = load_template("vgg16_folder", {"train.early_stopping": "none", "dataset.target": "none"})
    assert template.train.early_stopping is None
    assert template.dataset.target == "none"
    assert load_template("vgg16_folder", {"train.class_weight": "none"}).train.class_weight == "none"


@pytest.mark.parametrize("name", catalog_templates.names())
def test_a_new_template_is_the_ready_one_and_each_comment_line_shows_a_default(name):
    text = new_template(name, "mine.toml")
    ready = load_template(name)
    assert parse_template(tomllib.loads(text)) == ready
    lines = text.splitlines()
    options = [number for number, line in enumerate(lines) if OPTION.match(line)]
    assert len(options) > 20
    for number in options:
        changed = [*lines[:number], lines[number].removeprefix("# "), *lines[number + 1 :]]
        settings = parse_template(tomllib.loads("\n".join(changed)), source=lines[number]).flat()
        if lines[number].partition("  # ")[2].startswith(("an example: ", "off by default")):
            continue
        known = {key: value for key, value in ready.flat().items() if key in settings}
        assert {key: settings[key] for key in known} == known, lines[number]
        added = [key for key in settings if key not in known]
        assert all(key.startswith(("task.", "model.", *DATA_TABLES)) for key in added), lines[number]


def test_a_new_template_has_every_option_of_task_model_and_training():
    text = new_template("mlp_adult", "mine.toml")
    for line in ("units = [128, 64]", '# activation = "relu"', '# loss = "cross_entropy"', "# table.min_frequency ="):
        assert f"\n{line}" in text
    for key in EVERY["train"].settings:
        assert re.search(rf"\n(# |\[train\.)?{key}\b", text) or key in (*OMITTED, *ALTERNATIVES), key
    assert "# augment." not in text  # of images
    assert "# images." not in text
    assert "dlt train mine.toml --data" in text
    assert "Measured" not in text


def test_a_new_template_has_options_of_its_own_data_and_network_only():
    photographs, table = new_template("convnet_folder", "mine.toml"), new_template("table_regression", "mine.toml")
    for text in (photographs, table):
        assert "layerwise_pretrain" not in text  # for networks of RBMs
    assert "target =" not in photographs
    assert re.search(r'\n# target = "price" +# an example: column', table)
    assert "[train.layerwise_pretrain]" in new_template("dbn_mnist", "mine.toml")
    for name, path in (("convnet_folder", "randaugment"), ("dbn_mnist", "augment.randaugment")):
        text = new_template(name, "mine.toml")
        assert re.search(rf"\n# {path} = {{ operations = 2 }} +# off by default\n", text)
        assert "randaugment." not in text
