"""Figures of attention: the weights of the last attention, the names of the tokens, and the texts that are shown."""

import keras
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from conftest import spec_of
from dltemplates.compat import flatten_layers
from dltemplates.datasets.source import ArraySource
from dltemplates.features import ClassId, Tokens
from dltemplates.features.tokens import END, UNKNOWN
from dltemplates.figures import attention
from dltemplates.figures.attention import attention_figures, last_attention, maps_figure, shaded_texts_figure
from dltemplates.layers import MaskedAttention
from dltemplates.models.attention.gpt import gpt
from dltemplates.models.attention.transformer import transformer
from dltemplates.models.attention.transformer_encoder import transformer_encoder
from dltemplates.models.convolutional.textcnn import textcnn
from dltemplates.models.recurrent.seq2seq import seq2seq
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.language_modeling import LanguageModeling
from dltemplates.tasks.text_to_text import TextToText

VOCABULARY = ("a", "뛰", " ", "\n", "$")
SIZE = 4 + len(VOCABULARY)
TINY = {"units": 8, "depth": 2, "num_heads": 2}


def ids(count, length, seed=0):
    """Return random ids, each row with some padding but the first."""
    random = np.random.default_rng(seed)
    lengths = random.integers(2, length, (count, 1), endpoint=True)
    lengths[0] = length
    return np.where(np.arange(length) < lengths, random.integers(4, SIZE, (count, length)), 0).astype(np.int32)


def tokens(name, length=6, **options):
    options = {"tokenizer": "characters", "vocabulary": VOCABULARY} | options
    return Tokens(name=name, dtype="int32", shape=(length,), **options)


@pytest.fixture(scope="module")
def translator():
    keras.utils.set_random_seed(0)
    return transformer(SIZE, hidden=16, **TINY)


@pytest.fixture(scope="module")
def recurrent():
    keras.utils.set_random_seed(0)
    return seq2seq(SIZE, embedding_dim=8, units=8)


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    return transformer_encoder(SIZE, 2, **TINY)


