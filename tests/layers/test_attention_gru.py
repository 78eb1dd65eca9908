"""The attention of a recurrent cell: its weights give the context, and padding has none."""

import keras
import numpy as np

from dltemplates.layers.attention_gru import AttentionGRUCell


def test_its_weights_give_the_context():
    keras.utils.set_random_seed(0)
    cell, random = AttentionGRUCell(4, 6), np.random.default_rng(0)
    cell.build((None, 3))
    x, state, memory, keys = (
        random.normal(size=shape).astype(np.float32) for shape in ((2, 3), (2, 4), (2, 5, 6), (2, 5, 4))
    )
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], np.float32)
    weights = np.asarray(cell.attention_weights(state, keys, mask))
    assert weights.shape == (2, 5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert (weights[1, 2:] == 0).all()
    assert np.ptp(weights[0]) > 0.01
    output, (after, *_) = cell(x, [state, memory, keys, mask])
    np.testing.assert_allclose(output[:, 4:], (weights[:, None] @ memory)[:, 0], atol=1e-6)
    np.testing.assert_array_equal(output[:, :4], after)
