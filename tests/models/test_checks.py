import re

import numpy as np
import pytest

from dltemplates.models import checks


@pytest.mark.parametrize(
    "input_shape", [(28, 28), (28, 28, 1, 1), (28, None, 1), (28, 0, 1), (28.0, 28, 1), ("a", 8, 1)]
)
def test_an_image_has_three_positive_sizes(input_shape):
    with pytest.raises(ValueError, match=r"`lenet5` takes images, \(height, width, channels\). Received: .* Try"):
        checks.check_image_shape("lenet5", input_shape, min_size=8)


@pytest.mark.parametrize("channels", [2, 5])
def test_an_image_has_1_3_or_4_channels(channels):
    with pytest.raises(ValueError, match=rf"1 \(grey\), 3 \(RGB\) or 4 \(RGBA\) channels. Received: .*{channels}\)"):
        checks.check_image_shape("lenet5", (28, 28, channels), min_size=8)


def test_numpy_sizes_are_sizes():
    checks.check_image_shape("lenet5", tuple(np.array([28, 28, 1])), min_size=28, max_size=28)


@pytest.mark.parametrize(
    ("size", "way_out"),
    [
        ((32, 48), "Try 42x56 (`dataset.images.size`, or --input-shape), or `patch_size=8`."),
        ((28, 27), "Try 28x28 (`dataset.images.size`, or --input-shape)."),
        ((8, 14), "Try 14x14 (`dataset.images.size`, or --input-shape), or `patch_size=2`."),
    ],
)
def test_patches_leave_nothing_over(size, way_out):
    way_out = re.escape(way_out)
    with pytest.raises(ValueError, match=rf"`vit` cuts images into patches of 14x14: .* Received: .* {way_out}$"):
        checks.check_patches("vit", (*size, 3), 14)
    checks.check_patches("vit", (28, 14, 3), 14)
