import keras
import pytest
from keras import layers

from dltemplates.models.lenet import lenet5
from dltemplates.models.summary import describe, summarize


def one_layer(layer, input_shape):
    inputs = keras.Input(input_shape)
    return summarize(keras.Model(inputs, layer(inputs)))


@pytest.mark.parametrize(
    ("layer", "input_shape", "macs"),
    [
        (layers.Dense(3), (5,), 15),
        (layers.Dense(3), (7, 5), 7 * 15),
        (layers.Conv1D(4, 3, padding="same"), (10, 2), 10 * 3 * 2 * 4),
        (layers.Conv2D(4, 3, strides=2, padding="same"), (8, 6, 2), 4 * 3 * 9 * 2 * 4),
        (layers.Conv2D(4, 3, groups=2, padding="valid"), (8, 8, 2), 36 * 9 * 1 * 4),
        (layers.Conv3D(2, 2, padding="valid"), (3, 3, 3, 1), 8 * 8 * 2),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), (8, 8, 3), 64 * 9 * 3 * 2),
        (layers.SeparableConv2D(5, 3, padding="same"), (8, 8, 3), 64 * (9 * 3 + 3 * 5)),
        (layers.Conv2DTranspose(5, 4, strides=2, padding="same"), (8, 8, 3), 64 * 16 * 3 * 5),
        (layers.Conv1D(4, 3, padding="same"), (None, 2), 3 * 2 * 4),
        (layers.ReLU(), (8, 8, 3), 0),
        (layers.BatchNormalization(), (8, 8, 3), 0),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else None,
)
def test_multiply_accumulates(layer, input_shape, macs):
    assert one_layer(layer, input_shape).macs == macs


def test_channels_first_counts_the_same():
    last = one_layer(layers.Conv2D(4, 3, padding="valid"), (8, 8, 2))
    first = one_layer(layers.Conv2D(4, 3, padding="valid", data_format="channels_first"), (2, 8, 8))
    assert first.macs == last.macs > 0


def test_totals_and_bytes():
    summary = one_layer(layers.BatchNormalization(), (8, 8, 3))
    assert (summary.parameters, summary.trainable) == (12, 6)
    assert summary.bytes == {"float32": 48, "float16": 24, "int8": 12}


def test_nested_model_is_walked():
    network = lenet5((28, 28, 1), 10)
    inputs = keras.Input((28, 28, 1))
    outer = summarize(keras.Model(inputs, layers.Softmax()(network(inputs))))
    inner = summarize(network)
    assert (outer.parameters, outer.macs) == (inner.parameters, inner.macs) == (61_706, 416_520)
    assert [row.name for row in outer.rows[:-1]] == [f"lenet5/{row.name}" for row in inner.rows]


@pytest.mark.parametrize("nested", [False, True])
def test_shared_layer_works_twice_and_weighs_once(nested):
    dense = layers.Dense(3)
    if nested:
        dense = keras.Sequential([keras.Input((5,)), dense])
    left, right = keras.Input((5,)), keras.Input((5,))
    summary = summarize(keras.Model([left, right], layers.Add()([dense(left), dense(right)])))
    assert (summary.parameters, summary.macs) == (18, 30)


def test_layers_of_a_subclassed_model_have_no_shape():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat = layers.Flatten()

        def call(self, x):
            return self.flat(x)

    network = Own()
    network(keras.ops.zeros((1, 2, 2)))
    (row,) = summarize(network).rows
    assert (row.kind, row.output_shape, row.macs) == ("Flatten", None, 0)
    assert "?" in describe(summarize(network))


def test_description_has_every_layer_and_the_totals():
    text = describe(summarize(lenet5((28, 28, 1), 10)))
    for part in (
        "32 x 32 x 1",
        "AveragePooling2D",
        "48,120",
        "lenet5: 9 layers",
        "61,706 (61,706 trainable)",
        "416,520",
    ):
        assert part in text
    assert "246,824 as float32, 123,412 as float16, 61,706 as int8" in text
    assert "any x 4" in describe(one_layer(layers.Conv1D(4, 3), (None, 2)))
