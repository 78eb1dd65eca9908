import keras
import pytest

from dltemplates.models.mobile.mobilenet_v1 import mobilenet_v1, mobilenet_v1_025
from dltemplates.models.summary import summarize

BUILDERS = [mobilenet_v1, mobilenet_v1_025]


def test_paper_has_4_2_million_parameters_and_569_million_macs():
    summary = summarize(mobilenet_v1((224, 224, 3), 1000))
    assert summary.trainable == 4_231_976
    assert summary.parameters == 4_253_864
    assert summary.macs == 568_740_352


def test_benchmark_has_221_794_parameters_and_7_49_million_macs():
    summary = summarize(mobilenet_v1_025((96, 96, 3), 2))
    assert summary.parameters == 221_794
    assert summary.macs == 7_489_664


def test_it_is_that_of_keras_with_the_same_weights(assert_twins):
    shape = (64, 96, 3)  # multiples of 32: at other sizes Keras pads more than the authors' code
    assert_twins(
        mobilenet_v1(shape, 10, width=0.5),
        keras.applications.MobileNet(shape, alpha=0.5, weights=None, classes=10, classifier_activation=None),
    )


def test_the_benchmark_has_biases_a_plain_rectifier_and_no_dropout():
    for builder, biases, highest, dropouts in (
        (mobilenet_v1, {False}, {6.0}, 1),
        (mobilenet_v1_025, {True}, {None}, 0),
    ):
        found = builder((32, 32, 3), 2).layers
        convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        assert {layer.use_bias for layer in found if isinstance(layer, convolutions)} == biases
        assert {layer.max_value for layer in found if isinstance(layer, keras.layers.ReLU)} == highest
        assert len([layer for layer in found if isinstance(layer, keras.layers.Dropout)]) == dropouts


@pytest.mark.parametrize("builder", BUILDERS)
def test_at_the_least_size_every_stride_still_halves(builder):
    rows = summarize(builder((17, 17, 1), 3)).rows
    maps = [row.output_shape[1] for row in rows if len(row.output_shape) == 4]
    assert list(dict.fromkeys(maps)) == [9, 5, 3, 2, 1]


@pytest.mark.parametrize(("width", "nearest"), [(0.3, "0.25"), (0.1, "0.25"), (0.9, "1.0"), (1.1, "1.0")])
def test_a_width_that_leaves_no_multiple_of_8_names_the_nearest(width, nearest):
    with pytest.raises(ValueError, match=rf"multiple of 8 filters.* Received: width={width}. Try {nearest}\.$"):
        mobilenet_v1((32, 32, 3), 10, width=width)
