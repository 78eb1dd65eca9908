"""The lookup of categories inside a network."""

import numpy as np
import tensorflow as tf

from dltemplates.tasks.serving.string_lookup import CategoryLookup


def test_a_column_whose_categories_are_all_rare_has_id_0():
    texts = tf.constant([["red", "Ann"], ["blue", ""], ["", "red"]])
    lookup = CategoryLookup([("blue", "red"), ()])
    np.testing.assert_array_equal(lookup(texts), [[2, 0], [1, 0], [0, 0]])
