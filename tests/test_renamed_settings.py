"""Settings, options, kinds and scores renamed since the first edition."""

import re

import pytest
import tomli_w

from dltemplates import load_template
from dltemplates.template import parse_overrides, parse_template
from dltemplates.upgrade import (
    RENAMED_KEYS,
    RENAMED_KINDS,
    RENAMED_SCORES,
    upgrade_contract,
    upgrade_history,
    upgrade_report,
    upgrade_run_record,
    upgrade_template,
)

SETTINGS = {  # by old key: a value as TOML, and a ready template with the setting
    "train.keep": ("'last'", "resnet8_digits"),
    "train.labels": ("100", "dbn_mnist"),
    "train.pretrain": ("{epochs = 2}", "dbn_mnist"),
    "train.pretrain.steps": ("3", "dbn_mnist"),
    "task.judge": ("'resnet8_digits'", "dcgan_digits"),
    "task.relative": ("true", "lstm_sunspots"),
    "task.steps": ("3", "rbm_mnist"),
    "model.code": ("9", "autoencoder_digits"),
    "export.strings": ("true", "mlp_adult"),
}
OPTIONS = [key for key in RENAMED_KEYS if key.startswith("task.")]
TASKS = {"judge": "generation", "relative": "forecasting", "steps": "representation"}


def test_every_renamed_key_is_tested():
    assert set(SETTINGS) == set(RENAMED_KEYS)
    assert set(TASKS) == {key.removeprefix("task.") for key in OPTIONS}


def table_with(key, value, task="classification"):
    """Return a user's template with one setting."""
    table = {"task": {"name": task}, "dataset": {"name": "digits"}, "model": {"name": "mlp"}, "train": {}, "export": {}}
    *parents, last = key.split(".")
    below = table
    for parent in parents:
        below = below.setdefault(parent, {})
    below[last] = value
    return table


@pytest.mark.parametrize("old", [key for key in RENAMED_KEYS if key != "train.pretrain.steps"])
def test_a_users_file_gets_an_error_with_the_new_key_and_the_value(old, tmp_path):
    new, value = RENAMED_KEYS[old], parse_overrides([f"{old}={SETTINGS[old][0]}"])[old]
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(table_with(old, value, TASKS.get(old.removeprefix("task."), "classification"))))
    parent, _, name = new.rpartition(".")
    expected = f"`{old}` is now `{new}`. Received: {value!r}. Write it in the table [{parent}], as `{name}`."
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        load_template(path)
    assert "\n" not in str(caught.value)


def test_a_key_below_a_renamed_table_is_found_one_step_later(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(table_with("train.pretrain.steps", 3)))
    with pytest.raises(
        ValueError, match=r"`train\.pretrain` is now `train\.layerwise_pretrain`\. Received: .*'steps': 3"
    ):
        load_template(path)
    path.write_text(tomli_w.dumps(table_with("train.layerwise_pretrain.steps", 3)))
    with pytest.raises(ValueError, match=r"unknown key `train\.layerwise_pretrain\.steps`.*Did you mean `gibbs_steps`"):
        load_template(path)


@pytest.mark.parametrize("old", RENAMED_KEYS)
def test_the_command_line_accepts_an_old_key_and_says_the_new_one(old):
    new, (text, name) = RENAMED_KEYS[old], SETTINGS[old]
    lines = []
    renamed = load_template(name, parse_overrides([f"{old}={text}"]), notify=lines.append)
    assert lines == [f"`{old}` is now `{new}`; the old name works in this version only"]
    current = load_template(name, parse_overrides([f"{new}={text}"]), notify=lines.append)
    assert renamed == current != load_template(name)
    assert len(lines) == 1
    with pytest.raises(ValueError, match=rf"`{re.escape('.'.join(old.split('.')[:2]))}` is now `"):
        load_template(name, parse_overrides([f"{old}={text}"]))


