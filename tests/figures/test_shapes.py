"""Figures that a reader without colours can read: lines, points and areas differ in shape."""

import numpy as np
from matplotlib.collections import PathCollection

from dltemplates.figures.anomaly import histogram_figure, timeline_figure
from dltemplates.figures.latent import scatter_figure
from dltemplates.figures.run import curves_figure
from dltemplates.figures.series import steps_figure


def test_training_and_validation_differ_in_dashes():
    figure = curves_figure([{"epoch": n, "loss": 1 / n, "val_loss": 2 / n} for n in (1, 2, 3)], 3)
    training, validation, *_ = figure.axes[0].lines
    assert training.get_linestyle() != validation.get_linestyle()


def test_classes_differ_in_markers():
    vectors = np.random.default_rng(0).normal(size=(30, 2))
    figure = scatter_figure(vectors, np.arange(30) % 10)
    points = [item for item in figure.axes[0].collections if isinstance(item, PathCollection)]
    assert len({item.get_paths()[0].vertices.tobytes() for item in points}) == 10


def test_anomalies_are_hatched():
    truth, score = np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.9, 0.3])
    hatches = {patch.get_hatch() for patch in histogram_figure(truth, score, 0.5).axes[0].patches}
    assert hatches >= {"//"}
    assert len(hatches) == 2
    assert [patch.get_hatch() for patch in timeline_figure(truth, score, 0.5).axes[0].patches] == ["//"]


def test_forecasters_differ_in_markers():
    figure = steps_figure({"network": np.ones(3), "last": np.ones(3) * 2}, name="y")
    assert len({line.get_marker() for line in figure.axes[0].lines}) == 2
