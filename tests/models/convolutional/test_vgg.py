import inspect

import keras
import pytest

from dltemplates.models.convolutional.vgg import vgg11, vgg13, vgg16, vgg19
from dltemplates.models.summary import summarize

BUILDERS = [vgg11, vgg13, vgg16, vgg19]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("builder", "parameters", "macs"),
    [
        (vgg11, 132_863_336, 7_609_090_048),
        (vgg13, 133_047_848, 11_308_466_176),
        (vgg16, 138_357_544, 15_470_264_320),
        (vgg19, 143_667_240, 19_632_062_464),
    ],
)
def test_parameters_of_the_paper(builder, parameters, macs):
    summary = summarize(builder((224, 224, 3), 1000))
    assert summary.parameters == parameters
    assert summary.macs == macs


@pytest.mark.parametrize(("builder", "depth"), [(vgg11, 11), (vgg13, 13), (vgg16, 16), (vgg19, 19)])
def test_name_counts_the_layers_with_weights(builder, depth):
    rows = summarize(builder((32, 32, 3), 10, width=0.1)).rows
    assert len([row for row in rows if row.parameters]) == depth


@pytest.mark.parametrize(
    ("builder", "stages"),
    [(vgg11, (1, 1, 2, 2, 2)), (vgg13, (2,) * 5), (vgg16, (2, 2, 3, 3, 3)), (vgg19, (2, 2, 4, 4, 4))],
)
def test_stages_are_those_of_table_1(builder, stages):
    rows = summarize(builder((64, 96, 3), 10, width=0.125)).rows
    shapes = [row.output_shape[1:] for row in rows if row.kind == "Conv2D"]
    expected = []
    for stage, (filters, repeats) in enumerate(zip((8, 16, 32, 64, 64), stages, strict=True)):
        expected += [(64 >> stage, 96 >> stage, filters)] * repeats
    assert shapes == expected
    assert [row.output_shape for row in rows if row.kind == "MaxPooling2D"][-1] == (None, 2, 3, 64)
    assert [row.output_shape[1] for row in rows if row.kind == "Dense"] == [512, 512, 10]


@pytest.mark.parametrize("name", ["VGG16", "VGG19"])
def test_it_is_that_of_keras_with_the_same_weights(assert_twins, name):
    shape = (33, 64, 3)
    theirs = getattr(keras.applications, name)(input_shape=shape, weights=None, classes=10, classifier_activation=None)
    assert_twins({"VGG16": vgg16, "VGG19": vgg19}[name](shape, 10), theirs)


@pytest.mark.parametrize("builder", BUILDERS)
def test_siblings_take_the_same(builder):
    ours, first = (inspect.signature(function).parameters for function in (builder, vgg16))
    assert list(ours) == list(first)
    for name, parameter in ours.items():
        assert parameter.default == (builder.__name__ if name == "name" else first[name].default)