@pytest.mark.parametrize("old", OPTIONS)
def test_options_of_ones_own_task_keep_their_names(old, tmp_path):
    key = old.removeprefix("task.")
    own = table_with(old, 7, "mine:Task")
    assert parse_template(own).task.options == {key: 7}
    assert upgrade_template(own) == own
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(own))
    lines = []
    assert load_template(path, {old: 8}, notify=lines.append).task.options == {key: 8}
    # The name may come with the same command, before or after its options.
    for names in ({old: 8, "task": "mine:Task"}, {"task.name": "mine:Task", old: 8}):
        assert load_template("mlp_digits", names, notify=lines.append).task.options[key] == 8
    assert lines == []
    contract = {"format_version": 1, "task": "mine:Task", "task_options": {key: 7}}
    assert upgrade_contract(contract) == contract


def test_options_of_ones_own_model_keep_their_names():
    model = {"name": "mine:network", "code": 3, "judge": 1, "keep": 2}
    table = {"task": "classification", "dataset": {"name": "digits"}, "model": model}
    assert upgrade_template(table) == table
    assert parse_template(table).model.options == {"code": 3, "judge": 1, "keep": 2}


OLD_TEMPLATE = {
    "task": {"name": "representation", "steps": 2, "persistent": True},
    "model": {"name": "autoencoder", "code": 9},
    "train": {"keep": "last", "labels": 50, "pretrain": {"epochs": 2, "steps": 3}, "epochs": 4},
    "export": {"strings": True, "input": "int8"},
}
NEW_TEMPLATE = {
    "task": {"name": "representation", "gibbs_steps": 2, "persistent": True},
    "model": {"name": "autoencoder", "latent_dim": 9},
    "train": {
        "restore": "last",
        "num_labeled": 50,
        "layerwise_pretrain": {"epochs": 2, "gibbs_steps": 3},
        "epochs": 4,
    },
    "export": {"string_inputs": True, "input": "int8"},
}


def test_the_template_of_an_old_run_is_upgraded():
    assert upgrade_template(OLD_TEMPLATE) == NEW_TEMPLATE
    assert upgrade_template(NEW_TEMPLATE) == NEW_TEMPLATE
    assert parse_template(upgrade_template(OLD_TEMPLATE)).train.layerwise_pretrain.gibbs_steps == 3


def test_a_template_inside_an_old_run_is_upgraded_and_a_copy_elsewhere_is_not(tmp_path):
    path = tmp_path / "template.toml"
    path.write_text(tomli_w.dumps(OLD_TEMPLATE))
    with pytest.raises(ValueError, match=r"`task\.steps` is now `task\.gibbs_steps`"):
        load_template(path)
    (tmp_path / "run.json").write_text("{}")
    assert load_template(path).train.num_labeled == 50


def features(kinds):
    return [{"name": kind, "kind": kind} for kind in kinds]


OLD_KINDS, NEW_KINDS = features([*RENAMED_KINDS, "image"]), features([*RENAMED_KINDS.values(), "image"])
for feature, old in zip(NEW_KINDS, OLD_KINDS, strict=True):
    feature["name"] = old["name"]  # only the kind is renamed
SIDES = ("inputs", "outputs", "targets")
OLD_CONTRACT = {"task": "generation", "task_options": {"judge": "none", "loss": "gan"}} | dict.fromkeys(
    SIDES, OLD_KINDS
)
NEW_CONTRACT = {"task": "generation", "task_options": {"evaluator": "none", "loss": "gan"}}
NEW_CONTRACT |= dict.fromkeys(SIDES, NEW_KINDS)


@pytest.mark.parametrize("version", [1, "1.1", "2.0", "2.9"])
def test_a_contract_of_versions_1_and_2_is_upgraded_with_its_system(version):
    old = {"format_version": version, **OLD_CONTRACT, "system": OLD_CONTRACT}
    assert upgrade_contract(old) == {"format_version": version, **NEW_CONTRACT, "system": NEW_CONTRACT}
    alone = {"format_version": version, **OLD_CONTRACT, "system": None}
    assert upgrade_contract(alone) == {"format_version": version, **NEW_CONTRACT, "system": None}


