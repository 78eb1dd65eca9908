"""The perceptron: one neuron.

Rosenblatt: "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
Psychological Review 65(6), 1958, https://doi.org/10.1037/h0042519.

A neuron computes a weighted sum of its inputs and fires if the sum is above a threshold. It thus divides the space of
inputs by a straight line, or a plane. For each wrong example the learning rule moves the weights towards the example or
away from it. If a line separates the classes, the rule finds one (Novikoff 1962,
https://apps.dtic.mil/sti/citations/AD0298258). For XOR there is none.
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
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32, the weighted sum minus
        the threshold. A neuron fires if its output is positive.

    Raises:
        ValueError: If `input_shape` is empty or not positive, or `num_outputs` is less than 1.
    """
    return weighted_sum(input_shape, num_outputs, name=name)
