import pytest

from dltemplates.models.convolutional.convnet import convnet
from dltemplates.models.summary import summarize


def test_has_289_642_parameters():
    assert convnet((32, 32, 3), 10).count_params() == 289_642


@pytest.mark.parametrize("size", [8, 28, 32, 96, 224])
def test_takes_small_and_large_images(size):
    assert convnet((size, size, 3), 10).output_shape == (None, 10)


def test_five_stages_bring_224_pixels_down_to_14_at_half_the_cost_of_three():
    five = summarize(convnet((224, 224, 3), 10, filters=(16, 32, 64, 128, 256)))
    assert [row.output_shape for row in five.rows if row.kind == "ReLU"][-1] == (None, 14, 14, 256)
    assert five.macs < summarize(convnet((224, 224, 3), 10)).macs / 2


@pytest.mark.parametrize(("filters", "min_size"), [((8,), 2), ((8, 8, 8), 8), ((8, 8, 8, 8, 8), 32)])
def test_min_size_follows_from_the_stages(filters, min_size):
    assert convnet((min_size, min_size, 1), 10, filters=filters).output_shape == (None, 10)
    with pytest.raises(ValueError, match=f"at least {min_size}x{min_size}. Received: input_shape="):
        convnet((min_size - 1, min_size, 1), 10, filters=filters)
