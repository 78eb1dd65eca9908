import re
import shutil
from pathlib import Path
from typing import get_args

import pytest

from dltemplates.deploy.report import ExportReport, FormatResult, SplitCheck, Verdict
from dltemplates.figures.captions import CAPTIONS
from dltemplates.figures.run import attempt, curves_figure
from dltemplates.reports import report
from dltemplates.reports.compare import compare
from dltemplates.reports.report import template_text, travelling_values, write_report
from dltemplates.runs import Run
from dltemplates.tasks.scoring.baselines import Baseline, Baselines
from dltemplates.tasks.scoring.intervals import ScoreInterval
from dltemplates.template import load_template


@pytest.fixture
def run(small_run, tmp_path):
    shutil.copytree(small_run.path, tmp_path / "run")
    return Run(tmp_path / "run")


def test_the_report_is_one_file_with_all_figures_and_tables(run):
    page = write_report(run.path).read_text()
    assert page.count("data:image/png;base64,") == len(list(run.figures_path.iterdir())) >= 6
    assert 'src="http' not in page
    for text in ("convnet for classification on digits", "By class", "[train]", "validation"):
        assert text in page
    assert "Exports" not in page
    assert f"{run.record.scores['test']['accuracy']:.4f}" in page


def test_figures_are_in_reading_order_each_with_a_caption(run):
    for name in ("a_users_own", "confused_pairs"):
        shutil.copy(run.figures_path / "curves.png", run.figures_path / f"{name}.png")
    page = write_report(run).read_text()
    headings = ["Training", "Confusion matrix", "Most-confused pairs", "Examples", "Grad-CAM"]
    headings += ["First-layer filters", "Feature maps by depth", "A users own", "By class"]
    places = [page.index(f"<h2>{heading}</h2>") for heading in headings]
    assert places == sorted(places)
    for heading, caption in CAPTIONS.values():
        assert caption.endswith(".")
        assert len(caption) <= 200  # a few short sentences
        assert (f"<h2>{heading}</h2>\n<p>{caption}</p>" in page) == (heading in headings)


def test_a_failed_figure_shows_its_error():
    def fail():
        raise KeyError("odd " * 200)

    with pytest.warns(RuntimeWarning, match=r"odd\.png could not be drawn\. KeyError: 'odd odd"):
        figure = attempt("odd", fail)
    (text,) = figure.texts
    assert text.get_text().startswith("odd.png could not be drawn. KeyError")
    assert len(text.get_text()) <= 300
    assert attempt("nothing", lambda: None) is None


def test_names_are_escaped(run):
    record = run.record
    record.details["test"]["per_class"][0]["class"] = "<script>alert(1)</script>"
    run.save_record(record)
    assert "<script>" not in write_report(run.path).read_text()


def test_skipped_files_are_listed(run):
    record = run.record
    spec = record.spec.model_copy(update={"skipped": {f"cats/{number}.txt": "no image" for number in range(12)}})
    run.save_record(record.model_copy(update={"spec": spec}))
    report = " ".join(write_report(run.path).read_text().split())
    assert "12 skipped: cats/0.txt: no image; cats/1.txt: no image; " in report
    assert "cats/9.txt: no image and 2 more (run.json)." in report


def test_warnings_of_the_data_and_unknown_categories_are_listed(run):
    record = run.record
    update = {"warnings": ("zip is taken for numbers",), "unknown": {"test": {"city": 3, "zip": 1}}}
    run.save_record(record.model_copy(update={"spec": record.spec.model_copy(update=update)}))
    report = write_report(run.path).read_text()
    assert "<p>zip is taken for numbers</p>" in report
    assert "Categories that are rare or absent in training, in test: 3 in city, 1 in zip." in report


def test_the_values_that_travel_are_listed(run):
    """Each category of a vocabulary and each class name, but no rare category."""
    from dltemplates.datasets.spec import DatasetSpec
    from dltemplates.features import Category, ClassId, Column, Number

    sizes = {"mean": (1.0, 2.0), "std": (1.0, 1.0)}
    days = Column(name="day", kind="date")
    town = Column(name="town", kind="category", vocabulary=("Oslo", "Rom"), min_frequency=5)
    name = Column(name="name", kind="category", min_frequency=5)
    spec = DatasetSpec(
        inputs=(
            Number(name="features", dtype="float32", shape=(2,), columns=(Column(name="age"), days), **sizes),
            Category(name="categories", dtype="int32", shape=(2,), columns=(town, name)),
        ),
        targets=(
            ClassId(name="label", dtype="int64", shape=(), classes=("no", "<b>"), columns=(Column(name="rich"),)),
        ),
        sizes={"train": 1, "validation": 1, "test": 1},
    )
    numbers = "mean, standard deviation, median"
    assert [tuple(row.values()) for row in travelling_values(spec)] == [
        ("age", "number", numbers),
        ("day", "date", numbers),
        ("town", "category", "Oslo, Rom"),
        ("name", "category", "none"),
        ("rich", "class", "no, <b>"),
    ]
    run.save_record(run.record.model_copy(update={"spec": spec}))
    report = write_report(run.path).read_text()
    assert "<h2>Values that travel</h2>" in report
    assert "Oslo, Rom" in report
    assert "no, &lt;b&gt;" in report


