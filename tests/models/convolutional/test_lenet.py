import numpy as np
import pytest

from dltemplates.models.convolutional.lenet import lenet5
from dltemplates.models.summary import summarize


@pytest.mark.parametrize("input_shape", [(28, 28, 1), (32, 32, 1)])
def test_has_61_706_parameters(input_shape):
    assert lenet5(input_shape, 10).count_params() == 61_706


def test_layers_have_the_figures_of_section_2b():
    rows = summarize(lenet5((32, 32, 1), 10)).rows
    shapes = [row.output_shape[1:] for row in rows]
    assert shapes == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120), (120,), (84,), (10,)]
    assert [row.parameters for row in rows if row.parameters] == [156, 2_416, 48_120, 10_164, 850]


def test_smaller_images_are_centred_in_zeros():
    whole, part = lenet5((32, 32, 1), 10), lenet5((28, 27, 1), 10)
    part.set_weights(whole.get_weights())
    x = np.random.default_rng(0).random((2, 28, 27, 1)).astype("float32")
    padded = np.pad(x, ((0, 0), (2, 2), (2, 3), (0, 0)))
    np.testing.assert_allclose(part(x), whole(padded), rtol=1e-5, atol=1e-6)


def test_activation_is_that_of_the_paper_and_can_be_changed():
    for network, activation in (
        (lenet5((28, 28, 1), 10), "tanh"),
        (lenet5((28, 28, 1), 10, activation="relu"), "relu"),
    ):
        used = [layer.activation.__name__ for layer in network.layers if hasattr(layer, "kernel")]
        assert used == [activation] * 4 + ["linear"]


def test_min_size_builds():
    assert lenet5((8, 8, 3), 2).output_shape == (None, 2)


@pytest.mark.parametrize("input_shape", [(33, 32, 1), (28, 224, 3)])
def test_too_large_an_image_names_the_sizes_it_takes(input_shape):
    with pytest.raises(
        ValueError, match=r"takes images of 8x8 to 32x32. Received: .* Try 32x32 \(`dataset.images.size`"
    ):
        lenet5(input_shape, 10)
