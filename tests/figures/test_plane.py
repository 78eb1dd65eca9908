"""The decision boundary of a classifier of two numbers."""

import numpy as np
import pytest

from conftest import spec_of
from dltemplates.datasets.features import class_value
from dltemplates.features import Noise
from dltemplates.figures.plane import GRID_POINTS, boundary_figure
from dltemplates.models.dense.perceptron import perceptron
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.assemble import assemble
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template


@pytest.fixture(scope="module")
def neuron():
    """Return a neuron that fires above a + b = 1.5, its task, and the rows of AND."""
    template = load_template("perceptron_gates")
    task, dataset = load_for(template)
    network = perceptron(**task.model_sizes(dataset.spec))
    network.set_weights([np.full((2, 1), 2.0), np.array([-2.0])])  # weights for standardized bits: 2a - 1, 2b - 1
    serving = task.serve(assemble(network, dataset.spec), dataset.spec, template, name="neuron")[""]
    return KerasPredictor(serving.model, serving.contract), task, dataset.split("test").read(np.arange(4))


def test_the_boundary_lies_between_the_classes(neuron):
    predictor, task, arrays = neuron
    figure = boundary_figure(predictor, task, arrays["features"], arrays)
    figure.canvas.draw()
    (axes,) = figure.axes
    mesh, zeros, ones = axes.collections
    decided = np.asarray(mesh.get_array()).reshape(GRID_POINTS, GRID_POINTS)
    side = np.linspace(-0.25, 1.25, GRID_POINTS)
    np.testing.assert_array_equal(decided == 1, side[:, None] + side > 1.5)
    assert (len(zeros.get_offsets()), len(ones.get_offsets())) == (3, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1"]


def test_a_constant_column_has_a_margin(neuron):
    predictor, task, arrays = neuron
    figure = boundary_figure(predictor, task, np.array([[0, 5], [1, 5], [2, 5], [1, 5]], "float32"), arrays)
    assert figure.axes[0].get_ylim() == pytest.approx((4.75, 5.25), abs=0.01)


def test_class_names_are_plain_text_and_always_shown(neuron):
    predictor, _, arrays = neuron
    names = ("$\\foo$", "_b")
    task = Classification(spec_of(class_value(names)), binary=True)
    figure = boundary_figure(predictor, task, arrays["features"], arrays)
    figure.canvas.draw()
    shown = [text.get_text().lstrip("\u200b") for text in figure.axes[0].get_legend().get_texts()]
    assert tuple(shown) == names


def test_only_classifiers_of_two_numbers_have_a_boundary(neuron):
    predictor, _, arrays = neuron
    many = Classification(spec_of(class_value(tuple("abcdefghi"))))
    assert boundary_figure(predictor, many, arrays["features"], arrays) is None
    (value,) = predictor.contract.inputs
    others = (value.model_copy(update={"shape": (3,)}), Noise(name=value.name, dtype=value.dtype, shape=value.shape))
    for other_value in others:
        contract = predictor.contract.model_copy(update={"inputs": (other_value,)})
        other = KerasPredictor(predictor.model, contract)
        assert boundary_figure(other, neuron[1], arrays["features"], arrays) is None
