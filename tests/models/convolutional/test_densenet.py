import keras
import pytest

from dltemplates.models.convolutional.densenet import densenet121
from dltemplates.models.summary import summarize, without_weights


@pytest.mark.parametrize(
    ("depth", "blocks", "trainable", "macs"),
    [
        (121, (6, 12, 24, 16), 7_978_856, 2_834_161_664),
        pytest.param(169, (6, 12, 32, 32), 14_149_480, 3_359_843_328, marks=pytest.mark.slow),
        pytest.param(201, (6, 12, 48, 32), 20_013_928, 4_291_365_888, marks=pytest.mark.slow),
    ],
)
def test_parameters_macs_and_layers_are_those_of_the_paper(depth, blocks, trainable, macs):
    network = without_weights(lambda: densenet121((224, 224, 3), 1000, blocks=blocks))
    summary = summarize(network)
    assert (summary.trainable, summary.macs) == (trainable, macs)
    assert len([layer for layer in network.layers if hasattr(layer, "kernel")]) == depth


@pytest.mark.slow
def test_it_is_that_of_keras_with_the_same_weights(assert_twins):
    theirs = keras.applications.DenseNet121(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    assert_twins(densenet121((64, 64, 3), 10), theirs)


def test_each_layer_adds_maps_to_all_before_and_a_transition_halves_both():
    rows = summarize(without_weights(lambda: densenet121((64, 96, 3), 10, growth_rate=8, blocks=(2, 1, 1)))).rows
    shapes = [row.output_shape[1:] for row in rows if row.kind in ("Concatenate", "AveragePooling2D")]
    assert shapes == [(16, 24, 24), (16, 24, 32), (8, 12, 16), (8, 12, 24), (4, 6, 12), (4, 6, 20)]


@pytest.mark.parametrize(("blocks", "min_size"), [((1,), 4), ((1, 1, 1, 1), 32), ((1, 1, 1, 1, 1), 64)])
def test_the_min_size_leaves_one_place_and_is_named(blocks, min_size):
    network = without_weights(lambda: densenet121((min_size, min_size, 1), 3, growth_rate=4, blocks=blocks))
    assert [row.output_shape[1:3] for row in summarize(network).rows if row.kind == "Concatenate"][-1] == (1, 1)
    with pytest.raises(
        ValueError, match=rf"`densenet121` needs images of at least {min_size}x{min_size}. Received: .*Try"
    ):
        densenet121((min_size, min_size - 1, 1), 3, blocks=blocks)
