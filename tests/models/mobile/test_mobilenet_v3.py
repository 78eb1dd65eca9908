import itertools

import keras
import pytest

from dltemplates.models.mobile.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from dltemplates.models.summary import summarize

BUILDERS = [mobilenet_v3_small, mobilenet_v3_large]
TWINS = {
    mobilenet_v3_small: keras.applications.MobileNetV3Small,
    mobilenet_v3_large: keras.applications.MobileNetV3Large,
}


@pytest.mark.parametrize(
    ("builder", "trainable", "parameters", "macs"),
    [
        (mobilenet_v3_small, 2_542_856, 2_554_968, 56_510_400),
        (mobilenet_v3_large, 5_483_032, 5_507_432, 216_589_760),
    ],
)
def test_figures_of_the_paper(builder, trainable, parameters, macs):
    summary = summarize(builder((224, 224, 3), 1000))
    assert (summary.trainable, summary.parameters, summary.macs) == (trainable, parameters, macs)


@pytest.mark.parametrize(
    ("builder", "width"),
    [
        (mobilenet_v3_small, 1.0),
        *(
            pytest.param(builder, width, marks=pytest.mark.slow)
            for builder, width in itertools.product(BUILDERS, (0.35, 0.75, 1.0, 1.25))
        ),
    ],
)
def test_it_is_that_of_keras_with_the_same_weights(assert_twins, builder, width):
    shape = (75, 64, 3)  # odd and even maps, which are padded differently
    theirs = TWINS[builder](
        shape, alpha=width, weights=None, classes=10, classifier_activation=None, include_preprocessing=False
    )
    assert_twins(builder(shape, 10, width=width), theirs)


@pytest.mark.parametrize(("builder", "excited", "smooth"), [(mobilenet_v3_small, 9, 19), (mobilenet_v3_large, 8, 21)])
def test_tables_say_where_channels_are_weighed_and_activations_smooth(builder, excited, smooth):
    network = builder((32, 32, 3), 3)
    assert len([layer for layer in network.layers if isinstance(layer, keras.layers.Multiply)]) == excited
    names = [layer.activation.__name__ for layer in network.layers if isinstance(layer, keras.layers.Activation)]
    assert names == ["hard_silu"] * smooth  # a gate is in its convolution


@pytest.mark.parametrize("builder", BUILDERS)
def test_at_the_least_size_every_stride_still_halves(builder):
    rows = summarize(builder((17, 17, 1), 3, width=0.1)).rows
    maps = [row.output_shape[1] for row in rows if row.kind == "DepthwiseConv2D"]
    assert rows[0].output_shape[1] == 9
    assert list(dict.fromkeys([9, *maps])) == [9, 5, 3, 2, 1]
