"""An option that several models share has the same effect in each of them."""

import inspect

import keras
import pytest

from dltemplates import catalog
from dltemplates.compat import flatten_layers
from dltemplates.models.summary import summarize, without_weights


def models_with(option):
    """Return the models of the catalog that have an option."""
    return [name for name in catalog.MODELS if option in inspect.signature(catalog.load("model", name)).parameters]


def sketch(name, **options):
    """Build a model at the sizes of its paper, without weights and auxiliary classifiers."""
    if name == "googlenet":
        options["auxiliary"] = False  # its dropout is fixed
    return without_weights(lambda: catalog.load("model", name)(**catalog.MODELS[name].sizes, **options))


@pytest.mark.parametrize("name", models_with("dropout_rate"))
def test_the_dropout_rate_is_that_of_every_dropout(name):
    layers = flatten_layers(sketch(name, dropout_rate=0.45))  # of generator and discriminator too
    # The weights of attention are not dropped, as in the code of PatchTST's authors.
    attention = [layer for layer in layers if isinstance(layer, keras.layers.MultiHeadAttention)]
    inside = {id(inner) for layer in attention for inner in flatten_layers(layer)}
    dropouts = [layer for layer in layers if isinstance(layer, keras.layers.Dropout) and id(layer) not in inside]
    rates = [layer.rate for layer in dropouts if layer.noise_shape is None]  # the others drop whole blocks
    assert rates
    assert set(rates) == {0.45}


@pytest.mark.slow
@pytest.mark.parametrize("name", models_with("width"))
def test_half_the_width_is_a_quarter_to_half_of_the_cost(name):
    width = inspect.signature(catalog.load("model", name)).parameters["width"].default
    whole, half = (summarize(sketch(name, width=share)) for share in (width, type(width)(width / 2)))
    assert 0.24 < half.macs / whole.macs < 0.55
    assert 0.24 < half.parameters / whole.parameters < 0.75  # some models keep the width of their last layers
