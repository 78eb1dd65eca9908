"""The figure of latent vectors: input, latent vector, reconstruction."""

import numpy as np
import pytest

from dltemplates.figures.latent_strip import MAX_LATENT_DIM, latent_strip_figure
from dltemplates.models.build import build_network
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template


def servings_of(code, data="digits"):
    """Return the servings of an autoencoder with fresh weights, and its test examples."""
    template = load_template("autoencoder_digits", {"dataset.name": data, "model.latent_dim": code, "model.units": [8]})
    task, dataset = load_for(template)
    network = build_network("autoencoder", task.model_sizes(dataset.spec), {"units": [8], "latent_dim": code})
    model = task.assemble(network, dataset.spec)
    return task.serve(model, dataset.spec, template, name="x"), dataset.split("test")


def test_the_latent_vector_is_drawn_between_input_and_reconstruction():
    servings, source = servings_of(5)
    figure = latent_strip_figure(servings, source)
    panels = np.array(figure.axes).reshape(3, 12)
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["input", "latent", "output"]
    given = source.read(np.arange(12))["image"]
    np.testing.assert_array_equal(panels[0, 3].images[0].get_array(), given[3, ..., 0])
    images = given.astype("float32")
    codes = np.asarray(servings["encoder"].model(images)["code"])
    np.testing.assert_allclose([bar.get_height() for bar in panels[1, 3].patches], codes[3], rtol=1e-4, atol=1e-6)
    reconstructions = np.asarray(servings[""].model(images)["reconstruction"])
    np.testing.assert_array_equal(panels[2, 3].images[0].get_array(), np.rint(reconstructions[3, ..., 0]))
    limits = {axes.get_ylim() for axes in panels[1]}  # one scale for all panels
    assert len(limits) == 1
    assert max(limits)[1] == pytest.approx(np.abs(codes).max(), rel=1e-4)


def test_what_cannot_be_drawn_is_left_out():
    servings, source = servings_of(MAX_LATENT_DIM + 1)
    assert latent_strip_figure(servings, source) is None
    rows, table = servings_of(2, data="iris")
    assert latent_strip_figure(rows, table) is None
    assert latent_strip_figure({"": servings[""]}, source) is None