def test_curves_have_a_panel_for_each_metric(small_run):
    figure = curves_figure(small_run.history_rows(), small_run.record.best_epoch)
    assert [axes.get_title() for axes in figure.axes] == ["learning rate", "loss", "accuracy", "top 5"]
    assert curves_figure([], 0).axes == []


def test_curves_of_a_training_in_stages_show_the_epochs_of_each():
    """Seven metrics: a row of six, and one below."""
    names = "abcdef"
    first = [{"epoch": epoch, "step": epoch, **dict.fromkeys(names, 1.0), "val_a": 2.0} for epoch in (1, 2, 3)]
    last = [{"epoch": epoch, "step": epoch, "loss": 3.0, "val_loss": 4.0} for epoch in (4, 5)]
    figure = curves_figure([*first, *last], 5)
    assert [axes.get_title() for axes in figure.axes] == [*names, "loss", *[""] * 5]
    lines = {axes.get_title(): [list(line.get_xdata()) for line in axes.lines] for axes in figure.axes}
    assert lines["a"] == [[1, 2, 3], [1, 2, 3]]  # training, validation; the best epoch is of the other stage
    assert lines["b"] == [[1, 2, 3]]
    assert lines["loss"] == [[4, 5], [4, 5], [5, 5]]


def test_compare_shows_only_different_settings(small_run, run):
    text = run.template_path.read_text().replace("batch_size = 64", "batch_size = 32")
    run.template_path.write_text(text)
    run.save_record(run.record)
    rows = compare([small_run.path, run.path])
    first, second = rows.values()
    assert (first["train.batch_size"], second["train.batch_size"]) == (64, 32)
    assert "train.epochs" not in first
    assert first["test accuracy"] == small_run.record.scores["test"]["accuracy"]


@pytest.fixture
def exports(run):
    """Return the report of an export of the run's weights."""
    figures = SplitCheck(
        examples=300,
        float_score=0.9,
        score=0.89,
        drop=0.01,
        max_error=0.1,
        changed=3,
        agreement=0.9876,
        interval=ScoreInterval(units=300, right=267, low=0.8497, high=0.9207),
    )
    report = ExportReport(
        name="small",
        task="classification",
        metric="accuracy",
        direction="max",
        max_drop="0.01",
        model_sha256="",
        weights_sha256=run.record.sha256[run.weights_path.name],
        versions={},
        results=(
            FormatResult(
                format="tflite:int8",
                verdict="passed",
                max_drop="5%",
                size=4321,
                splits={"validation": figures, "test": figures},
            ),
        ),
    )
    run.exports_path.mkdir()
    report.save(run.exports_path)
    return report


def test_each_score_has_its_evidence_and_baselines_follow(run):
    page = write_report(run).read_text()
    record = run.record
    for split in ("validation", "test"):
        for interval in record.intervals[split].values():
            assert f"<small>{interval}</small>" in page
    assert "Validation: the epoch was chosen on these examples." in " ".join(page.split())
    assert page.index("<h2>Scores</h2>") < page.index("<h2>Baselines</h2>") < page.index("<h2>Training</h2>")
    for baseline in record.baselines.results:
        assert f"{baseline.scores['accuracy']:.4f}<br><small>{baseline.intervals['accuracy']}</small>" in page


def test_precision_and_recall_of_each_class_have_their_evidence(run):
    record = run.record
    (first, *others) = record.details["test"]["per_class"]
    first |= {"precision": 0.75, "predicted": 4, "recall": 1.0, "examples": 3}
    older = {name: value for name, value in others[0].items() if name != "predicted"}  # of an earlier version
    record.details["test"]["per_class"] = [first, older]
    run.save_record(record)
    page = write_report(run).read_text()
    assert "0.750<br><small>3 of 4, 0.30 to 0.95</small>" in page
    assert "1.000<br><small>3 of 3, 0.44 to 1.00</small>" in page
    assert f"{older['precision']:.3f}</td>" in page