@pytest.mark.parametrize(("name", "heads"), [("translator", 2), ("recurrent", 1)])
def test_a_translator_shows_its_attention_to_the_source(request, name, heads):
    source, target = ids(3, 6), ids(3, 5, seed=1)
    weights = last_attention(request.getfixturevalue(name), {"source": source, "target": target})
    assert weights.shape == (3, heads, 5, 6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    padding = np.broadcast_to((source == 0)[:, None, None], weights.shape)
    assert padding.any()
    assert (weights[padding] == 0).all()
    assert weights.std(axis=-1).max() > 1e-3


def test_the_last_attention_is_that_of_the_last_block(translator):
    source, target = ids(3, 6), ids(3, 5, seed=1)
    before = last_attention(translator, {"source": source, "target": target})
    crossing = [
        layer for layer in flatten_layers(translator.get_layer("decoder")) if isinstance(layer, MaskedAttention)
    ]
    last = [layer for layer in crossing if not layer.causal][-1]
    kernel = np.array(last.query_dense.kernel)
    last.query_dense.kernel.assign(0 * kernel)
    last.query_dense.bias.assign(0 * last.query_dense.bias)
    after = last_attention(translator, {"source": source, "target": target})
    last.query_dense.kernel.assign(kernel)
    np.testing.assert_allclose(after[0], 1 / 6, atol=1e-6)  # no query, no preference
    assert np.abs(before[0] - 1 / 6).max() > 1e-3


def test_the_weights_of_a_recurrent_network_are_those_of_each_step(recurrent):
    """A step's context is the weighted sum of the memory."""
    source, target = ids(3, 6), ids(3, 5, seed=1)
    weights = last_attention(recurrent, {"source": source, "target": target})
    embedding, encoder = recurrent.get_layer("embedding"), recurrent.get_layer("encoder")
    is_token = keras.ops.convert_to_tensor(source != 0)
    given = encoder([embedding(source), is_token])
    states = [given["state"], given["memory"], given["keys"], keras.ops.cast(is_token, "float32")]
    layer = recurrent.get_layer("decoder").get_layer("attention_gru")
    context = layer(embedding(target), initial_state=states)[:, :, 8:]
    np.testing.assert_allclose(weights[:, 0] @ np.asarray(given["memory"]), context, atol=1e-5)


def test_a_network_that_continues_texts_looks_back_only():
    weights = last_attention(gpt(8, SIZE, **TINY), ids(1, 8))
    assert weights.shape == (1, 2, 8, 8)
    assert (np.triu(weights, 1) == 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_a_network_without_attention_has_no_figure():
    assert last_attention(textcnn(SIZE, 2), ids(2, 8)) is None


def test_the_map_of_a_translation_names_the_tokens_of_both_sides(translator):
    task = TextToText(spec_of(tokens("target"), inputs=(tokens("source"),)), score="exact")
    source, written = np.array([[5, 6, 8, UNKNOWN, 0, 0]] * 2, np.int32), np.array([[4, 7, END, 0, 0, 0]] * 2, np.int32)
    evaluation = task.compare({"source": source, "target": written}, {"text": written})
    (figure,) = attention_figures(translator, task, ArraySource({}), evaluation).values()
    maps = [axes for axes in figure.axes if axes.get_title(loc="center") == "" and len(axes.images)]
    assert len(maps) == 2
    for axes in maps:
        assert axes.images[0].get_array().shape == (3, 4)
        assert [label.get_text() for label in axes.get_xticklabels()] == ["뛰", "␣", "$", "\N{REPLACEMENT CHARACTER}"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "↵", "<end>"]
        assert not any(label.get_parse_math() for label in axes.get_xticklabels())  # `$` begins no formula


def test_texts_that_fit_are_chosen(monkeypatch):
    monkeypatch.setattr(attention, "MAX_SIDE", 5)
    assert attention._of_length(np.array([9, 5, 6, 4, 3, 2, 9, 1])).tolist() == [1, 3, 5, 7]
    assert attention._of_length(np.array([9, 8, 7, 6, 2])).tolist() == [1, 2, 3, 4]


def test_subwords_are_named_without_the_mark_of_a_space():
    value = tokens("text", tokenizer="subwords", vocabulary=("\u2581the", "\u2581", "ing"))
    assert attention._labels(value, [4, 5, 6]) == ["the", "␣", "ing"]
    assert attention._tokens(value, [4, 5, 6, 0], 2) == [" the", " "]


def test_a_language_model_shows_the_heads_of_its_last_block():
    task = LanguageModeling(spec_of(tokens("next"), inputs=(tokens("text"),)))
    source = ArraySource({"text": ids(3, 6)})
    figures = attention_figures(gpt(6, SIZE, **TINY), task, source, evaluation=None)
    assert list(figures) == ["attention_to_past"]
    titles = [axes.get_title() for axes in figures["attention_to_past"].axes if axes.images]
    assert titles == ["head 1", "head 2"]


def test_a_classifier_shades_the_tokens_and_marks_mistakes(classifier):
    label = ClassId(name="label", dtype="int64", shape=(), classes=("bad", "good"))
    task = Classification(spec_of(label, inputs=(tokens("text"),)))
    text, truth = ids(5, 6), np.array([0, 0, 1, 1, 0])
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.8, 0.2], [0.6, 0.4]], np.float32)
    evaluation = task.compare({"label": truth}, {"probabilities": probabilities})
    figures = attention_figures(classifier, task, ArraySource({"text": text}), evaluation)
    assert list(figures) == ["attended_tokens"]
    (axes,) = figures["attended_tokens"].axes
    captions = [item for item in axes.texts if item.get_ha() == "left"]
    assert [item.get_text() for item in captions[:2]] == ["good 0.70, is bad", "bad 0.80, is good"][::-1]
    assert [item.get_color() for item in captions] == ["firebrick"] * 2 + ["black"] * 3
    assert len([patch for patch in axes.patches if isinstance(patch, Rectangle)]) == np.count_nonzero(text)


def test_other_networks_have_no_figure_of_attention(classifier):
    label = ClassId(name="label", dtype="int64", shape=(), classes=("bad", "good"))
    task = Classification(spec_of(label, inputs=(label.model_copy(update={"name": "features"}),)))
    assert attention_figures(classifier, task, ArraySource({}), None) == {}


def test_the_darkest_token_is_that_of_the_most_attention():
    figure = shaded_texts_figure([(["a", "bb", "뛰"], np.array([0.1, 0.6, 0.3]))], ["good"], np.array([False]), gap=1)
    patches = figure.axes[0].patches
    brightness = [sum(patch.get_facecolor()[:3]) for patch in patches]
    assert np.argsort(brightness).tolist() == [1, 2, 0]
    assert [patch.get_width() for patch in patches] == [1, 2, 2]  # a Korean syllable is twice as wide
    assert [patch.get_x() for patch in patches] == [1, 3, 6]


def test_a_long_text_is_broken_into_lines():
    words = ["word"] * 40
    figure = shaded_texts_figure([(words, np.full(40, 1 / 40))], [""], np.array([False]), gap=1)
    assert len({patch.get_y() for patch in figure.axes[0].patches}) == 2
    assert max(patch.get_x() + patch.get_width() for patch in figure.axes[0].patches) <= attention.LINE


def test_maps_of_different_sizes_have_cells_of_one_size():
    sizes = [(2, 3), (4, 2), (5, 7)]
    maps = [(np.full(size, 0.5), ["word"] * size[0], ["word"] * size[1], "") for size in sizes]
    figure = maps_figure(maps)
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.images]
    cells = [np.diff(axes.transData.transform([(0, 0), (1, 0)])[:, 0])[0] for axes in panels]
    np.testing.assert_allclose(cells, cells[0], rtol=0.15)
    assert [axes.images[0].get_array().shape for axes in panels] == sizes
