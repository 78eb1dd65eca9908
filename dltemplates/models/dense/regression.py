"""Linear, logistic and softmax regression: one weighted sum for each output.

Gauss: "Theoria Motus Corporum Coelestium", 1809, https://archive.org/details/theoriamotuscor00gausgoog (least squares);
Cox: "The Regression Analysis of Binary Sequences", Journal of the Royal Statistical Society B 20(2), 1958,
https://doi.org/10.1111/j.2517-6161.1958.tb00292.x. Side by side in Bishop: "Pattern Recognition and Machine Learning",
Springer, 2006, https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning, sections
3.1, 4.3.2 and 4.3.4.

Each output is a weighted sum of the inputs plus a bias: the predicted value (linear), the logarithm of the odds of one
class (logistic), or a score for each class (softmax). The three are the same network and differ only in the loss and in
the use of the sum. Each weight shows how much its input counts.
"""

import keras
from keras import layers

from dltemplates.catalog import variant
from dltemplates.models.ranges import NumOutputs, Shape, checked


@checked
def weighted_sum(input_shape: Shape, num_outputs: NumOutputs, *, name: str = "weighted_sum") -> keras.Model:
    """Build one dense layer over the flattened input.

    Args:
        input_shape: Shape of an example, of any rank.
        num_outputs: Number of values to predict, or of classes.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 values or logits.

    Raises:
        ValueError: If `input_shape` is empty or not positive, or `num_outputs` is less than 1.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = layers.Flatten()(inputs)  # (batch, product of input_shape)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


linear_regression = variant(weighted_sum, "linear_regression")
logistic_regression = variant(weighted_sum, "logistic_regression")
softmax_regression = variant(weighted_sum, "softmax_regression")
