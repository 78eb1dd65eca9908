"""Records of other versions: upgrades, unknown fields, and errors."""

import copy
import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from dltemplates import ExportReport, Run, catalog, load_template
from dltemplates.models.build import build_network
from dltemplates.run_json import RunRecord
from dltemplates.runtimes import read_contract
from dltemplates.tasks.serving.contract import Contract
from dltemplates.upgrade import (
    read_record,
    upgrade_contract,
    upgrade_history,
    upgrade_report,
    upgrade_run_record,
    upgrade_template,
    version_of,
)

V1 = Path(__file__).parent / "data" / "v1" / "runs"
CONTRACT = "exports/{0}-saved_model/assets.extra/contract.json"
# Tables with free keys, named by a user, a file or a task: no key is unknown. The values of BY_NAME are records.
FREE = {"sizes", "skipped", "unknown", "versions", "sha256", "scores", "details", "replaced", "operators"}
FREE |= {"task_options"}
BY_NAME = {"splits", "parts"}


def table_of(name):
    return json.loads((V1 / name).read_text())


def read_as_contract(text, folder):
    path = folder / "assets.extra" / "contract.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text)
    return read_contract(folder)


def read_as_record(text, folder):
    (folder / "run.json").write_bytes(text)
    return Run(folder).record


def read_as_report(text, folder):
    (folder / "export_report.json").write_bytes(text)
    return importlib.import_module(ExportReport.__module__).load_report(folder)


UPGRADES = {Contract: upgrade_contract, RunRecord: upgrade_run_record, ExportReport: upgrade_report}
RECORDS = {  # the stored table, its reader, and the class that writes it
    "contract of the catalog's data": (table_of("digits/" + CONTRACT.format("digits")), read_as_contract, Contract),
    "contract of a user's data": (table_of("weather/" + CONTRACT.format("weather")), read_as_contract, Contract),
    "run": (table_of("weather/run.json"), read_as_record, RunRecord),
    "report": (table_of("vae/exports/export_report.json"), read_as_report, ExportReport),
}
DEPTHS = {  # paths of the tables that get an unknown field; without the indices of lists
    "contract of the catalog's data": {"", "inputs", "outputs", "targets", "data", "data.images"},
    "contract of a user's data": {"", "inputs", "inputs.columns", "outputs", "targets", "targets.columns", "split"},
    "run": {"", "spec", "spec.inputs", "spec.inputs.columns", "spec.targets", "spec.targets.columns"},
    "report": {"", "results", "results.splits.*", "parts.*", "parts.*.results", "parts.*.results.splits.*"},
}
every_record = pytest.mark.parametrize(("table", "read", "model"), RECORDS.values(), ids=RECORDS)


def written(table, **changes):
    return json.dumps(table | changes).encode()


def current_of(model):
    """Return the version that a model writes."""
    return model.model_fields["format_version"].default


def tables_in(value, path=""):
    """Yield every table that a model writes, with its path."""
    last = path.rpartition(".")[2]
    if isinstance(value, list):
        for item in value:
            yield from tables_in(item, path)
    elif isinstance(value, dict) and last not in FREE and path not in FREE:
        if last not in BY_NAME:
            yield path, value
        for key, item in value.items():
            yield from tables_in(item, f"{path}.{'*' if last in BY_NAME else key}".lstrip("."))


@pytest.mark.parametrize("name", RECORDS)
def test_unknown_fields_are_ignored_when_read_and_refused_by_the_model(name, tmp_path):
    table, read, model = RECORDS[name]
    expected = read(written(table), tmp_path)
    table = UPGRADES[model](table) | {"format_version": current_of(model)}
    paths = [path for path, _ in tables_in(table)]
    assert set(paths) == DEPTHS[name]
    for index, path in enumerate(paths):
        changed = copy.deepcopy(table)
        list(tables_in(changed))[index][1]["new_field"] = {"deeper": [1]}
        assert read(written(changed), tmp_path) == expected, path
        with pytest.raises(ValidationError, match="new_field\n  Extra inputs are not permitted"):
            model.model_validate(changed)


@every_record
def test_a_written_record_has_its_version_and_reads_back_equal(table, read, model, tmp_path):
    record = read(written(table), tmp_path)
    text = record.model_dump_json()
    assert json.loads(text)["format_version"] == current_of(model)
    assert read(text.encode(), tmp_path) == record
    with pytest.raises(ValidationError, match="format_version"):
        model.model_validate(table | {"format_version": "1.4"})


