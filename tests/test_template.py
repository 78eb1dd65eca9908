import tomllib

import pytest

from dltemplates import catalog_templates
from dltemplates.settings import parse_drop
from dltemplates.template import load_template, parse_overrides, parse_template
from dltemplates.train_settings import OneCycle


def change(*pairs):
    return load_template("resnet8_digits", parse_overrides(pairs))


# Templates for the user's own data are named after its kind and the task.
OWN_DATA = {
    "table_classification": "table",
    "table_regression": "table",
    "series_forecasting": "series",
    "sequence_classification": "sequence",
    "text_classification": "text",
}
TEXT_TASKS = {"text_generation": "language_modeling", "text_translation": "text_to_text"}  # in the words of users
NAMED_AFTER_METHOD = {"transfer_folder": "transfer", "gru_addition": "gru"}  # in place of the model
SHORT_NAMES = {"tinyshakespeare": "shakespeare"}  # of datasets


@pytest.mark.parametrize("name", catalog_templates.names())
def test_every_ready_template_loads_and_is_named_after_model_and_dataset(name):
    template = load_template(name)
    assert catalog_templates.summary(name).endswith(".")
    if name in OWN_DATA:
        assert name == f"{OWN_DATA[name]}_{template.task.name}"
        return
    if name in TEXT_TASKS:
        assert template.task.name == TEXT_TASKS[name]
        return
    family = NAMED_AFTER_METHOD.get(name, template.model.name.removesuffix("_cifar"))
    assert name.startswith(f"{family}_")
    dataset = template.dataset.name.partition(":")[0]
    assert name.removeprefix(f"{family}_") in (SHORT_NAMES.get(dataset, dataset), "folder")


@pytest.mark.parametrize("name", catalog_templates.names())
def test_a_template_survives_a_toml_round_trip(name):
    template = load_template(name)
    assert parse_template(tomllib.loads(template.to_toml())) == template


def test_overrides_are_toml_values_or_plain_text():
    template = change("train.epochs=3", "dataset.images.size=[16, 16]", "task.label_smoothing=0.1", "model.name=mlp")
    assert template.train.epochs == 3
    assert template.dataset.images.size == (16, 16)
    assert template.task.options == {"label_smoothing": 0.1}
    assert template.model.name == "mlp"


def test_pretraining_can_be_removed():
    assert load_template("dbn_mnist").train.layerwise_pretrain.epochs == 10
    assert load_template("dbn_mnist", {"train.layerwise_pretrain": "none"}).train.layerwise_pretrain is None


