import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from dltemplates.inference import evaluate, predict, write_table
from dltemplates.runs import Run
from dltemplates.runtimes import KerasPredictor


def test_a_run_scores_as_in_its_record(small_run):
    for split in ("validation", "test"):
        result = evaluate(small_run.path, split=split)
        assert result["scores"] == small_run.record.scores[split]
        assert result["examples"] == small_run.record.spec.sizes[split]
    with pytest.raises(ValueError, match="Unknown split. Received: 'tests'"):
        evaluate(small_run.path, split="tests")


def test_other_data_is_resized_and_must_have_the_networks_classes(small_run, digit_folder, tmp_path):
    with pytest.raises(ValueError, match="classes of the network, 0, 1, .*Received: one, zero"):
        evaluate(small_run.path, data=str(digit_folder))
    from sklearn.datasets import load_digits

    digits = load_digits()
    large = np.uint8(digits.images * 15.9).repeat(3, axis=1).repeat(3, axis=2)
    np.savez(tmp_path / "large.npz", x=large, y=digits.target)
    result = evaluate(small_run.path, data=str(tmp_path / "large.npz"))
    assert result["scores"]["accuracy"] > 0.8
    assert (result["examples"], result["of"]) == (359, 1797)
    result = evaluate(small_run.path, data=str(tmp_path / "large.npz"), split="all")
    assert result["scores"]["accuracy"] > 0.8
    assert (result["examples"], result["of"]) == (1797, 1797)


def test_predictions_name_class_and_probability(small_run, digit_folder):
    results = predict(small_run.path, [digit_folder / "one", digit_folder / "zero" / "3.png"])
    assert len(results) == 21
    correct = sum(result["class"] == "1" for result in results[:20])
    assert correct >= 15
    for result in results:
        assert 0 <= result["probability"] <= 1
        assert result["probability"] >= max(result["next"].values())


