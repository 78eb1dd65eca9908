"""Data of a template, a run and an exported file: training rows never reach evaluation."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import run_dlt
from dltemplates.datasets.spec import READING_RULES
from dltemplates.deploy.export_run import export
from dltemplates.inference import evaluate
from dltemplates.reports.compare import compare
from dltemplates.reports.report import write_report
from dltemplates.runs import Run
from dltemplates.settings import DatasetSettings
from dltemplates.tasks.load_for import data_note, load_for
from dltemplates.template import load_template, parse_template
from dltemplates.training.train import train

ROWS = 300
SMALL = {
    "task": "classification",
    "model": {"name": "mlp", "units": [8]},
    "train": {"epochs": 2, "batch_size": 32},
    "export": {"formats": ["onnx:float32"]},
}


def noise_table(rows=ROWS):
    """Return random features and labels: they can only be memorized."""
    random = np.random.default_rng(0)
    columns = {f"x{place}": random.normal(size=rows).round(4) for place in range(4)}
    return pd.DataFrame(columns | {"y": random.choice(["a", "b"], rows)})


def template_of(path, **dataset):
    return parse_template(SMALL | {"dataset": {"name": str(path), "validation": 0.1} | dataset})


def rows_in(dataset, split):
    source = dataset.split(split)
    return {tuple(row) for row in source.read(np.arange(len(source)))["features"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a run on random numbers, for tests to copy; return it with the rows of its splits."""
    folder = tmp_path_factory.mktemp("changed")
    noise_table().to_csv(folder / "table.csv", index=False)
    run = train(template_of(folder / "table.csv"), output=folder / "run")
    _, dataset = load_for(run)
    return SimpleNamespace(folder=folder, run=run, rows={split: rows_in(dataset, split) for split in dataset.splits})


@pytest.fixture
def change(trained):
    """Return a function that replaces the table of the run."""

    def write(frame):
        frame.to_csv(trained.folder / "table.csv", index=False)
        return Run(trained.run.path)

    yield write
    noise_table().to_csv(trained.folder / "table.csv", index=False)


def appended(table, count):
    return pd.concat([table, table.iloc[:count].assign(x0=lambda frame: frame.x0 + 9)])