def test_a_number_is_a_constant_learning_rate_and_a_name_an_optimizer():
    template = change("train.learning_rate=0.5", "train.optimizer=adam")
    assert template.train.learning_rate.value == 0.5
    assert template.train.optimizer.name == "adam"
    assert isinstance(load_template("resnet8_digits").train.learning_rate, OneCycle)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epochs=-1", r"`train\.epochs`.*greater than 0.*Received: -1"),
        ("train.epochs=1.5", r"`train\.epochs`.*Received: 1\.5"),
        ("train.epochs=many", r"`train\.epochs`.*integer.*Received: 'many'"),
        ("train.epoch=3", r"unknown key `train\.epoch`.*Did you mean `train\.epochs`"),
        ("trian.epochs=3", r"unknown key `trian`.*Did you mean `train`"),
        ("train.epochs.x=3", r"must lie in a table.*`train\.epochs` is 30"),
        ("train.optimizer=sdg", r"must be one of 'sgd', .*Received: 'sdg'"),
        ("train.optimizer.momentun=0.5", r"Did you mean `momentum`"),
        (
            "train.optimizer={name='sgd', momentum=0.9, initial_momentum=0.9}",
            r"`initial_momentum` must be below `momentum`.*Received: 0.9, momentum 0.9, nesterov False. Try 0.5",
        ),
        (
            "train.optimizer={name='sgd', momentum=0.9, initial_momentum=0.5, nesterov=true}",
            r"`nesterov` must be false. Received: .*nesterov True",
        ),
        (
            "train={early_stopping=3, restore='last'}",
            r"`train`: `early_stopping` needs .* Received: early_stopping 3 and restore 'last'. Drop one",
        ),
        ("train.num_labeled=0", r"`train\.num_labeled`.*greater than 0"),
        (
            "train.layerwise_pretrain.gibbs_steps=26",
            r"`train\.layerwise_pretrain\.gibbs_steps`.*less than or equal to 25",
        ),
        ("train.layerwise_pretrain=some", r"`train\.layerwise_pretrain` must be a table\. Received: 'some'"),
        ("train.learning_rate=-1", r"`train\.learning_rate\.value`.*greater than 0"),
        ("train.learning_rate=nan", r"`train\.learning_rate\.value`"),
        ("train.weight_decay=inf", r"finite"),
        ("train.augment.flop=true", r"Did you mean `flip`"),
        ("train.augment.contrast=1", r"less than 1"),
        ("dataset.images.size=32", r"`dataset\.images\.size` must be a list.*Received: 32"),
        ("train.epochs=true", r"`train\.epochs`.*Received: True"),
        ("train.epochs='3'", r"`train\.epochs`.*Received: '3'"),
        ("train.deterministic=1", r"`train\.deterministic`.*Received: 1"),
        ("train.learning_rate.peak='1'", r"`train\.learning_rate\.peak`"),
        ("train.optimizer=3", r"`train\.optimizer` must be a table, or a name. Received: 3. Write it as \[train\.opt"),
        ("dataset.images=3", r"`dataset\.images` must be a table\. Received: 3\. Write it as \[dataset\.images\]"),
        ("export.max_drop=true", r"`export\.max_drop"),
        ("dataset.name=''", r"`dataset\.name`.*at least 1 character"),
        ("..=3", r"A setting is `key=value`"),
        ("dataset.images.size=[0, 32]", r"greater than 0"),
        ("dataset.images.resize=fit", r"'stretch', 'crop' or 'pad'"),
        ("dataset.images.channels=2", r"`dataset\.images\.channels`.*1 or 3"),
        ("dataset.images.side=8", r"unknown key `dataset\.images\.side`. Received: 8. Did you mean `size`"),
        ("dataset.series.window=24", r"of one kind. Received: `dataset\.images` and `dataset\.series`.*images=none or"),
        ("dataset.image_size=[8, 8]", r"`dataset\.image_size` is now `dataset\.images\.size`. Received: \[8, 8\]"),
        (
            "dataset.window=24",
            r"`dataset\.window` is now `dataset\.series\.window`\. Received: 24",
        ),
        ("dataset.columns.a=skip", r"`dataset\.columns` is now `dataset\.table\.columns`"),
        ("dataset.validation=0", r"`dataset\.validation`.*greater than 0"),
        ("model.name=resnet9", r"Unknown model.*Did you mean resnet8"),
        ("task.name=classify", r"Unknown task.*Did you mean classification"),
        ("export.formats=['tflite:int9']", r"Unknown format.*Did you mean tflite:int8"),
        ("export.max_drop=lots", r"`max_drop` must be a number.*Received: 'lots'"),
        ("export.max_drop=-0.1", r"`max_drop` must be a number"),
        ("seed=-1", r"`seed`"),
    ],
)
def test_an_invalid_setting_raises_with_its_key_value_and_fix(setting, message):
    with pytest.raises(ValueError, match=message) as caught:
        change(setting)
    assert "\n" not in str(caught.value)


def test_the_name_of_a_column_may_have_dots():
    for kind in ("table", "series"):
        template = load_template("mlp_adult", parse_overrides([f"dataset.{kind}.columns.Sepal.Length=skip"]))
        assert getattr(template.dataset, kind).columns["Sepal.Length"] == "skip"


def test_a_setting_needs_an_equals_sign():
    with pytest.raises(ValueError, match=r"A setting is `key=value`. Received: 'train.epochs'"):
        parse_overrides(["train.epochs"])


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('dataset = "digits"\nmodel = "mlp"\n')
    with pytest.raises(ValueError, match="missing key `task`"):
        load_template(path)


def test_a_file_must_exist_and_be_toml(tmp_path):
    with pytest.raises(ValueError, match="A template file must exist"):
        load_template(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("task = ")
    with pytest.raises(ValueError, match="must be valid TOML"):
        load_template(tmp_path / "bad.toml")


def test_an_unknown_template_names_the_nearest():
    with pytest.raises(ValueError, match="Unknown template.*Did you mean resnet8_digits"):
        load_template("resnet8_digit")


def test_a_drop_is_absolute_or_relative():
    assert parse_drop(0.01) == (0.01, False)
    assert parse_drop("0.01") == (0.01, False)
    assert parse_drop("1%") == (0.01, True)
    for wrong in ("x", "-1", "nan", "inf", "%"):
        with pytest.raises(ValueError, match="must be a number such as 0.01"):
            parse_drop(wrong)
