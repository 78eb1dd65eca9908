import numpy as np
import pytest

from dltemplates.models.convolutional.convmixer import convmixer
from dltemplates.models.summary import summarize, without_weights

TINY = {"filters": 8, "depth": 2, "kernel_size": 3, "patch_size": 4}


def test_1024_20_has_24_4_million_trainable_parameters_and_5_9_billion_macs():
    summary = summarize(without_weights(lambda: convmixer((224, 224, 3), 1000)))
    assert summary.trainable == 24_383_464
    assert summary.macs == 5_948_547_072


@pytest.mark.parametrize(
    ("filters", "depth", "kernel_size", "trainable"), [(768, 32, 7, 21_110_248), (1536, 20, 9, 51_625_960)]
)
def test_the_papers_others_have_their_parameters(filters, depth, kernel_size, trainable):
    options = {"filters": filters, "depth": depth, "kernel_size": kernel_size, "patch_size": 7}
    assert summarize(without_weights(lambda: convmixer((224, 224, 3), 1000, **options))).trainable == trainable


def test_resolution_and_width_stay_from_the_patches_to_the_end():
    rows = summarize(convmixer((32, 24, 3), 10, **TINY)).rows
    assert {row.output_shape for row in rows[:-2]} == {(None, 8, 6, 8)}
    assert [row.kind for row in rows].count("DepthwiseConv2D") == 2


def test_block_normalizes_after_the_activation_and_has_its_shortcut_around_the_depthwise_part():
    kinds = [row.kind for row in summarize(convmixer((8, 8, 3), 10, **{**TINY, "depth": 1})).rows]
    after = ["Activation", "BatchNormalization"]
    block = ["DepthwiseConv2D", *after, "Add", "Conv2D", *after]
    assert kinds == ["Conv2D", *after, *block, "GlobalAveragePooling2D", "Dense"]
    network = convmixer((8, 8, 3), 10, **{**TINY, "depth": 1})
    (add,) = [layer for layer in network.layers if type(layer).__name__ == "Add"]
    (depthwise,) = [layer for layer in network.layers if type(layer).__name__ == "DepthwiseConv2D"]
    assert add.input[0] is depthwise.input


def test_every_patch_is_seen_alone_before_the_blocks_mix_them():
    network = convmixer((8, 8, 3), 10, **TINY)
    x = np.zeros((1, 8, 8, 3), "float32")
    x[:, :4, :4] = 1
    embedded = np.abs(network.layers[1](x) - network.layers[1](0 * x)).sum(axis=(0, 3))
    assert embedded[0, 0] > 0
    assert embedded.sum() == embedded[0, 0]


def test_one_patch_is_enough():
    assert convmixer((4, 4, 1), 3, **TINY).output_shape == (None, 3)