def test_skipped_baselines_and_advice_are_shown(run):
    skipped = Baseline(name="gradient boosting", skipped="it took too long", note="on <b>some</b> rows")
    for baselines, text in (
        (Baselines(results=(skipped,), advice="Try more."), ("skipped: it took too long", "<b>Try more.</b>")),
        (Baselines(none="there is none for task x"), ("<p>None: there is none for task x.</p>",)),
    ):
        run.save_record(run.record.model_copy(update={"baselines": baselines}))
        page = write_report(run).read_text()
        assert all(part in page for part in text)
        assert "<b>some" not in page
    run.save_record(run.record.model_copy(update={"baselines": None, "intervals": {}}))  # of an earlier version
    page = write_report(run).read_text()
    assert "<h2>Baselines</h2>" not in page
    assert "95% interval" not in page


def test_exports_are_shown(run, exports):
    page = write_report(run).read_text()
    for text in ("accuracy (test)", "drop (val)", "agreement (val)", "0.9876", "3 of 300", "4.3 kB", "0.850 to 0.921"):
        assert text in page
    assert "a drop of at most 5% was allowed" in page
    assert "<p>accuracy on test: n = 300 independent examples</p>" in page
    row = compare([run.path])[str(run.path)]
    assert row["tflite:int8 bytes"] == 4321
    assert row["test accuracy, n and 95%"] == str(run.record.intervals["test"]["accuracy"])


def test_exports_of_other_weights_are_not_shown(run, exports):
    exports.model_copy(update={"weights_sha256": "0" * 64}).save(run.exports_path)
    page = write_report(run).read_text()
    assert "hold older weights than the run. Export again" in page
    assert "0.9876" not in page
    assert "tflite:int8 bytes" not in compare([run.path])[str(run.path)]


def test_an_interrupted_export_is_not_shown(run):
    run.exports_path.mkdir()
    assert "Exports" not in write_report(run).read_text()
    assert not [key for key in compare([run.path])[str(run.path)] if key.endswith(" bytes")]


def test_each_figure_has_an_alternative_text_and_the_page_a_language_and_a_main_part(run):
    page = write_report(run).read_text()
    assert '<html lang="en">' in page
    assert page.count("<main>") == page.count("</main>") == 1
    assert 'alt="Confusion matrix of run. Rows are true classes' in page
    assert page.count("<img ") == page.count('alt="') - page.count('alt=""')


def test_tables_that_scroll_are_named_regions_and_each_verdict_has_a_colour():
    html = (Path(report.__file__).parent / "report.html").read_text(encoding="utf-8")
    tables = re.findall(r'<div class="wide"[^>]*>', html)
    assert len(tables) == 5
    for table in tables:
        assert re.search(r'tabindex="0" role="region" aria-label="Table of [^"]+"', table), table
    for verdict in get_args(Verdict):
        assert f".{verdict.split()[0]}" in html.partition("</style>")[0], verdict


def test_exported_files_are_links(run):
    from dltemplates.deploy.export_run import export

    export(run, formats=["onnx:float32"])
    page = write_report(run).read_text()
    assert '<a href="exports/run-float32.onnx">run-float32.onnx</a>' in page
    assert (run.path / "exports" / "run-float32.onnx").is_file()


def test_the_template_shows_only_what_the_data_uses(run):
    shown = template_text(run)
    assert "[train.augment]" in shown
    assert 'cache = "none"' in shown
    assert "auxiliary_weight" not in shown
    assert "string_inputs" not in shown


@pytest.mark.parametrize(("name", "uses_categories"), [("softmax_regression_iris", False), ("mlp_adult", True)])
def test_the_template_of_a_table_has_no_settings_of_images(tmp_path, name, uses_categories):
    from dltemplates.training.train import train

    (tmp_path / "data.csv").write_text(
        "size,colour,label\n" + "".join(f"{n},{'rb'[n % 2]},{'xy'[n % 3 > 0]}\n" for n in range(60))
    )
    settings = {"dataset.name": str(tmp_path / "data.csv")} if uses_categories else {}
    run = train(load_template(name, settings | {"train.epochs": 1}), output=tmp_path / "table")
    shown = template_text(run)
    assert "augment" not in shown
    assert "cache" not in shown
    assert ("string_inputs" in shown) == uses_categories
    assert {"epochs = 1", "batch_size"} <= {
        line.partition(" = ")[0] if "batch" in line else line for line in shown.split("\n")
    }


def test_a_metric_of_an_epoch_is_the_score_of_that_name(run, tmp_path):
    from dltemplates.training.train import train

    diabetes = train(load_template("linear_regression_diabetes", {"train.epochs": 2}), output=tmp_path / "diabetes")
    for trained, shared in ((run, {"accuracy"}), (diabetes, set())):
        row = trained.history_rows()[trained.record.best_epoch - 1]
        scores = trained.record.scores["validation"]
        assert {name for name in scores if f"val_{name}" in row} >= shared
        for name, score in scores.items():
            assert row.get(f"val_{name}", score) == pytest.approx(score, abs=1e-4), name
    assert "val_scaled_mae" in diabetes.history_rows()[0]
