"""Served networks with string inputs: they look up the ids of categories themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dltemplates.features import Category
from dltemplates.tasks.serving.contract import ServingModel


class CategoryLookup(keras.layers.Layer):
    """Look up category ids: the position of each in its column's vocabulary, from 1; 0 for unknown ones.

    Text (batch, columns) to int32 (batch, columns). Each text is compared with the whole vocabulary. A hash table, as
    in Keras's `StringLookup`, would be faster, but LiteRT 2.3 fails on a single example with a hash table in front of
    a network ("XNNPack delegate failed to reshape").
    """

    def __init__(self, vocabularies: Sequence[Sequence[str]], **options: Any):
        super().__init__(dtype="int32", autocast=False, **options)
        self.vocabularies = vocabularies

    def call(self, texts):
        ids = []
        for column, vocabulary in enumerate(self.vocabularies):
            numbers = list(range(1, len(vocabulary) + 1)) or [0]  # without categories, every text has id 0
            known = tf.constant([list(vocabulary) or [""]])
            matches = tf.equal(texts[:, column : column + 1], known)  # (batch, categories)
            ids.append(tf.reduce_sum(tf.cast(matches, tf.int32) * tf.constant(numbers), axis=1))
        return tf.stack(ids, axis=1)

    def compute_output_spec(self, texts):
        return keras.KerasTensor(texts.shape, dtype="int32")


def with_string_inputs(serving: ServingModel) -> ServingModel:
    """Put the lookup of categories in front of a served network.

    Args:
        serving: A network that takes ids, int32 (batch, columns).

    Returns:
        The network with string categories, (batch, columns); unknown and empty ones have id 0.

    Raises:
        ValueError: If the network has no category inputs.
    """
    contract = serving.contract
    ids = next((value for value in contract.inputs if isinstance(value, Category)), None)
    if ids is None:
        raise ValueError(
            "`string_inputs` is for networks with category inputs. Received: a network with inputs of kind "
            f"{', '.join(value.kind for value in contract.inputs)}. Leave it out."
        )
    text = ids.model_copy(update={"dtype": "string"})
    features = tuple(text if feature is ids else feature for feature in contract.inputs)
    inputs = {feature.name: keras.Input(feature.shape, name=feature.name, dtype=feature.dtype) for feature in features}
    lookup = CategoryLookup([column.vocabulary for column in text.columns or ()], name="lookup")
    id_inputs = {**inputs, text.name: lookup(inputs[text.name])}
    outputs = serving.model(id_inputs if len(id_inputs) > 1 else id_inputs[text.name])
    model = keras.Model(inputs, outputs, name=serving.model.name)
    contract = contract.model_copy(update={"name": f"{contract.name}-strings", "inputs": features})
    return ServingModel(model, contract)