CHANGES = {
    "the first row is gone": (lambda t: t.iloc[1:], "1 row gone, 0 new"),
    "many rows are gone": (lambda t: t.iloc[::2], "150 rows gone, 0 new"),
    "sorted": (lambda t: t.sort_values("x0"), None),
    "turned round": (lambda t: t.iloc[::-1], None),
    "one row more": (lambda t: appended(t, 1), "0 rows gone, 1 new"),
    "thirty rows more": (lambda t: appended(t, 30), "0 rows gone, 30 new"),
    "more in front": (lambda t: appended(t, 30).iloc[::-1], "0 rows gone, 30 new"),
    "one changed": (lambda t: t.assign(x0=t.x0.where(t.index != 7, 5.5)), "1 row gone, 1 new"),
    "rows twice": (lambda t: pd.concat([t, t.iloc[:20]]), "0 rows gone, 20 new"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_no_training_row_is_used_for_evaluation(trained, change, name):
    edit, note = CHANGES[name]
    run = change(edit(noise_table()))
    _, dataset = load_for(run)
    for split, others in (("test", ("train", "validation")), ("validation", ("train", "test"))):
        found = rows_in(dataset, split)
        assert len(found) > 20 * (2 - (name == "many rows are gone")) * (split == "test")
        for other in others:
            assert not found & trained.rows[other]
    same_split = rows_in(dataset, "test") & trained.rows["test"]
    assert len(same_split) >= 25
    assert dataset.note == data_note(run) == (note and f"the data changed since the training: {note}; splits kept")


def test_a_new_row_keeps_its_split(trained, change):
    few = rows_in(load_for(change(appended(noise_table(), 20)))[1], "test")
    many = rows_in(load_for(change(appended(noise_table(), 60).iloc[::-1]))[1], "test")
    assert len(few - trained.rows["test"]) > 0
    assert few <= many


def test_each_command_reports_changed_data(trained, change):
    run = change(noise_table().iloc[1:])
    note = "the data changed since the training: 1 row gone, 0 new; splits kept"
    assert evaluate(run.path)["data_note"] == note
    assert compare([run.path])[str(run.path)]["data"] == note
    notes = []
    assert note in write_report(run, notify=notes.append).read_text()
    assert notes == [note]
    report = export(run)
    assert report.data_note == note
    assert not report.failed
    file = run.exports_path / report.result("onnx:float32").file
    result = evaluate(file, data=run.template.dataset.name)
    assert result["data_note"] == note  # the file lies in the folder of its run
    assert result["scores"] == evaluate(run.path)["scores"]
    done = run_dlt("evaluate", run.path, "--json")
    assert json.loads(done.stdout)["data_note"] == note
    assert done.stderr.strip() == note


def test_unchanged_data_gives_no_note(trained):
    assert evaluate(trained.run.path)["data_note"] is None
    assert evaluate(trained.run.path)["scores"] == trained.run.record.scores["test"]
    assert compare([trained.run.path])[str(trained.run.path)]["data"] is None
    assert "data changed" not in write_report(trained.run).read_text()


def test_missing_data_is_not_compared(trained, tmp_path):
    shutil.copytree(trained.run.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    text = run.template_path.read_text().replace("table.csv", "gone.csv")
    run.template_path.write_text(text)
    run.save_record(run.record)
    assert data_note(Run(run.path)).startswith(
        "the data could not be compared with the training data: A dataset's path"
    )
    assert "could not be compared" in write_report(run.path).read_text()


def test_a_file_without_its_run_cannot_compare_the_data(trained, tmp_path):
    report = export(trained.run)
    file = shutil.copy(trained.run.exports_path / report.result("onnx:float32").file, tmp_path)
    assert (
        "only the run of the file has a list of them"
        in evaluate(file, data=str(trained.folder / "table.csv"))["data_note"]
    )
    named = train(load_template("softmax_regression_iris", {"train.epochs": 1}), output=tmp_path / "iris")
    file = shutil.copy(named.exports_path / export(named, formats=["onnx:float32"]).results[0].file, tmp_path)
    assert evaluate(file)["data_note"] is None


def test_other_data_gets_new_splits_and_a_copy_keeps_them(trained, tmp_path):
    random = np.random.default_rng(1)
    other = noise_table().assign(x0=random.normal(size=ROWS))
    other.to_csv(tmp_path / "other.csv", index=False)
    result = evaluate(trained.run.path, data=str(tmp_path / "other.csv"))
    assert (result["examples"], result["data_note"]) == (60, None)
    noise_table().iloc[::-1].to_csv(tmp_path / "copy.csv", index=False)
    result = evaluate(trained.run.path, data=str(tmp_path / "copy.csv"))
    assert (result["scores"], result["data_note"]) == (trained.run.record.scores["test"], None)


def test_splits_of_the_data_itself_are_used(tmp_path):
    table = noise_table()
    for split, rows in {"train": slice(0, 200), "validation": slice(200, 250), "test": slice(250, 300)}.items():
        table.iloc[rows].to_csv(tmp_path / f"{split}.csv", index=False)
    run = train(template_of(tmp_path), output=tmp_path / "run")
    assert run.rows.splits.tolist() == [0] * 200
    assert evaluate(run.path)["data_note"] is None
    table.iloc[251:].to_csv(tmp_path / "test.csv", index=False)
    assert evaluate(run.path)["data_note"] == ("the data changed since the training: its splits have other examples")
    # A training row in test is not scored as new, even with another class, and even if it is gone from train.
    copies = table.iloc[[3, 7, 9]].assign(y=["a", "b", "a"])
    pd.concat([table.iloc[250:], copies]).to_csv(tmp_path / "test.csv", index=False)
    table.iloc[4:200].to_csv(tmp_path / "train.csv", index=False)
    result = evaluate(run.path)
    assert (result["examples"], result["scores"]) == (50, run.record.scores["test"])
    changed, copied = result["data_note"].split("; splits kept; ")
    assert changed == "the data changed since the training: 4 rows gone, 0 new"
    assert copied == (
        "3 of the 53 rows in test are also in the training data (test row 51, test row 52, test row 53) and are left "
        "out of test: --set dataset.duplicates=keep uses them"
    )
    assert evaluate(run.path, split="all", data=str(tmp_path))["examples"] == 196 + 50 + 53
    copies.to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(ValueError, match="Received: only training examples in test. Add others, or evaluate all: --sp"):
        evaluate(run.path)
    assert evaluate(run.path, split="all", data=str(tmp_path))["examples"] == 196 + 50 + 3
    assert data_note(run) == "the data changed since the training: 4 rows gone, 0 new; splits kept"


def test_the_splits_have_a_checksum_like_the_weights(trained, tmp_path):
    shutil.copytree(trained.run.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    assert "assets/splits.npz" in run.record.sha256
    run.splits_path.write_bytes(run.splits_path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"must not change. Received: .*splits.npz"):
        evaluate(run.path)


def as_first_edition(run):
    """Make a run look like one of the first edition, without stored splits and reading rules."""
    record = json.loads(run.record_path.read_text())
    for key in ("reading_rules", "order"):
        del record["spec"][key]
    record["spec"]["fingerprint"] = "0" * 64
    record["sha256"].pop("assets/splits.npz", None)
    run.record_path.write_text(json.dumps(record))
    run.splits_path.unlink(missing_ok=True)
    return Run(run.path)


def test_a_run_of_the_first_edition_keeps_its_reading_rules(trained, tmp_path):
    """The first edition splits by row position: equal rows may fall into two splits."""
    shutil.copytree(trained.run.path, tmp_path / "run")
    run = as_first_edition(Run(tmp_path / "run"))
    _, dataset = load_for(run)
    assert dataset.spec.reading_rules == 1
    assert {split: rows_in(dataset, split) for split in dataset.splits} == trained.rows
    assert "has no record of its examples" in evaluate(run.path)["data_note"]
    assert evaluate(run.path)["scores"] == trained.run.record.scores["test"]
    contract = run.serving().contract
    assert contract.reading_rules == 1
    assert trained.run.serving().contract.reading_rules == READING_RULES
    equal = tmp_path / "equal.csv"
    pd.concat([noise_table().iloc[:20]] * 10).to_csv(equal, index=False)
    _, first = load_for(contract, settings=DatasetSettings(name=str(equal)))
    assert rows_in(first, "train") & rows_in(first, "test")
    _, second = load_for(trained.run.serving().contract, settings=DatasetSettings(name=str(equal)))
    assert not rows_in(second, "train") & rows_in(second, "test")


def test_runs_of_the_first_edition_are_stratified_by_class_for_every_task(tmp_path):
    """For an anomaly detector of digits, the first edition stratifies by ten classes, later ones by normal or not."""
    settings = {"name": "digits", "validation": 0.3}
    task = {"name": "anomaly", "normal": "0", "anomalies": "keep"}
    overrides = {"task": task, "dataset": settings, "model": {"name": "autoencoder", "units": [8], "latent_dim": 2}}
    run = train(load_template("autoencoder_digits", overrides | {"train.epochs": 1}), output=tmp_path / "run")
    _, now = load_for(run)
    _, then = load_for(as_first_edition(run))
    counts = np.bincount(then.split("test").column("label"))
    assert counts.max() - counts.min() <= 2
    for dataset in (then, now):
        assert dataset.split("test").column("anomaly").mean() == pytest.approx(0.9, abs=0.01)
    assert np.bincount(now.split("test").column("label")).tolist() != counts.tolist()


def test_resuming_a_training_of_the_first_edition_is_refused(trained, tmp_path):
    shutil.copytree(trained.run.path, tmp_path / "run")
    run = as_first_edition(Run(tmp_path / "run"))
    run.save_record(run.record.model_copy(update={"state": "interrupted"}))
    with pytest.raises(
        ValueError, match="Received: .*run, with rules 1; this version has rules 4. Finish the run with"
    ):
        train(run.template, output=run.path, resume=True)


def test_reading_rules_of_a_later_version_are_refused(trained):
    contract = trained.run.serving().contract.model_copy(update={"reading_rules": READING_RULES + 1})
    with pytest.raises(ValueError, match="`reading_rules` must be 1 to 4. Received: 5, from a later version"):
        load_for(contract, settings=trained.run.template.dataset)


def test_resuming_keeps_the_order_of_the_rows(tmp_path):
    """Rows sorted meanwhile are put back in order; other rows are refused."""
    path = tmp_path / "table.csv"
    noise_table().to_csv(path, index=False)
    template = template_of(path)
    whole = train(template, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(template, output=tmp_path / "run", reporter=Stopping())
    noise_table().sort_values("x1").to_csv(path, index=False)
    run = train(template, output=tmp_path / "run", resume=True)
    for resumed, expected in zip(run.model().get_weights(), whole.model().get_weights(), strict=True):
        np.testing.assert_array_equal(resumed, expected)
    np.testing.assert_array_equal(run.rows.hashes, whole.rows.hashes)
    with pytest.raises(KeyboardInterrupt):
        train(template, output=tmp_path / "other", reporter=Stopping())
    noise_table().iloc[1:].to_csv(path, index=False)
    with pytest.raises(ValueError, match="resumed on its own data"):
        train(template, output=tmp_path / "other", resume=True)


class Stopping:
    """A reporter that stops a training after its first epoch."""

    def begin(self, total, done): ...
    def note(self, text): ...
    def step(self, step, loss): ...
    def end(self): ...

    def epoch(self, row, better):
        raise KeyboardInterrupt


def numbered_folder(folder, digits, names):
    """Write real digits into folders with these names."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    for digit, name in zip(digits, names, strict=True):
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(data.images[data.target == digit][:12]):
            Image.fromarray(np.uint8(image * 15.9)).save(folder / name / f"{number}.png")
    return folder


def test_the_run_sets_the_order_of_the_classes(tmp_path):
    """Folders called 1 to 12 are sorted as numbers; other data may have some of these classes, with other ids."""
    names = [str(number) for number in range(1, 13)]
    path = numbered_folder(tmp_path / "all", [*range(10), 0, 1], names)
    template = parse_template(SMALL | {"dataset": {"name": str(path)}})
    run = train(template, output=tmp_path / "run")
    classes = run.record.spec.targets[0].classes
    assert classes == tuple(names)
    assert run.labels_path.read_text().split() == list(classes)
    few = numbered_folder(tmp_path / "few", [1, 9], ["2", "10"])
    _, dataset = load_for(run.serving().contract, settings=DatasetSettings(name=str(few)), whole=True)
    assert dataset.spec.targets[0].classes == classes
    assert set(dataset.split("all").column("label").tolist()) == {classes.index("2"), classes.index("10")}
    for order in (names, names[::-1]):
        images = np.random.default_rng(0).integers(0, 256, (24, 8, 8), np.uint8)
        np.savez(tmp_path / "arrays.npz", x=images, y=np.arange(24) % 12, classes=np.array(order))
        settings = DatasetSettings(name=str(tmp_path / "arrays.npz"))
        _, dataset = load_for(run.serving().contract, settings=settings, whole=True)
        expected = [classes.index(order[place % 12]) for place in range(24)]
        assert dataset.split("all").column("label").tolist() == expected
    numbered_folder(tmp_path / "few", [3], ["thirteen"])
    with pytest.raises(ValueError, match="the classes of the network, 1, 2, .*Received: thirteen"):
        evaluate(run.path, data=str(few))


def test_a_longer_series_keeps_its_split_points(tmp_path):
    months = pd.date_range("1995-01", periods=160, freq="MS").strftime("%Y-%m")
    sold = np.sin(np.arange(160) / 3) + np.arange(160) / 50
    series = pd.DataFrame({"month": months, "sold": sold})
    path = tmp_path / "series.csv"
    series.to_csv(path, index=False)
    settings = {"name": str(path), "series": {"window": 6, "horizon": 2}}
    template = parse_template(
        {"task": "forecasting", "dataset": settings, "model": {"name": "lstm", "units": [2]}, "train": {"epochs": 1}}
    )
    run = train(template, output=tmp_path / "run")
    assert run.rows.by_time
    begins = {split: source.times[0] for split, source in load_for(run)[1].splits.items()}
    later = pd.DataFrame({"month": pd.date_range("2008-05", periods=40, freq="MS").strftime("%Y-%m"), "sold": 1.0})
    earlier = pd.DataFrame({"month": pd.date_range("1993-01", periods=24, freq="MS").strftime("%Y-%m"), "sold": 2.0})
    for frame, note in (
        (pd.concat([series, later]), "0 rows gone, 40 new"),
        (pd.concat([earlier, series]), "0 rows gone, 24 new"),
        (series.iloc[30:], "30 rows gone, 0 new"),
    ):
        frame.to_csv(path, index=False)
        _, dataset = load_for(Run(run.path))
        assert dataset.note == f"the data changed since the training: {note}; splits kept"
        for split in ("validation", "test"):
            assert dataset.split(split).times[0] == begins[split]
    undated = series.drop(columns="month")
    undated.to_csv(path, index=False)
    run = train(template, output=tmp_path / "undated")
    pd.concat([undated, later[["sold"]]]).to_csv(path, index=False)
    _, dataset = load_for(run)
    assert dataset.spec.sizes == run.record.spec.sizes | {"test": run.record.spec.sizes["test"] + 40}


def table_at(tmp_path, rows):
    noise_table(rows).to_csv(tmp_path / "table.csv", index=False)
    return parse_template(SMALL | {"dataset": {"name": str(tmp_path / "table.csv")}})


def test_the_share_of_validation_depends_on_the_number_of_rows(tmp_path):
    template = table_at(tmp_path, 250)
    assert template.dataset.validation == "auto"
    _, dataset = load_for(template)
    assert dataset.spec.sizes == {"train": 150, "validation": 50, "test": 50}
    assert dataset.spec.validation_share == 0.25
    assert dataset.spec.warnings == ()


def test_a_file_holds_the_share_that_its_run_used(tmp_path):
    """Earlier versions read numbers alone, and other data gets the same share."""
    run = train(table_at(tmp_path, 250), output=tmp_path / "run")
    assert 'validation = "auto"' in run.template_path.read_text()
    contract = run.serving().contract
    assert contract.split.validation == 0.25
    assert load_for(run)[1].spec.sizes == run.record.spec.sizes
    _, again = load_for(contract, settings=DatasetSettings(name=str(tmp_path / "table.csv"), **dict(contract.split)))
    assert again.spec.sizes == run.record.spec.sizes


def test_a_run_of_earlier_rules_keeps_a_tenth_for_validation(tmp_path):
    run = train(table_at(tmp_path, 250), output=tmp_path / "run")
    contract = run.serving().contract.model_copy(update={"reading_rules": 3})
    _, dataset = load_for(contract, settings=DatasetSettings(name=str(tmp_path / "table.csv")))
    assert dataset.spec.sizes == {"train": 180, "validation": 20, "test": 50}


def test_a_table_with_fewer_than_30_rows_is_warned_of(tmp_path):
    _, dataset = load_for(table_at(tmp_path, 29))
    expected = "the table has only 29 rows; with fewer than 30, its scores say little: add rows"
    assert dataset.spec.warnings == (expected,)
    assert not load_for(table_at(tmp_path, 30))[1].spec.warnings


@pytest.mark.parametrize("counts", [(2, 3, 4, 5, 60), (3, 3, 3, 3, 3, 3, 90)])
def test_a_file_asks_for_the_same_validation_rows_again(tmp_path, counts):
    """Each rare class has a row in validation, so validation has more than the share that was asked for."""
    table = noise_table(sum(counts)).assign(y=np.repeat([f"class{index}" for index in range(len(counts))], counts))
    table.to_csv(tmp_path / "table.csv", index=False)
    settings = DatasetSettings(name=str(tmp_path / "table.csv"))
    _, dataset = load_for(parse_template(SMALL | {"dataset": {"name": settings.name}}))
    again = settings.model_copy(update={"validation": dataset.spec.validation_share})
    _, other = load_for(parse_template(SMALL | {"dataset": {"name": settings.name, "validation": again.validation}}))
    for split in ("train", "validation", "test"):
        rows = [
            np.sort(part.split(split).read(np.arange(len(part.split(split))))["features"], axis=0)
            for part in (dataset, other)
        ]
        np.testing.assert_array_equal(*rows)
