import keras
import pytest

from dltemplates.models.mobile.efficientnet import efficientnet_b0, efficientnet_lite0
from dltemplates.models.summary import summarize

BUILDERS = [efficientnet_b0, efficientnet_lite0]
SMALL = {"width": 0.1, "depth": 0.1}  # 8 filters and one block per stage


@pytest.mark.parametrize(
    ("builder", "trainable", "parameters", "macs"),
    [
        (efficientnet_b0, 5_288_548, 5_330_564, 385_814_752),
        (efficientnet_lite0, 4_652_008, 4_694_024, 385_187_552),
    ],
)
def test_figures_of_the_paper(builder, trainable, parameters, macs):
    summary = summarize(builder((224, 224, 3), 1000))
    assert (summary.trainable, summary.parameters, summary.macs) == (trainable, parameters, macs)


@pytest.mark.parametrize(
    ("name", "width", "depth"),
    [
        ("EfficientNetB0", 1.0, 1.0),
        pytest.param("EfficientNetB1", 1.0, 1.1, marks=pytest.mark.slow),
        pytest.param("EfficientNetB4", 1.4, 1.8, marks=pytest.mark.slow),
    ],
)
def test_it_is_that_of_keras_with_the_same_weights(assert_twins, name, width, depth):
    shape = (75, 64, 3)  # odd and even maps, which are padded differently
    assert_twins(
        efficientnet_b0(shape, 10, width=width, depth=depth),
        getattr(keras.applications, name)(input_shape=shape, weights=None, classes=10, classifier_activation=None),
        their_scale=255,  # theirs divides by it
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "depth", "millions"), [(1.0, 1.1, 5.4), (1.1, 1.2, 6.1), (1.2, 1.4, 8.2), (1.4, 1.8, 13.0)]
)
def test_larger_lites_have_the_parameters_that_their_authors_write(width, depth, millions):
    summary = summarize(efficientnet_lite0((32, 32, 3), 1000, width=width, depth=depth))
    assert round(summary.trainable / 1e6, 1) == millions


def test_lite_keeps_its_ends_as_they_are():
    network = efficientnet_lite0((32, 32, 3), 3, width=0.1, depth=1.1)
    kernels = [tuple(layer.kernel.shape) for layer in network.layers if hasattr(layer, "kernel")]
    assert kernels[0] == (3, 3, 3, 32)
    assert kernels[-2:] == [(1, 1, 32, 1280), (1280, 3)]
    depthwise = [shape for shape in kernels if shape[0] > 1 and shape[-1] == 1]
    assert len(depthwise) == 1 + 3 + 3 + 4 + 4 + 5 + 1


def test_lite_has_what_integers_do_well_alone():
    found = efficientnet_lite0((32, 32, 3), 3, **SMALL).layers
    assert not [layer for layer in found if isinstance(layer, (keras.layers.Multiply, keras.layers.Activation))]
    assert {layer.max_value for layer in found if isinstance(layer, keras.layers.ReLU)} == {6.0}


def test_deeper_blocks_are_left_out_more_often():
    dropouts = [
        layer for layer in efficientnet_b0((32, 32, 3), 3, width=0.5).layers if isinstance(layer, keras.layers.Dropout)
    ]
    rates = [layer.rate for layer in dropouts if layer.noise_shape is not None]
    around = [2, 4, 6, 7, 9, 10, 12, 13, 14]  # of the 16 blocks, those with a shortcut
    assert rates == pytest.approx([0.2 * block / 16 for block in around])
    without = efficientnet_b0((32, 32, 3), 3, **SMALL, stochastic_depth_rate=0.0).layers
    assert len([layer for layer in without if isinstance(layer, keras.layers.Dropout)]) == 1


@pytest.mark.parametrize("builder", BUILDERS)
def test_at_the_least_size_every_stride_still_halves(builder):
    rows = summarize(builder((17, 17, 1), 3, **SMALL)).rows
    maps = [row.output_shape[1] for row in rows if row.kind == "DepthwiseConv2D"]
    assert maps == [9, 5, 3, 2, 2, 1, 1]