@every_record
@pytest.mark.parametrize("version", [1, "1.0", "1.1", "1.2", "1.70"])
def test_records_of_the_first_major_version_are_read(table, read, model, version, tmp_path):
    assert read(written(table, format_version=version), tmp_path) == read(written(table), tmp_path)


@every_record
@pytest.mark.parametrize("minor", [0, 1, 70])
def test_records_of_later_minor_versions_are_read(table, read, model, minor, tmp_path):
    record = read(written(table), tmp_path)
    now = json.loads(record.model_dump_json())
    version = f"{version_of(current_of(model))[0]}.{minor}"
    assert read(written(now, format_version=version, new_field=1), tmp_path) == record


@every_record
@pytest.mark.parametrize("version", ["{}.0", "1{}.3", "{}"])
def test_a_later_major_version_is_refused_in_one_line(table, read, model, version, tmp_path):
    known, _ = version_of(current_of(model))
    given = version.format(known + 1)
    later = int(given) if given.isdigit() else given  # a number is a version too
    said = f"{given}.0" if given.isdigit() else given
    text = json.dumps({"format_version": later, "all": "else"}).encode()
    expected = rf"version {known} or earlier\. Received: .*, of version {said}\. Update"
    with pytest.raises(ValueError, match=expected) as error:
        read(text, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


GARBAGE = [None, True, 0, -1, 1.0, 1.5, [1], {"major": 1}, "", "1", "one", "1.", ".1", "1.x", "-1.0", "0.9", "1.1.1"]
GARBAGE += ["1.0\n", " 1.0", "\uff11.\uff10", "1" * 5000 + ".0"]


@every_record
def test_an_invalid_version_is_refused(table, read, model, tmp_path):
    for version in GARBAGE:
        with pytest.raises(ValueError, match=r"must be valid\. Received: .*\(format_version: .* is no version\)"):
            read(written(table, format_version=version), tmp_path)
    without = {key: value for key, value in table.items() if key != "format_version"}
    with pytest.raises(ValueError, match=r"must be valid\. Received: .*format_version: None"):
        read(written(without), tmp_path)


BROKEN = [b"", b"{", b"[]", b"null", b"1", b"[" * 100_000, b'{"format_version": 1}']


@every_record
def test_a_broken_record_is_refused_in_one_line(table, read, model, tmp_path):
    for text in BROKEN:
        with pytest.raises(ValueError, match=r"must be valid\. Received: .*\)\. (Export|Restore)") as error:
            read(text, tmp_path)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"(must be valid|must carry contract\.json).*(Export|Restore)"):
        read(b"\xff\xfe", tmp_path)


@pytest.mark.parametrize(("version", "way_out"), [("1.0", "Export it again"), ("3.9", "Update dltemplates")])
def test_an_unknown_kind_is_named_in_the_error(version, way_out, tmp_path):
    table = copy.deepcopy(RECORDS["contract of a user's data"][0])
    table["inputs"][1]["kind"] = "smell"
    with pytest.raises(ValueError, match=rf"must be valid\. Received: .*\(inputs\.1: .*smell.*kind.*\)\. {way_out}\."):
        read_as_contract(written(table, format_version=version), tmp_path)


class Renamed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format_version: Literal["2.1"] = "2.1"
    new: int


@pytest.mark.parametrize(("parts", "place"), [([], "parts"), ({"encoder": 3}, r"parts\.encoder")])
def test_a_report_with_broken_parts_is_refused(parts, place, tmp_path):
    with pytest.raises(ValueError, match=rf"must be valid\. Received: .*\({place}: .*Export again"):
        read_as_report(written(RECORDS["report"][0], parts=parts), tmp_path)


def test_records_of_earlier_versions_are_upgraded():
    def upgrade(table):
        if version_of(table["format_version"]) >= (2, 0):
            return table
        return {"new": table["old"]}

    def read(text):
        return read_record(Renamed, text, upgrade, name="A record", source="here", way_out="Write it again.")

    for text in ('{"format_version": 1, "old": 3}', '{"format_version": "1.9", "old": 3}'):
        assert read(text) == Renamed(new=3)
    assert read('{"format_version": "2.0", "new": 4}') == Renamed(new=4)
    with pytest.raises(ValueError, match="of version 2 or earlier. Received: here, of version 3.0"):
        read('{"format_version": "3.0"}')


def test_only_a_template_inside_a_run_is_upgraded(monkeypatch, tmp_path):
    run = Run(V1 / "vae")
    copied = tmp_path / "template.toml"
    old_keys = r"(?m)^(horizon|period|resize|keep|strings|code) = .*|^\[dataset\.columns\]"
    copied.write_text(re.sub(old_keys, "", run.template_path.read_text()))

    def seeded(table):
        return upgrade_template(table) | {"seed": 7}

    for module in ("runs", "template"):
        monkeypatch.setattr(f"dltemplates.{module}.upgrade_template", seeded)
    assert run.template.seed == 7
    assert load_template(run.template_path).seed == 7
    assert load_template(copied).seed == 0


