"""One neuron on gates, and regressions against scikit-learn, trained by their templates."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dltemplates.cli.output import note_unknown, run_result
from dltemplates.features import classes_of
from dltemplates.inference import evaluate, predict
from dltemplates.reports.report import write_report
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template
from dltemplates.training.recording.progress import PlainLines
from dltemplates.training.train import train


def run_of(template, folder, **settings):
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    return train(load_template(template, overrides), output=folder / "run")


def everything(run, split):
    source = load_for(run)[1].split(split)
    return source.read(np.arange(len(source)))


@pytest.mark.parametrize("loss", ["perceptron", "cross_entropy"])
@pytest.mark.parametrize("gate", ["and", "or", "nand"])
def test_one_neuron_learns_linearly_separable_gates(gate, loss, tmp_path):
    """With Rosenblatt's rule, whose loss then is 0, and with gradient descent on the log odds."""
    run = run_of("perceptron_gates", tmp_path, dataset__name=f"gates:{gate}", task__loss=loss, train__epochs=12)
    assert run.record.scores["test"] == {"accuracy": 1.0}
    assert (run.figures_path / "boundary.png").is_file()
    last = run.history_rows()[-1]
    assert last["accuracy"] == 1
    assert (last["loss"] == 0) == (loss == "perceptron")


def test_one_neuron_cannot_learn_xor(tmp_path):
    run = run_of("perceptron_gates", tmp_path, dataset__name="gates:xor", train__epochs=15)
    history = run.history_rows()
    assert len(history) == 15
    assert min(row["loss"] for row in history) > 0
    assert max(row["val_accuracy"] for row in history) <= 0.75
    assert run.record.scores["test"]["accuracy"] <= 0.75
    assert (run.figures_path / "boundary.png").is_file()


def test_a_hidden_layer_learns_xor_and_draws_its_boundary(tmp_path):
    run = run_of("mlp_gates", tmp_path)
    assert run.record.scores["test"] == {"accuracy": 1.0}
    assert (run.figures_path / "boundary.png").is_file()
    assert [found["class"] for found in predict(run.path, ["0,0", "a=0,b=1", "b=0,a=1", "1,1"])] == ["0", "1", "1", "0"]


REGRESSIONS = {
    "linear_regression_diabetes": LinearRegression(),
    "logistic_regression_breast_cancer": LogisticRegression(max_iter=1000),
    "softmax_regression_iris": LogisticRegression(max_iter=1000),
    "softmax_regression_wine": LogisticRegression(max_iter=1000),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name.startswith("softmax") else ()) for name in REGRESSIONS],
)
def test_a_regression_matches_scikit_learn(name, tmp_path):
    run = run_of(name, tmp_path)
    train_rows, test_rows = everything(run, "train"), everything(run, "test")
    (target,) = run.record.spec.targets
    reference = make_pipeline(StandardScaler(), REGRESSIONS[name])
    reference.fit(train_rows["features"], train_rows[target.name].reshape(-1))
    serving = run.serving()
    (found,) = KerasPredictor(serving.model, serving.contract)({"features": test_rows["features"]}).values()
    truth = {target.name: test_rows[target.name]}
    if classes_of(target):
        expected = reference.predict_proba(test_rows["features"])
        assert np.abs(found - expected).mean() < 0.01
        ((_, score), *_) = run.task().compare(truth, {"probabilities": expected}).scores.items()
        assert run.record.scores["test"]["accuracy"] == pytest.approx(score, abs=0.01)
    else:
        expected = reference.predict(test_rows["features"])[:, None]
        assert np.abs(found - expected).max() < 0.01 * np.ptp(test_rows[target.name])
        scores = run.task().compare(truth, {"value": expected}).scores
        assert list(scores) == ["mae", "rmse", "mse", "r2"]
        assert run.record.scores["test"] == pytest.approx(scores, rel=0.01)
    _check_coefficients(run, test_rows["features"], found)