def test_broken_records_are_left_for_their_models_to_refuse():
    for kind in ([], {}, 3, None):
        contract = {"format_version": 1, "inputs": [{"kind": kind}, 3], "outputs": 3, "task_options": 3, "system": 3}
        assert upgrade_contract(contract) == contract
        report = {"metric": kind, "task": "generation"}
        assert upgrade_report(report) == report
    record = {"format_version": 1, "spec": 3, "scores": {"test": 3}, "details": {"test": None}}
    assert upgrade_run_record(record) == record


@pytest.mark.parametrize("version", ["3.0", "3.5"])
def test_a_contract_of_version_3_is_left_alone(version):
    contract = {"format_version": version, **OLD_CONTRACT, "system": OLD_CONTRACT}
    assert upgrade_contract(contract) == contract


RECORD = {
    "spec": {"inputs": OLD_KINDS, "targets": OLD_KINDS, "sizes": {"train": 3}},
    "scores": {
        "test": {"distance": 3.0, "coverage": 1.0, "confidence": 0.9, "spread": 0.8},
        "validation": {"share_on": 0.2, "loss": 1.0},
        "train": {"distance": 1.0, "coverage": 0.5},  # the scores of another task
    },
    "details": {
        "test": {"examples": 9, "judge": {"run": "a"}, "distance_of_real": 1.0},
        "validation": {"distance_of_real": 2.0},
    },
    "seed": 4,
}


@pytest.mark.parametrize("version", [1, "1.0", "1.3"])
def test_the_record_of_an_old_run_is_upgraded(version):
    assert upgrade_run_record({"format_version": version, **RECORD}) == {
        "format_version": version,
        "spec": {"inputs": NEW_KINDS, "targets": NEW_KINDS, "sizes": {"train": 3}},
        "scores": {
            "test": {"fid": 3.0, "class_coverage": 1.0, "confidence": 0.9, "diversity": 0.8},
            "validation": {"mean_activation": 0.2, "loss": 1.0},
            "train": {"distance": 1.0, "coverage": 0.5},
        },
        "details": {
            "test": {"examples": 9, "evaluator": {"run": "a"}, "fid_of_real": 1.0},
            "validation": {"distance_of_real": 2.0},
        },
        "seed": 4,
    }


@pytest.mark.parametrize("version", ["2.0", "2.4"])
def test_a_record_of_version_2_is_left_alone(version):
    record = {"format_version": version, **RECORD}
    assert upgrade_run_record(record) == record


def test_the_history_of_an_old_generator_is_upgraded():
    old = {"epoch": 1.0, "loss": 2.0} | {f"val_{name}": 3.0 for name in RENAMED_SCORES}
    new = {"epoch": 1.0, "loss": 2.0} | {f"val_{name}": 3.0 for name in RENAMED_SCORES.values()}
    first = {"epoch": 0.0, "val_coverage": 1.0}  # a row without the other scores
    assert upgrade_history([first, old]) == [{"epoch": 0.0, "val_class_coverage": 1.0}, new]
    assert upgrade_history([new]) == [new]
    assert upgrade_history([]) == []
    other = [{"epoch": 1.0, "val_distance": 3.0}]  # the metric of another task
    assert upgrade_history(other) == other


@pytest.mark.parametrize("old", RENAMED_SCORES)
def test_the_metric_of_an_old_report_is_upgraded(old):
    report = {"task": "generation", "metric": old, "parts": {"decoder": {"task": "generation", "metric": old}}}
    renamed = upgrade_report(report)
    assert renamed["metric"] == renamed["parts"]["decoder"]["metric"] == RENAMED_SCORES[old]
    own = report | {"task": "mine:Task", "parts": {}}
    assert upgrade_report(own) == own
    accuracy = {"task": "classification", "metric": "accuracy"}
    assert upgrade_report(accuracy) == accuracy
