"""Multilayer perceptron (MLP), and the deep feedforward network (DFN) for tables.

Rumelhart, Hinton, Williams: "Learning representations by back-propagating errors", Nature 323, 1986,
https://doi.org/10.1038/323533a0.

Hidden units between the input and the output learn which features of the input matter. With them the network can
separate classes that one layer of weights cannot (in the paper, symmetric patterns from others). They learn by
back-propagation: the chain rule carries the error back from the output through the layers, and shows how each weight
must change to reduce the error.

The default widths are those of the fully connected network that LeCun, Bottou, Bengio and Haffner ("Gradient-Based
Learning Applied to Document Recognition", Proceedings of the IEEE, 1998, section III.C.4) measured on MNIST,
28x28-300-100-10: 266,610 parameters and 3.05% errors. ReLU replaces the sigmoids.

The deep feedforward network of Goodfellow, Bengio, Courville: "Deep Learning", MIT Press, 2016, chapter 6,
https://www.deeplearningbook.org, is a multilayer perceptron with more layers. `dfn` is such a network for table rows.
Each layer has batch normalization (Ioffe 2015) and dropout (Srivastava 2014), with which plain networks do well on
tables (Kadra, Lindauer, Hutter, Grabocka: "Well-tuned Simple Nets Excel on Tabular Datasets", NeurIPS 2021,
https://arxiv.org/abs/2106.11189).
"""

import keras
from keras import layers

from dltemplates.models.ranges import Counts, NumOutputs, Shape, Share, checked


@checked
def mlp(
    input_shape: Shape,
    num_outputs: NumOutputs,
    *,
    units: Counts = (300, 100),
    activation: str = "relu",
    dropout_rate: Share = 0.0,
    name: str = "mlp",
) -> keras.Model:
    """Build fully connected layers over the flattened input.

    Args:
        input_shape: Shape of an example, of any rank.
        num_outputs: Number of classes, or of values to predict.
        units: Width of each hidden layer.
        activation: Activation of the hidden layers, by its Keras name.
        dropout_rate: Share of activations dropped after each hidden layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` or `units` is empty or not positive, `num_outputs` is less than 1, or
            `dropout_rate` is out of range.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = layers.Flatten()(inputs)  # (batch, product of input_shape)
    for width in units:
        x = layers.Dense(width, activation=activation)(x)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


@checked
def dfn(
    input_shape: Shape,
    num_outputs: NumOutputs,
    *,
    units: Counts = (256, 128, 64),
    dropout_rate: Share = 0.1,
    name: str = "dfn",
) -> keras.Model:
    """Build fully connected layers, each with batch normalization, ReLU and dropout.

    Args:
        input_shape: Shape of an example, of any rank.
        num_outputs: Number of classes, or of values to predict.
        units: Width of each hidden layer.
        dropout_rate: Share of activations dropped after each hidden layer, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` or `units` is empty or not positive, `num_outputs` is less than 1, or
            `dropout_rate` is out of range.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = layers.Flatten()(inputs)  # (batch, product of input_shape)
    for width in units:
        x = layers.Dense(width, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Dropout(dropout_rate)(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
