import numpy as np

from dltemplates.layers import Saturation


def test_values_are_cut_in_training_alone():
    values = np.array([[-0.5, 0.0, 0.3], [1.0, 1.2, 7.0]], np.float32)
    np.testing.assert_array_equal(Saturation()(values, training=True), np.float32([[0, 0, 0.3], [1, 1, 1]]))
    np.testing.assert_array_equal(Saturation()(values, training=False), values)
    assert Saturation().compute_output_shape((None, 3)) == (None, 3)