def _check_coefficients(run, features, found):
    """Check that the coefficients in run.json reproduce the network's outputs, and that they are drawn."""
    sums = []
    for output in run.record.details["coefficients"].values():
        assert [entry["name"] for entry in output["inputs"]] == [c.name for c in run.record.spec.inputs[0].columns]
        weights = np.array([entry["coefficient"] for entry in output["inputs"]])
        sums.append(features.astype(np.float64) @ weights + output["intercept"])
    (target,) = run.record.spec.targets
    classes = run.record.details["coefficients"].keys()
    if not classes_of(target):
        presented = sums[0][:, None]
    elif len(sums) == 1:
        assert list(classes) == [target.classes[1]]
        presented = 1 / (1 + np.exp(np.stack([sums[0], -sums[0]], axis=1)))
    else:
        assert list(classes) == list(target.classes)
        shares = np.exp(np.stack(sums, axis=1))
        presented = shares / shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(presented, found, rtol=1e-3, atol=1e-4)
    assert (run.figures_path / "coefficients.png").is_file()
    page = write_report(run).read_text(encoding="utf-8").partition("Coefficients in numbers")[2]
    rows = re.findall(r"<tr><td>(.*?)</tr>", page.partition("</table>")[0], re.DOTALL)
    cells = [re.findall(r"[^<>]+(?=</td>)", row) for row in rows]
    for place, column in enumerate(run.record.spec.inputs[0].columns):
        entries = [output["inputs"][place] for output in run.record.details["coefficients"].values()]
        texts = [f"{entry[key]:.4g}" for entry in entries for key in ("coefficient", "standardized")]
        assert cells[place] == [column.name, *texts]
    assert cells[-1] == ["intercept", *(f"{o['intercept']:.4g}" for o in run.record.details["coefficients"].values())]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Write a table with missing cells, whose target is not the last column, and train a run on it."""
    import pandas as pd

    random = np.random.default_rng(0)
    work = random.choice(["field", "office", "sea"], 200)
    age = random.integers(18, 70, 200).astype(float)
    rich = np.where((age > 40) ^ (work == "sea"), "yes", "no")
    age[::20] = np.nan
    folder = tmp_path_factory.mktemp("people")
    table = pd.DataFrame({"age": age, "rich": rich, "work": work})
    table.to_csv(folder / "people.csv", index=False)
    settings = {"dataset.name": str(folder / "people.csv"), "dataset.target": "rich", "train.epochs": 15}
    settings |= {"model.units": [16], "model.dropout_rate": 0.0, "train.batch_size": 16}
    settings |= {"train.learning_rate": 0.02}
    return table, train(load_template("mlp_adult", settings), output=folder / "run")


def test_a_table_of_the_user_trains_evaluates_and_predicts(people, tmp_path):
    table, run = people
    assert run.record.scores["test"]["accuracy"] >= 0.85
    assert evaluate(run.path)["scores"] == run.record.scores["test"]
    predictions = predict(run.path, ["age=60,work=office", "age=,work=sea", "work=moon,age=30"])
    assert predictions[0]["class"] == "yes"
    assert [found.get("unknown") for found in predictions] == [None, None, ["work"]]
    table.drop(columns="rich").to_csv(tmp_path / "new.csv", index=False)
    from_file = predict(run.path, [tmp_path / "new.csv"])
    assert np.mean([found["class"] == rich for found, rich in zip(from_file, table["rich"], strict=True)]) >= 0.85
    table[["age"]].to_csv(tmp_path / "less.csv", index=False)
    with pytest.raises(ValueError, match="Received: none called work"):
        predict(run.path, [tmp_path / "less.csv"])
    with pytest.raises(ValueError, match="row.*Received: none"):
        predict(run.path, [])


def test_doubtful_columns_give_a_warning_before_and_after_training(people, tmp_path, capsys):
    table, _ = people
    table.assign(name=[f"n{row}" for row in range(200)]).to_csv(tmp_path / "named.csv", index=False)
    settings = {"dataset.name": str(tmp_path / "named.csv"), "dataset.target": "rich", "train.epochs": 1}
    settings |= {"train.batch_size": 16}
    run = train(load_template("mlp_adult", settings), output=tmp_path / "run", reporter=PlainLines())
    told = "column `name` is left out: its categories, 200 different ones in 200 rows"
    target, warning, *_ = capsys.readouterr().err.splitlines()
    assert target == "predicts rich, one of 2 classes: no, yes"
    assert warning.startswith(told)
    run_result(run, False)
    assert told in capsys.readouterr().out


def test_a_run_evaluates_other_rows_and_counts_unknown_categories(people, tmp_path, capsys):
    table, run = people
    other = table.assign(work=table["work"].replace("office", "moon"))
    other.to_csv(tmp_path / "other.csv", index=False)
    result = evaluate(run.path, data=str(tmp_path / "other.csv"))
    assert 0 < result["unknown"]["work"] < result["examples"] < result["of"] == len(table)
    note_unknown("test", result["unknown"])
    count = result["unknown"]["work"]
    assert capsys.readouterr().out == f"categories that are rare or absent in training, in test: {count} in work\n"
    only_yes = table[table["rich"] == "yes"]
    only_yes.to_csv(tmp_path / "only.csv", index=False)
    assert evaluate(run.path, data=str(tmp_path / "only.csv"))["scores"]["accuracy"] > 0.5
    result = evaluate(run.path, data=str(tmp_path / "other.csv"), split="all")
    assert (result["examples"], result["of"]) == (200, 200)
    assert result["unknown"]["work"] == (other["work"] == "moon").sum()
