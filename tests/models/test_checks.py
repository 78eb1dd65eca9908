import numpy as np
import pytest

from dltemplates.models import checks


@pytest.mark.parametrize(
    "input_shape", [(28, 28), (28, 28, 1, 1), (28, None, 1), (28, 0, 1), (28.0, 28, 1), ("a", 8, 1)]
)
def test_an_image_has_three_positive_sizes(input_shape):
    with pytest.raises(ValueError, match=r"`lenet5` takes images, \(height, width, channels\). Received: .* Try"):
        checks.check_image_shape("lenet5", input_shape, least=8)


@pytest.mark.parametrize("channels", [2, 5])
def test_an_image_has_1_3_or_4_channels(channels):
    with pytest.raises(ValueError, match=rf"1 \(grey\), 3 \(RGB\) or 4 \(RGBA\) channels. Received: .*{channels}\)"):
        checks.check_image_shape("lenet5", (28, 28, channels), least=8)


def test_numpy_sizes_are_sizes():
    checks.check_image_shape("lenet5", tuple(np.array([28, 28, 1])), least=28, most=28)
    checks.check_num_outputs(np.int64(3))


@pytest.mark.parametrize("num_outputs", [0, -1, 2.5, "3", None, True])
def test_outputs_are_counted(num_outputs):
    with pytest.raises(ValueError, match=r"`num_outputs` must be a positive number of classes or values. Received:"):
        checks.check_num_outputs(num_outputs)
