"""Every layer that a format refuses or unrolls is refused by the installed converter too."""

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates import catalog
from dltemplates.deploy.converters.convert import ConversionError, Converter
from dltemplates.deploy.converters.saved_model import save_serving
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.part import layer_types
from dltemplates.features import Image, Number
from dltemplates.tasks.serving.contract import Contract, ServingModel

SHAPE = (8, 8, 2)
TABLES = ("Embedding", "CategoryLookup")  # tested in test_tables.py
REFUSED = {key: (*load_format(key).unsupported_layers, *load_format(key).unrolled_layers) for key in catalog.FORMATS}
ROWS = [(key, trait) for key, traits in REFUSED.items() for trait in traits if trait not in TABLES]


def network(trait):
    """Build a small network with one layer or activation of this name."""
    inputs = keras.Input(SHAPE, name="image")
    x = layers.Rescaling(1 / 255)(inputs)
    if trait in ("LSTM", "GRU", "SimpleRNN"):
        x = getattr(layers, trait)(4)(layers.Reshape((8, 16))(x))
    elif trait == "Conv3D":
        x = layers.Conv3D(4, 3)(layers.Reshape((8, 4, 4, 1))(x))
    elif trait.islower():
        x = layers.Conv2D(4, 3, activation=trait)(x)
    else:
        options = {"groups": 2} if trait == "GroupNormalization" else {}
        x = getattr(layers, trait)(**options)(layers.Conv2D(4, 3)(x))
    return keras.Model(inputs, {"value": layers.Dense(2)(layers.Flatten()(x))})


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    with Converter(tmp_path_factory.mktemp("log") / "log.txt") as converter:
        yield converter


@pytest.mark.slow
@pytest.mark.parametrize(("key", "trait"), ROWS)
def test_the_converter_refuses_the_layer(converter, tmp_path, key, trait):
    model = network(trait)
    assert trait in layer_types(model)
    contract = Contract(
        name="odd",
        task="image_regression",
        batch=1,
        inputs=(Image(name="image", dtype="float32", shape=SHAPE),),
        outputs=(Number(name="value", dtype="float32", shape=(2,)),),
        targets=(),
    )
    save_serving(ServingModel(model, contract), tmp_path / "serving")
    examples = np.random.default_rng(0).integers(0, 256, (8, *SHAPE)).astype("float32")
    np.savez(tmp_path / "calibration.npz", image=examples)
    with pytest.raises(ConversionError, match=r"not yet supported|crashed \(SIGSEGV\)"):
        converter.ask(
            do="convert",
            format=key,
            serving=str(tmp_path / "serving"),
            work=str(tmp_path),
            out=str(tmp_path / "out.tflite"),
            contract=contract.model_dump_json(),
            integer_type="uint8",
        )
