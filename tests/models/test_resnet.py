import keras
import numpy as np
import pytest

from dltemplates.models import resnet
from dltemplates.models.resnet import resnet8, resnet20
from dltemplates.models.summary import summarize


def test_resnet8_has_78_666_parameters_and_12_5_million_macs():
    summary = summarize(resnet8((32, 32, 3), 10))
    assert summary.parameters == 78_666
    assert summary.macs == 12_501_632


def test_resnet20_has_269_722_trainable_parameters_and_40_55_million_macs():
    summary = summarize(resnet20((32, 32, 3), 10))
    assert summary.trainable == 269_722
    assert summary.macs == 40_551_040


@pytest.mark.parametrize(("builder", "depth"), [(resnet8, 8), (resnet20, 20)])
def test_name_counts_the_layers_with_weights_but_for_the_shortcuts(builder, depth):
    kernels = [layer.kernel.shape for layer in builder((32, 32, 3), 10).layers if hasattr(layer, "kernel")]
    assert len([shape for shape in kernels if shape[:2] != (1, 1)]) == depth


@pytest.mark.parametrize("builder", [resnet8, resnet20])
def test_stages_halve_the_map_and_double_the_filters(builder):
    sums = [row.output_shape[1:] for row in summarize(builder((32, 32, 3), 10)).rows if row.kind == "Add"]
    assert list(dict.fromkeys(sums)) == [(32, 32, 16), (16, 16, 32), (8, 8, 64)]


def test_convolutions_have_a_bias_in_resnet8_alone():
    for builder, use_bias in ((resnet8, True), (resnet20, False)):
        found = {layer.use_bias for layer in builder((8, 8, 3), 10).layers if isinstance(layer, keras.layers.Conv2D)}
        assert found == {use_bias}


def test_padded_shortcut_takes_every_second_pixel_and_adds_zero_channels():
    inputs = keras.Input((5, 4, 2))
    shortcut = keras.Model(inputs, resnet.pad(inputs, 5, strides=2))
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype("float32")
    y = keras.ops.convert_to_numpy(shortcut(x))
    assert y.shape == (3, 3, 2, 5)
    np.testing.assert_array_equal(y[..., 1:3], x[:, ::2, ::2])
    np.testing.assert_array_equal(y[..., [0, 3, 4]], 0)


@pytest.mark.parametrize("builder", [resnet8, resnet20])
def test_odd_sizes_fit(builder):
    assert builder((9, 11, 1), 3).output_shape == (None, 3)


@pytest.mark.parametrize("builder", [resnet8, resnet20])
def test_too_small_an_image_names_the_least_size(builder):
    with pytest.raises(
        ValueError, match=rf"`{builder.__name__}` needs images of at least 8x8. Received: .*Try a larger"
    ):
        builder((8, 7, 3), 10)


@pytest.mark.parametrize("builder", [resnet8, resnet20])
def test_outputs_must_be_positive(builder):
    with pytest.raises(ValueError, match="`num_outputs` must be a positive number"):
        builder((8, 8, 3), 0)
