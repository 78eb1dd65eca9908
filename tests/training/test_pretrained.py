"""A training that begins with weights that were trained before."""

import numpy as np
import pytest

from conftest import small_template
from dltemplates.models.build import build_network
from dltemplates.models.keras_applications import Pretrained
from dltemplates.training.prepare import prepare
from dltemplates.training.pretrained import take_weights
from dltemplates.training.progress import Silent
from dltemplates.training.train import train


def weights_of(model):
    network = model.get_layer(model.name)
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_it_begins_with_the_weights_of_a_run(small_run):
    training = prepare(small_template(model__weights=str(small_run.path)))
    for model in (training.definition, training.algorithm.model):
        for expected, found in zip(weights_of(small_run.model()).values(), weights_of(model).values(), strict=True):
            for before, after in zip(expected, found, strict=True):
                np.testing.assert_array_equal(before, after)
    assert training.fresh == []


def test_the_last_layer_stays_fresh_where_the_classes_are_others(small_run, digit_folder, tmp_path):
    template = small_template(
        dataset={"name": str(digit_folder), "image_size": (8, 8), "channels": 1},
        model__weights=str(small_run.path),
        train__epochs=1,
        train__batch_size=8,
        train__learning_rate=1e-9,
    )
    reporter = Notes()
    run = train(template, output=tmp_path / "run", reporter=reporter)
    assert any(f"fresh weights in logits; all others are of {small_run.path}" in note for note in reporter.notes)
    before, after = weights_of(small_run.model()), weights_of(run.model())
    assert after["logits"][0].shape == (16, 2)
    (first, *_), (same, *_) = before.values(), after.values()
    np.testing.assert_allclose(first[0], same[0], atol=1e-6)


def test_another_architecture_is_refused_by_its_first_layer_that_differs(small_run):
    with pytest.raises(
        ValueError,
        match=r"must be of the same architecture. Received: .*small, where .* \(Conv2D, 3x3x1x8\) stands and `convnet` "
        r"has .* \(Conv2D, 3x3x1x4\). Set the model",
    ):
        prepare(small_template(model={"name": "convnet", "filters": [4, 16], "weights": str(small_run.path)}))


def test_a_deeper_network_is_refused_where_the_weights_end():
    sizes = {"input_shape": (8, 8, 1), "num_outputs": 10}
    source = Pretrained(build_network("mlp", sizes, {"units": [16]}), None, "a run")
    deeper = build_network("mlp", sizes, {"units": [16, 10]})
    before = deeper.get_weights()
    with pytest.raises(ValueError, match=r"Received: a run, where no more layer stands and `mlp` has logits \(Dense"):
        take_weights(deeper, source)
    for weight, untouched in zip(deeper.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, untouched)


def test_weights_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="A run must be a folder. Received: .*nowhere"):
        prepare(small_template(model__weights=str(tmp_path / "nowhere")))


def test_imagenet_is_for_networks_that_have_it():
    with pytest.raises(ValueError, match="networks that keras.applications has too. Received: model convnet"):
        prepare(small_template(model__weights="imagenet"))