def test_predictions_are_written_to_a_csv_file(small_run, digit_folder, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(digit_folder / "one" / "0.png", tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_text("no image")
    bad, good = predict(small_run.path, [tmp_path / "in"], output=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["error"] == bad["error"]
    assert rows[1]["class"] == good["class"]
    assert float(rows[1]["probability"]) == good["probability"]
    assert float(rows[1][f"probabilities.{good['class']}"]) == good["probability"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_an_error_of_its_row(small_run, digit_folder, tmp_path, monkeypatch, bad):
    run = KerasPredictor._run
    calls = []

    def run_with_one_bad(self, encoded):
        outputs = run(self, encoded)
        calls.append(len(outputs["probabilities"]))
        if len(calls) == 2:
            outputs["probabilities"] = outputs["probabilities"].copy()
            outputs["probabilities"][0, 3] = bad
        return outputs

    monkeypatch.setattr(KerasPredictor, "_run", run_with_one_bad)
    images = [digit_folder / "one" / f"{number}.png" for number in range(3)]
    first, second, third = predict(small_run.path, images)
    assert set(second) == {"input", "error"}
    error = f"{images[1]}: a prediction must be finite. Received: NaN or infinity in `probabilities`."
    assert second["error"].startswith(error)
    assert first["class"] == third["class"] == "1"
    calls.clear()
    predict(small_run.path, images, output=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert rows[1]["class"] == ""


def test_an_evaluation_refuses_outputs_that_are_not_finite(small_run, monkeypatch):
    """NaN would count as the first class, so that some rows would be right by chance."""
    run = KerasPredictor._run

    def run_with_one_bad(self, encoded):
        outputs = run(self, encoded)
        outputs["probabilities"] = np.array(outputs["probabilities"])
        outputs["probabilities"][2] = np.nan
        return outputs

    monkeypatch.setattr(KerasPredictor, "_run", run_with_one_bad)
    with pytest.raises(
        ValueError,
        match=r"finite. Received: NaN or infinity in `probabilities` for \d+ of \d+ examples, first for example 3\.",
    ):
        evaluate(small_run.path)


def test_write_table_has_a_column_per_value_and_a_row_per_box(tmp_path):
    results = [
        {"input": "a", "at": [[1, 2], [3, 4]], "boxes": [{"class": "x", "left": 0.5}, {"class": "y", "left": 0.25}]},
        {"input": "b", "at": [[5, 6], [7, 8]], "boxes": []},
    ]
    write_table(tmp_path / "out.csv", results)
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "input,at.0.0,at.0.1,at.1.0,at.1.1,boxes.class,boxes.left",
        "a,1,2,3,4,x,0.5",
        "a,1,2,3,4,y,0.25",
        "b,5,6,7,8,,",
    ]


def test_predictions_of_a_classifier_have_a_column_per_class(small_run, digit_folder, tmp_path):
    predict(small_run.path, [digit_folder / "one"], output=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [f"probabilities.{digit}" for digit in range(10)]
    assert list(rows[0]) == ["input", "class", "probability", *names]
    assert len(rows) == 20
    for row in rows:
        assert sum(float(row[name]) for name in names) == pytest.approx(1, abs=1e-5)
        assert row["probability"] == row[f"probabilities.{row['class']}"]


def test_a_table_is_refused_by_an_image_network(small_run, tmp_path):
    (tmp_path / "data.csv").write_text("a,b,c" + "\n1,2,x\n3,4,y" * 10)
    with pytest.raises(ValueError, match=r"the network's inputs, images\. Received: .*data\.csv, a table\..*--data"):
        evaluate(small_run.path, data=str(tmp_path / "data.csv"))


def test_an_output_that_cannot_be_written_is_refused(small_run, digit_folder, tmp_path):
    image = digit_folder / "one" / "0.png"
    data = tmp_path / "data.csv"
    data.write_text("a")
    with pytest.raises(ValueError, match=r"must be a folder\. Received: .*data\.csv, which is a file"):
        predict(small_run.path, [image], output=data / "out.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match=r"must be a file\. Received: .*, which is a folder"):
        predict(small_run.path, [image], output=tmp_path / "folder.csv")
    with pytest.raises(ValueError, match=r"must not replace an input\. Received: .*data\.csv for both"):
        predict(small_run.path, ["1,2", data], output=data)
    assert data.read_text() == "a"


def test_an_image_of_any_mode_and_size_is_converted(small_run, tmp_path):
    Image.new("RGBA", (30, 20), (255, 0, 0, 128)).save(tmp_path / "a.png")
    assert len(predict(small_run.path, [tmp_path])) == 1


def test_missing_and_broken_images_are_refused(small_run, tmp_path):
    with pytest.raises(ValueError, match=rf"Received: {tmp_path}/none\.png"):
        predict(small_run.path, [tmp_path / "none.png"])
    with pytest.raises(ValueError, match="image.*Received: none"):
        predict(small_run.path, [tmp_path])
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=rf"Received: {tmp_path}/text\.png"):
        predict(small_run.path, [tmp_path / "text.png"])


def test_a_broken_file_in_a_folder_is_named_and_the_rest_predicted(small_run, digit_folder, tmp_path):
    shutil.copy(digit_folder / "one" / "0.png", tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    bad, good = predict(small_run.path, [tmp_path])
    assert "bad.png" in bad["error"]
    assert "class" in good


def test_an_export_is_evaluated_on_the_test_split_of_its_run(tmp_path):
    from conftest import small_template
    from dltemplates.deploy.export_run import export
    from dltemplates.training.train import train

    run = train(small_template(dataset__split_seed=5, dataset__test=0.3), output=tmp_path / "run")
    report = export(run, formats=["onnx:float32"])
    file = run.exports_path / report.result("onnx:float32").file
    result = evaluate(file)
    assert result["examples"] == run.record.spec.sizes["test"]
    assert result["scores"] == run.record.scores["test"]


def test_a_run_cannot_choose_the_code_to_import(small_run, tmp_path, monkeypatch):
    """Load the task and dataset of a run only from modules that the user named."""
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef data(settings): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    for old, new in (('name = "digits"', 'name = "evil:data"'), ('name = "classification"', 'name = "evil:data"')):
        run = Run(tmp_path / "run")
        shutil.copytree(small_run.path, run.path)
        run.template_path.write_text(run.template_path.read_text().replace(old, new))
        run.save_record(run.record)
        with pytest.raises(ValueError, match="Received: 'evil:data'.*--import evil"):
            evaluate(run.path)
        shutil.rmtree(run.path)
    assert not (tmp_path / "ran").exists()


def test_an_export_trained_on_a_users_data_needs_it_to_evaluate(small_run, tmp_path):
    from dltemplates.deploy.export_run import export

    shutil.copytree(small_run.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    text = run.template_path.read_text()
    from sklearn.datasets import load_digits

    digits = load_digits()
    np.savez(tmp_path / "mine.npz", x=np.uint8(digits.images * 15.9), y=digits.target)
    run.template_path.write_text(text.replace('name = "digits"', f'name = "{tmp_path}/mine.npz"'))
    run.save_record(run.record)
    report = export(run, formats=["onnx:float32"])
    file = run.exports_path / report.result("onnx:float32").file
    with pytest.raises(ValueError, match="Received: .* without --data. Try `dlt evaluate .*mine.npz`"):
        evaluate(file)
    assert evaluate(file, data=str(tmp_path / "mine.npz"))["scores"]["accuracy"] > 0.8


def test_an_export_finds_the_test_rows_of_a_users_data(tmp_path):
    from conftest import small_template
    from dltemplates.deploy.export_run import export
    from dltemplates.training.train import train

    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{'yes' if a + b + rng.normal() > 0 else 'no'}" for a, b in rng.normal(size=(200, 2))]
    (tmp_path / "own.csv").write_text("\n".join(["a,b,label", *rows]))
    own = {"name": str(tmp_path / "own.csv"), "split_seed": 7, "test": 0.25}
    template = small_template(dataset=own, model={"name": "mlp", "units": [4]}, train__augment={})
    run = train(template, output=tmp_path / "run")
    report = export(run, formats=["onnx:float32"])
    result = evaluate(run.exports_path / report.result("onnx:float32").file, data=own["name"])
    assert (result["examples"], result["scores"]) == (50, run.record.scores["test"])