@pytest.mark.parametrize("name", [name for name in catalog.MODELS if name.endswith(("autoencoder", "vae"))])
def test_an_autoencoders_code_is_its_latent_dim(name):
    written = {"model": {"name": name, "code": 8, "weights": "fresh"}}
    assert upgrade_template(written) == {"model": {"name": name, "latent_dim": 8, "weights": "fresh"}}
    assert "latent_dim" in inspect.signature(catalog.load("model", name)).parameters


def test_the_steps_of_a_boltzmann_machine_are_gibbs_steps():
    written = {
        "task": {"name": "representation", "steps": 3},
        "train": {"epochs": 2, "pretrain": {"epochs": 1, "steps": 3}},
    }
    assert upgrade_template(written) == {
        "task": {"name": "representation", "gibbs_steps": 3},
        "train": {"epochs": 2, "layerwise_pretrain": {"epochs": 1, "gibbs_steps": 3}},
    }


def test_the_options_of_a_contracts_task_have_todays_names():
    for version in ("2.0", 1):
        table = {"format_version": version, "task": "representation", "task_options": {"steps": 3}}
        assert upgrade_contract(table) == table | {"task_options": {"gibbs_steps": 3}}
    table = {"format_version": 1, "task": "own:task", "task_options": {"steps": 3}}
    assert upgrade_contract(table) == table


@pytest.mark.parametrize(
    "table",
    [
        {"model": {"name": "own:model", "code": 8}, "task": {"name": "own:task", "steps": 3}},
        {"model": "vae", "task": "representation", "train": {"layerwise_pretrain": "none"}},
        {"model": "vae", "train": []},
        {"model": 3},
    ],
)
def test_other_options_keep_their_names(table):
    assert upgrade_template(table) == table


@pytest.mark.parametrize(
    ("template", "setting", "message"),
    [
        (
            "vae_mnist",
            "model.code",
            "`model.code` is now `model.latent_dim`. Received: 8. Write it in the table [model]",
        ),
        (
            "rbm_mnist",
            "task.steps",
            "`task.steps` is now `task.gibbs_steps`. Received: 8. Write it in the table [task]",
        ),
        (
            "dbn_mnist",
            "train.pretrain.steps",
            "`train.pretrain` is now `train.layerwise_pretrain`. Received: {'steps': 8}. Write it in the table [train]",
        ),
    ],
)
def test_a_setting_that_has_another_name_now_is_an_error_that_says_it(template, setting, message):
    with pytest.raises(ValueError, match=rf"^{template}: {re.escape(message)}"):
        load_template(template, {setting: 8})


def test_a_model_that_is_built_says_it_too():
    message = r"^`code` of model `vae` is now `latent_dim`. Received: 8. Set `latent_dim`.$"
    with pytest.raises(ValueError, match=message):
        build_network("vae", {"input_shape": (8, 8, 1)}, {"code": 8})


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_bound_of_an_old_variational_autoencoder_gets_its_present_name(version):
    scores = {"test": {"loss": 3.0, "reconstruction": 2.0, "kl": 1.0}, "validation": {"loss": 0.5}, "train": None}
    upgraded = upgrade_run_record({"format_version": version, "scores": scores})["scores"]
    assert upgraded == scores | {"test": {"negative_elbo": 3.0, "reconstruction": 2.0, "kl": 1.0}}
    assert upgrade_run_record({"format_version": version, "scores": 7})["scores"] == 7


def test_the_columns_of_an_old_history_get_their_present_names():
    rows = [{"epoch": 1.0, "made_accuracy": 0.5, "val_made_accuracy": 0.25, "val_spread": 2.0}]
    assert upgrade_history(rows) == [
        {"epoch": 1.0, "generated_accuracy": 0.5, "val_generated_accuracy": 0.25, "val_diversity": 2.0}
    ]
    rows = [{"epoch": 1.0, "made_accuracy": 0.5}]
    assert upgrade_history(rows) == [{"epoch": 1.0, "generated_accuracy": 0.5}]
    rows = [{"epoch": 1.0, "loss": 0.5, "val_distance": 3.0}]  # a score of the user's own task
    assert upgrade_history(rows) == rows
    assert upgrade_history([{"mae": 0.5, "val_mae": 0.6}]) == [{"scaled_mae": 0.5, "val_scaled_mae": 0.6}]
