"""Coefficients of a linear model, as numbers and as a figure."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from dltemplates.figures.coefficients import MAX_BARS, coefficients, coefficients_figure
from dltemplates.models.dense.mlp import mlp
from dltemplates.models.dense.regression import linear_regression, softmax_regression
from dltemplates.tasks.assemble import assemble
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template


def serving_of(template, builder):
    settings = load_template(template)
    task, dataset = load_for(settings)
    network = builder(**task.model_sizes(dataset.spec))
    return task.serve(assemble(network, dataset.spec), dataset.spec, settings, name="linear")[""], dataset.spec


def test_a_coefficient_is_the_change_per_unit_of_its_input():
    serving, spec = serving_of("softmax_regression_iris", softmax_regression)
    found = coefficients(serving)
    assert [output["output"] for output in found] == ["setosa", "versicolor", "virginica"]
    kernel, _ = serving.model.get_layer("softmax_regression").get_layer("logits").get_weights()
    for place, output in enumerate(found):
        for row, (entry, column) in enumerate(zip(output["inputs"], spec.inputs[0].columns, strict=True)):
            assert entry["name"] == column.name
            assert entry["standardized"] == pytest.approx(kernel[row, place])
            assert entry["coefficient"] == pytest.approx(kernel[row, place] / spec.inputs[0].std[row])


def test_coefficients_match_scikit_learn_on_raw_rows():
    serving, spec = serving_of("linear_regression_diabetes", linear_regression)
    source = load_for(load_template("linear_regression_diabetes"))[1].split("train")
    rows = source.read(np.arange(len(source)))
    (value,), (target,) = spec.inputs, spec.targets
    features, truth = (rows[v.name].astype(np.float64) for v in (value, target))
    # The solution that training on standardized numbers converges to.
    best = LinearRegression().fit((features - value.mean) / value.std, (truth - target.mean) / target.std)
    dense = serving.model.get_layer("linear_regression").get_layer("logits")
    dense.set_weights([best.coef_.T, best.intercept_])
    (found,) = coefficients(serving)
    own = LinearRegression().fit(features, truth[:, 0])
    assert found["output"] == target.name
    assert found["intercept"] == pytest.approx(own.intercept_, rel=1e-4)
    assert [entry["coefficient"] for entry in found["inputs"]] == pytest.approx(list(own.coef_), rel=1e-4)
    standardized = LinearRegression().fit((features - value.mean) / value.std, truth[:, 0]).coef_
    assert [entry["standardized"] for entry in found["inputs"]] == pytest.approx(list(standardized), rel=1e-4)


def test_a_category_has_the_coefficient_of_its_embedding(tmp_path):
    lines = [f"{n % 5},{'red' if n % 3 else 'blue'},{n % 7 + 0.5}" for n in range(60)]
    (tmp_path / "own.csv").write_text("size,colour,price\n" + "\n".join(lines))
    own = {"dataset.name": str(tmp_path / "own.csv"), "dataset.target": "price"}
    settings = load_template("linear_regression_diabetes", own)
    task, dataset = load_for(settings)
    network = linear_regression(**task.model_sizes(dataset.spec))
    serving = task.serve(assemble(network, dataset.spec), dataset.spec, settings, name="linear")[""]
    (found,) = coefficients(serving)
    worth = {entry["name"]: entry["coefficient"] for entry in found["inputs"]}
    assert list(worth) == ["size", "colour=blue", "colour=red"]

    def price(size, colour):
        inputs = {"features": np.float32([[size]]), "categories": np.int32([[colour]])}
        return float(np.asarray(serving.model(inputs)["value"]).item())

    assert price(3.0, 2) - price(2.0, 2) == pytest.approx(worth["size"], rel=1e-4, abs=1e-5)
    assert price(2.0, 2) - price(2.0, 1) == pytest.approx(
        worth["colour=red"] - worth["colour=blue"], rel=1e-4, abs=1e-5
    )
    assert price(2.0, 1) == pytest.approx(found["intercept"] + 2 * worth["size"] + worth["colour=blue"], rel=1e-4)


def test_only_linear_models_have_coefficients():
    assert coefficients(serving_of("softmax_regression_iris", mlp)[0]) is None
    settings = load_template("mlp_digits")
    task, dataset = load_for(settings)
    network = linear_regression(**task.model_sizes(dataset.spec))
    serving = task.serve(assemble(network, dataset.spec), dataset.spec, settings, name="linear")[""]
    assert coefficients(serving) is None
    keras.backend.clear_session()


def test_the_largest_coefficients_are_drawn_with_their_names():
    random = np.random.default_rng(0)
    names = [f"input {place} of $x_{place}" for place in range(MAX_BARS + 5)]
    worth = random.normal(size=(2, len(names)))
    found = [
        {"output": output, "inputs": [{"name": n, "standardized": w} for n, w in zip(names, row, strict=True)]}
        for output, row in zip(("$\\foo$", "b"), worth, strict=True)
    ]
    figure = coefficients_figure(found)
    figure.canvas.draw()
    (axes,) = figure.axes
    drawn = [label.get_text() for label in axes.get_yticklabels()]
    assert drawn == [names[place] for place in np.argsort(-np.abs(worth).max(axis=0))[:MAX_BARS]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["$\\foo$", "b"]
    assert coefficients_figure(found[:1]).axes[0].get_legend() is None
