"""The form of a served network that takes its categories as text, and looks up their ids by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dltemplates.features import Category
from dltemplates.tasks.serving.contract import ServingModel


class CategoryLookup(keras.layers.Layer):
    """The ids of categories: the place of each in the vocabulary of its column, from 1; 0 where it is not there.

    Text (batch, columns) to int32 (batch, columns). Each is compared with the whole vocabulary. A hash table, as
    Keras's `StringLookup` has, would be quicker, but LiteRT 2.3 fails on a single example where one stands in front of
    a network ("XNNPack delegate failed to reshape").
    """

    def __init__(self, vocabularies: Sequence[Sequence[str]], **options: Any):
        super().__init__(dtype="int32", autocast=False, **options)
        self.vocabularies = vocabularies

    def call(self, texts):
        ids = []
        for place, vocabulary in enumerate(self.vocabularies):
            is_it = tf.equal(texts[:, place : place + 1], tf.constant([list(vocabulary)]))  # (batch, categories)
            ids.append(tf.reduce_sum(tf.cast(is_it, tf.int32) * tf.range(1, len(vocabulary) + 1), axis=1))
        return tf.stack(ids, axis=1)

    def compute_output_spec(self, texts):
        return keras.KerasTensor(texts.shape, dtype="int32")


def with_string_inputs(serving: ServingModel) -> ServingModel:
    """Put the lookup of categories in front of a served network.

    Args:
        serving: A network that takes ids, int32 (batch, columns).

    Returns:
        The network that takes the text of each category, (batch, columns); one that is not known, or empty, has id 0.

    Raises:
        ValueError: If the network takes no categories.
    """
    contract = serving.contract
    ids = next((value for value in contract.inputs if isinstance(value, Category)), None)
    if ids is None:
        raise ValueError(
            "`strings` is for networks that take categories. Received: one that takes "
            f"{', '.join(value.kind for value in contract.inputs)}. Leave it out."
        )
    text = ids.model_copy(update={"dtype": "string"})
    values = tuple(text if value is ids else value for value in contract.inputs)
    inputs = {value.name: keras.Input(value.shape, name=value.name, dtype=value.dtype) for value in values}
    lookup = CategoryLookup([column.vocabulary for column in text.columns or ()], name="lookup")
    given = {**inputs, text.name: lookup(inputs[text.name])}
    outputs = serving.model(given if len(given) > 1 else given[text.name])
    model = keras.Model(inputs, outputs, name=serving.model.name)
    contract = contract.model_copy(update={"name": f"{contract.name}-strings", "inputs": values})
    return ServingModel(model, contract)
