"""The perceptron: one neuron.

Rosenblatt: "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
Psychological Review 65(6), 1958, https://doi.org/10.1037/h0042519.

A neuron weighs its inputs, sums them up, and fires if the sum is above a threshold: it cuts the space of inputs in two
by a straight line, or a plane. Shown an example that it gets wrong, it moves its weights towards that example or away
from it, and if any line tells the classes apart it ends with one that does (Novikoff 1962,
https://apps.dtic.mil/sti/citations/AD0298258); of XOR there is none.
"""

import keras

from dltemplates.models.dense.regression import weighted_sum


def perceptron(input_shape: tuple[int, ...], num_outputs: int, *, name: str = "perceptron") -> keras.Model:
    """Build one neuron for each output.

    Args:
        input_shape: Shape of an example, of any rank.
        num_outputs: Number of neurons.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32, each the weighted sum
        less the threshold; the neuron fires where it is positive.

    Raises:
        ValueError: If `input_shape` is empty or not positive, or `num_outputs` is less than 1.
    """
    return weighted_sum(input_shape, num_outputs, name=name)
