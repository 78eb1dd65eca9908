"""Representation learning with an RBM: options, figures, and exported files."""

import keras
import numpy as np
import pytest

from conftest import spec_of
from dltemplates.datasets.source import ArraySource
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Image
from dltemplates.figures import outcomes
from dltemplates.models.generative.rbm import rbm
from dltemplates.settings import Named
from dltemplates.tasks import representation
from dltemplates.tasks.assemble import assemble
from dltemplates.tasks.task import make_task
from dltemplates.template import load_template

IMAGE = Image(name="image", dtype="uint8", shape=(4, 3, 1), range=(0, 255))
IMAGES = np.random.default_rng(0).integers(0, 256, (12, *IMAGE.shape)).astype("uint8")
SPEC = DatasetSpec(inputs=(IMAGE,), targets=(), sizes={"train": 12}, fingerprint="")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return assemble(rbm(IMAGE.shape, units=7), SPEC)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(representation, "GIBBS_STEPS", (0, 1, 10, 20))


def draw(model):
    task = make_task(Named(name="representation"), spec_of())
    return task.model_figures(
        task.serve(model, SPEC, load_template("rbm_mnist"), name="rbm"), ArraySource({"image": IMAGES})
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"gibbs_steps": 0}, "`gibbs_steps`.*1 to 25.*Received: 0"),
        ({"gibbs_steps": 26}, "`gibbs_steps`.*Received: 26"),
        ({"gibbs_steps": True}, "`gibbs_steps`.*Received: True"),
        ({"persistent": 1}, r"`persistent`.*Received: 1"),
        ({"chains": 3}, "Task representation.*Received: chains"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        make_task(Named(name="representation", **options), spec_of())


def test_filters_show_the_weights_of_each_unit(model, monkeypatch):
    figures = []
    monkeypatch.setattr(outcomes, "filters_figure", figures.append)
    draw(model)
    kernel = np.asarray(model.get_layer("rbm").get_layer("hidden").kernel)
    assert figures[0].shape == (7, 4, 3, 1)
    np.testing.assert_array_equal(figures[0][2].reshape(-1), kernel[:, 2])


def test_gibbs_chains_start_from_examples_and_from_noise(model, monkeypatch):
    figures = []
    monkeypatch.setattr(outcomes, "chains_figure", lambda *chains: figures.append(chains))
    for _ in range(2):
        draw(model)
    (first, turns), (second, _) = figures
    assert turns == (0, 1, 10, 20)
    assert first["from examples"].shape == first["from noise"].shape == (10, 4, *IMAGE.shape)
    np.testing.assert_allclose(first["from examples"][:, 0], IMAGES[:10], atol=1e-3)
    assert set(np.unique(first["from noise"][:, 0])) == {0, 255}
    for name, chains in first.items():
        assert 0 < chains[:, 1:].min() < chains[:, 1:].max() < 255
        np.testing.assert_array_equal(chains, second[name])


def test_positive_weights_are_light_in_filters():
    weights = np.zeros((3, 2, 2, 1))
    weights[0, 0, 1], weights[1, 1, 0] = 0.02, -5.0
    (image,) = outcomes.filters_figure(weights).axes[0].images
    sheet = np.asarray(image.get_array())
    assert sheet.shape == (3, 9)  # three units side by side, each followed by a gap
    assert sheet[:2, :2].tolist() == [[128, 255], [128, 128]]
    assert sheet[:2, 3:5].tolist() == [[128, 128], [0, 128]]
    assert sheet[:2, 6:8].tolist() == [[128, 128], [128, 128]]


def test_each_chain_is_a_row():
    images = np.arange(2 * 3, dtype=float).reshape(2, 3, 1, 1, 1) * np.ones((2, 3, 2, 2, 1))
    figure = outcomes.chains_figure({"of one": images, "of two": images + 100}, (0, 1, 5))
    one, two = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    assert [axes.get_title() for axes in figure.axes] == ["of one", "of two"]
    assert one[::3, ::3].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert two[::3, ::3].tolist() == [[100, 101, 102], [103, 104, 105]]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "1", "5"]
