"""The examples of the part that reads the beginning of a text: beginnings of all lengths that it can read."""

import keras
import numpy as np

from conftest import spec_of
from dltemplates.datasets.source import ArraySource
from dltemplates.features import Tokens
from dltemplates.models.attention.gpt import gpt
from dltemplates.tasks.language_modeling import LanguageModeling
from dltemplates.tasks.scoring.decoding import PROMPT
from dltemplates.tasks.serving.serving_examples import part_examples
from dltemplates.template import load_template


def test_a_prompt_is_a_beginning_of_a_text():
    length = PROMPT + 4
    text = Tokens(name="text", dtype="int32", shape=(length,), tokenizer="characters", vocabulary=tuple("abcde"))
    spec = spec_of(text.model_copy(update={"name": "next"}), inputs=(text,))
    network = gpt(length, text.vocabulary_size, units=8, depth=1, num_heads=2)
    model = keras.Model(network.inputs, network.outputs, name="gpt")
    template = load_template("gpt_shakespeare")
    prefill = LanguageModeling(spec).serve(model, spec, template, name="gpt")["prefill"]
    ids = np.random.default_rng(0).integers(4, 9, (PROMPT + 2, length)).astype(np.int32)
    (value,) = prefill.contract.inputs
    given = part_examples(prefill, "test", ArraySource({"tokens": ids, "text": ids})).read(np.arange(len(ids)))
    assert value.shape == (PROMPT,)
    beginnings = given[value.name]
    assert (beginnings.shape, beginnings.dtype) == ((PROMPT + 2, PROMPT), np.int32)
    assert np.count_nonzero(beginnings, axis=1).tolist() == [*range(1, PROMPT + 1), 1, 2]
    np.testing.assert_array_equal(beginnings[PROMPT - 1], ids[PROMPT - 1, :PROMPT])
    assert (prefill.model(beginnings)["position"][:, 0] == np.count_nonzero(beginnings, axis=1)).numpy().all()
