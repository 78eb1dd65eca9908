import keras
import pytest

from dltemplates.models.mobile.mobilenet_v2 import mobilenet_v2
from dltemplates.models.summary import summarize


def test_paper_has_3_5_million_parameters_and_300_million_macs():
    summary = summarize(mobilenet_v2((224, 224, 3), 1000))
    assert summary.trainable == 3_504_872
    assert summary.parameters == 3_538_984
    assert summary.macs == 300_774_272


@pytest.mark.parametrize(
    "width", [1.0, *(pytest.param(width, marks=pytest.mark.slow) for width in (0.35, 0.5, 0.75, 1.3, 1.4))]
)
def test_it_is_that_of_keras_with_the_same_weights(assert_twins, width):
    shape = (75, 64, 3)  # odd and even maps, which are padded differently
    assert_twins(
        mobilenet_v2(shape, 10, width=width),
        keras.applications.MobileNetV2(shape, alpha=width, weights=None, classes=10, classifier_activation=None),
    )


def test_shortcuts_join_the_narrow_ends():
    rows = summarize(mobilenet_v2((224, 224, 3), 10)).rows
    sums = [row.output_shape[1:] for row in rows if row.kind == "Add"]
    narrow = [(56, 24), (28, 32), (28, 32), *[(14, 64)] * 3, *[(14, 96)] * 2, *[(7, 160)] * 2]
    assert sums == [(size, size, filters) for size, filters in narrow]


def test_at_the_least_size_every_stride_still_halves():
    rows = summarize(mobilenet_v2((17, 17, 1), 3, width=0.1)).rows
    maps = [row.output_shape[1] for row in rows if len(row.output_shape) == 4]
    assert list(dict.fromkeys(maps)) == [9, 5, 3, 2, 1]
