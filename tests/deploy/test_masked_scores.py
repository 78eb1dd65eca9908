"""Masked tokens of integer files: a score that leaves the others their resolution, and hides the tokens as before."""

import keras
import numpy as np
import pytest
from keras import layers

from dltemplates.compat import flatten_layers
from dltemplates.deploy.converters.convert import Converter
from dltemplates.deploy.formats.format import load_format
from dltemplates.deploy.masked_scores import INTEGER_SCORE, has_masked_scores, integer_scores
from dltemplates.deploy.part import Part
from dltemplates.features import Number
from dltemplates.models.attention.transformer import transformer
from dltemplates.models.recurrent.seq2seq import seq2seq
from dltemplates.tasks.serving.contract import Contract, ServingModel

MODELS = {
    "transformer": lambda: transformer(11, units=16, depth=1, num_heads=2, hidden=16),
    "seq2seq": lambda: seq2seq(11, units=8, embedding_dim=8),
}


def scores(model):
    return {layer.masked_score for layer in flatten_layers(model) if hasattr(layer, "masked_score")}


@pytest.mark.parametrize("name", MODELS)
def test_masked_tokens_stay_hidden(name):
    keras.utils.set_random_seed(0)
    model, random = MODELS[name](), np.random.default_rng(0)
    model.set_weights([weight + random.normal(scale=0.2, size=weight.shape) for weight in model.get_weights()])
    given = {key: random.integers(4, 11, (3, 6)).astype("int32") for key in ("source", "target")}
    padded = given | {"source": np.pad(given["source"], ((0, 0), (0, 3)))}
    expected = np.asarray(model(given))
    with integer_scores(model):
        assert scores(model) == {INTEGER_SCORE}
        np.testing.assert_allclose(model(padded), expected, atol=1e-5)
    assert scores(model) == {-1e9}
    assert np.ptp(expected, axis=0).max() > 0.1


def test_scores_are_set_back_after_an_error():
    model = MODELS["transformer"]()
    with pytest.raises(RuntimeError, match="stop"), integer_scores(model):
        raise RuntimeError("stop")
    assert scores(model) == {-1e9}


def part_of(layer, folder):
    """Return a part with one layer on six tokens of eight numbers."""
    tokens = keras.Input((6, 8), name="tokens")
    feature = Number(name="tokens", dtype="float32", shape=(6, 8))
    contract = Contract(
        name="tiny",
        task="parity",
        inputs=(feature,),
        outputs=(feature.model_copy(update={"name": "values"}),),
        targets=(),
    )
    model = keras.Model(tokens, {"values": layer(tokens)})
    return Part("", ServingModel(model, contract), Converter(folder / "log"), folder, folder)


def test_only_calibrated_formats_have_the_score(tmp_path):
    from dltemplates.layers import MaskedAttention

    part = part_of(MaskedAttention(2, causal=True), tmp_path)
    works = {key: part.job(load_format(key))["work"] for key in ("tflite:float32", "tflite:dynamic", "tflite:int8")}
    assert works["tflite:float32"] == works["tflite:dynamic"] != works["tflite:int8"]
    assert part.job(load_format("onnx:int8"))["work"] == works["tflite:int8"]


def test_a_network_without_attention_has_one_form(tmp_path):
    part = part_of(layers.Dense(8), tmp_path)
    assert not has_masked_scores(part.serving.model)
    assert part.job(load_format("tflite:int8"))["work"] == part.job(load_format("tflite:float32"))["work"]
