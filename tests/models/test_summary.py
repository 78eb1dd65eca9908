import keras
import pytest
from keras import layers

from dltemplates.layers import MaskedAttention, RestrictedBoltzmann
from dltemplates.models.convolutional.alexnet import alexnet
from dltemplates.models.convolutional.cnn_gap import cnn_gap
from dltemplates.models.convolutional.lenet import lenet5
from dltemplates.models.convolutional.resnet import resnet8
from dltemplates.models.dense.mlp import mlp
from dltemplates.models.generative.autoencoder import autoencoder
from dltemplates.models.summary import describe, multiply_accumulates, stages, summarize, without_weights


def one_layer(layer, input_shape):
    inputs = keras.Input(input_shape)
    return summarize(keras.Model(inputs, layer(inputs)))


@pytest.mark.parametrize(
    ("layer", "input_shape", "macs"),
    [
        (layers.Dense(3), (5,), 15),
        (layers.Dense(3), (7, 5), 7 * 15),
        (RestrictedBoltzmann(3), (5,), 15),
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


def test_attention_counts_its_dense_layers_and_its_two_products():
    attention = layers.MultiHeadAttention(3, key_dim=4)
    tokens = keras.Input((7, 10))
    (row,) = summarize(keras.Model(tokens, attention(tokens, tokens))).rows
    assert row.macs == 7 * 4 * 10 * 12 + 2 * 7 * 7 * 12
    mask = keras.Input((7, 7), dtype="bool")
    (row,) = summarize(keras.Model([tokens, mask], attention(tokens, tokens, attention_mask=mask))).rows
    assert row.macs == 7 * 4 * 10 * 12 + 2 * 7 * 7 * 12


def test_attention_to_another_sequence_counts_each_length():
    attention = layers.MultiHeadAttention(3, key_dim=4, value_dim=5)
    inputs = [keras.Input(shape) for shape in ((6, 10), (7, 8), (7, 9))]
    query, value, key = inputs
    macs = [6 * 10 * 12, 7 * 8 * 15, 6 * 15 * 10, 6 * 7 * 3 * (4 + 5)]
    (row,) = summarize(keras.Model(inputs[:2], attention(query, value))).rows
    assert row.macs == sum(macs) + 7 * 8 * 12  # the values are the keys
    attention = layers.MultiHeadAttention(3, key_dim=4, value_dim=5)
    (row,) = summarize(keras.Model(inputs, attention(query, value, key))).rows
    assert row.macs == sum(macs) + 7 * 9 * 12


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


def table(network):
    return [(stage.name, stage.output_shape[1:], stage.layers) for stage in stages(summarize(network))]


def test_a_stage_is_a_run_at_one_resolution_and_the_vectors_at_the_end_classify():
    assert table(cnn_gap((32, 30, 3), 10)) == [
        ("1", (32, 30, 16), {"Conv2D": 1}),
        ("2", (16, 15, 32), {"MaxPooling2D": 1, "Conv2D": 1}),
        ("3", (8, 7, 10), {"MaxPooling2D": 1, "Conv2D": 2}),
        ("classifier", (10,), {"GlobalAveragePooling2D": 1}),
    ]


def test_stages_share_out_every_layer_parameter_and_mac():
    summary = summarize(resnet8((32, 32, 3), 10))
    found = stages(summary)
    assert [stage.output_shape for stage in found] == [
        (None, 32, 32, 16),
        (None, 16, 16, 32),
        (None, 8, 8, 64),
        (None, 10),
    ]
    assert sum(sum(stage.layers.values()) for stage in found) == len(summary.rows)
    assert sum(stage.parameters for stage in found) == summary.parameters == 78_666
    assert sum(stage.macs for stage in found) == summary.macs == 12_501_632
    assert [stage.parameters for stage in found] == [5_280, 14_688, 58_048, 650]


def test_padding_belongs_to_the_layer_it_is_for():
    assert table(lenet5((28, 28, 1), 10))[0] == ("1", (28, 28, 6), {"ZeroPadding2D": 1, "Conv2D": 1})


def test_towers_that_end_a_stage_side_by_side_add_their_channels():
    shapes = [shape for _, shape, _ in table(without_weights(lambda: alexnet((227, 227, 3), 1000)))]
    assert shapes == [(55, 55, 96), (27, 27, 256), (13, 13, 256), (1000,)]  # the paper's


@pytest.mark.parametrize("nested", [False, True])
def test_a_layer_that_reads_another_adds_no_channels(nested):
    inputs = keras.Input((8, 8, 3))
    body = [layers.Conv2D(4, 3, padding="same", name=f"c{number}") for number in range(3)]
    first, second, third = body
    if nested:
        x = keras.Sequential([keras.Input((8, 8, 3)), *body])(inputs)
    else:
        x = first(inputs)
        x = layers.Add()([x, third(second(x))])
    assert [shape for _, shape, _ in table(keras.Model(inputs, layers.Flatten()(x)))] == [(8, 8, 4), (256,)]


@pytest.mark.parametrize("keepdims", [True, False])
def test_squeeze_and_excite_stays_in_its_stage(keepdims):
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    weight = layers.GlobalAveragePooling2D(keepdims=keepdims)(x)
    weight = layers.Dense(4, activation="sigmoid")(weight)
    x = layers.Multiply()([x, layers.Reshape((1, 1, 4))(weight)])
    network = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    kinds = {"Conv2D": 1, "GlobalAveragePooling2D": 1, "Dense": 1, "Reshape": 1, "Multiply": 1}
    assert table(network) == [
        ("1", (8, 8, 4), kinds),
        ("classifier", (3,), {"GlobalAveragePooling2D": 1, "Dense": 1}),
    ]


def test_a_pooling_at_the_end_is_no_stage_of_its_own():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3, padding="same")(inputs)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    x = keras.layers.MaxPooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    assert table(network) == [
        ("1", (8, 8, 2), {"Conv2D": 1}),
        ("2", (4, 4, 4), {"MaxPooling2D": 2, "Conv2D": 1}),
        ("classifier", (3,), {"Flatten": 1, "Dense": 1}),
    ]


def test_another_shape_is_no_stage():
    inputs = keras.Input((8, 8, 3))
    x = layers.Reshape((-1, 6))(layers.Conv2D(6, 4, strides=4)(inputs))
    network = keras.Model(inputs, layers.Flatten()(layers.Conv1D(2, 3)(x)))
    assert table(network) == [
        ("1", (2, 2, 6), {"Conv2D": 1, "Reshape": 1}),
        ("2", (2, 2), {"Conv1D": 1}),
        ("classifier", (4,), {"Flatten": 1}),
    ]


def test_vectors_alone_have_a_stage_for_each_width():
    assert table(mlp((28, 28, 1), 10)) == [
        ("1", (784,), {"Flatten": 1}),
        ("2", (300,), {"Dense": 1, "Dropout": 1}),
        ("3", (100,), {"Dense": 1, "Dropout": 1}),
        ("4", (10,), {"Dense": 1}),
    ]


def test_vectors_that_end_in_a_map_are_vectors_too():
    assert table(autoencoder((4, 4, 1), units=(8,), latent_dim=3)) == [
        ("1", (16,), {"Flatten": 1}),
        ("2", (8,), {"Dense": 1}),
        ("3", (3,), {"Dense": 1}),
        ("4", (8,), {"Dense": 1}),
        ("5", (16,), {"Dense": 1}),
        ("6", (4, 4, 1), {"Reshape": 1}),
    ]


def test_layers_of_unknown_shape_stay_together():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.dense = layers.Flatten(), layers.Dense(2)

        def call(self, x):
            return self.dense(self.flat(x))

    network = Own()
    network(keras.ops.zeros((1, 2, 2)))
    (stage,) = stages(summarize(network))
    assert (stage.output_shape, stage.layers) == (None, {"Flatten": 1, "Dense": 1})
    assert (stage.parameters, stage.macs) == (10, 0)


def test_a_network_without_weights_counts_the_same():
    sketch, network = (summarize(build) for build in (without_weights(small), small()))
    assert [(row.kind, row.output_shape, row.parameters, row.macs) for row in sketch.rows] == [
        (row.kind, row.output_shape, row.parameters, row.macs) for row in network.rows
    ]
    assert (sketch.parameters, sketch.trainable, sketch.macs) == (network.parameters, network.trainable, network.macs)


def small():
    return resnet8((8, 8, 3), 10)


def test_without_weights_nothing_is_filled_now_or_later():
    filled = []

    class Counting(keras.initializers.Zeros):
        def __call__(self, shape, dtype=None):
            filled.append(shape)
            return super().__call__(shape, dtype)

    def build():
        inputs = keras.Input((10,))
        return keras.Model(inputs, layers.Dense(5, kernel_initializer=Counting())(inputs))

    network = without_weights(build)
    assert network.count_params() == 55
    with keras.StatelessScope():  # when it ends, Keras fills the waiting variables of this thread
        pass
    assert filled == []
    build()
    assert filled == [(10, 5)]


def test_what_a_builder_raises_without_weights_is_raised():
    with pytest.raises(ValueError, match="at least 8x8"):
        without_weights(lambda: resnet8((4, 4, 3), 10))


def test_masked_attention_counts_like_keras_and_its_mask_costs_nothing():
    query, context, mask = keras.Input((3, 6)), keras.Input((5, 4)), keras.Input((5,), dtype="bool")
    layer = MaskedAttention(2)
    layer(query, context, key_mask=mask)
    assert multiply_accumulates(layer) == 3 * 2 * 6 * 6 + 5 * 2 * 4 * 6 + 3 * 5 * 12
    itself = MaskedAttention(2, causal=True)
    itself(query)
    assert multiply_accumulates(itself) == 3 * 4 * 6 * 6 + 3 * 3 * 12


def test_an_embedding_counts_the_logits_that_its_weights_give():
    tokens = keras.Input((3,), dtype="int32")
    embedding = layers.ReversibleEmbedding(7, 4)
    plain = keras.Model(tokens, embedding(tokens))
    tied = keras.Model(tokens, embedding(embedding(tokens), reverse=True))
    assert summarize(plain).macs == 0
    assert summarize(tied).macs == 3 * 7 * 4
