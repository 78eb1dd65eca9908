"""Restricted Boltzmann machines (RBM), and deep belief networks (DBN) stacked from them.

Hinton: "Training Products of Experts by Minimizing Contrastive Divergence", Neural Computation 14(8), 2002,
https://doi.org/10.1162/089976602760128018; Hinton, Osindero, Teh: "A Fast Learning Algorithm for Deep Belief Nets",
Neural Computation 18(7), 2006, https://doi.org/10.1162/neco.2006.18.7.1527, sections 4 to 6.

Binary hidden units explain the visible units. Training makes the samples that a machine draws by Gibbs sampling, back
and forth between its two layers, similar to the examples. It needs no labels. A second machine then learns on the
hidden units of the first, and so on, layer by layer. Labels come last: all layers are fine-tuned together as a
multilayer perceptron that starts from these weights.

`rbm` outputs the probabilities of the hidden units. `dbn` has the widths that Hinton and Salakhutdinov fine-tuned on
MNIST ("Reducing the Dimensionality of Data with Neural Networks", Science 313, 2006,
https://doi.org/10.1126/science.1127647, supporting material: 784-500-500-2000-10, 1.2% errors).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from dltemplates.layers.restricted_boltzmann import RestrictedBoltzmann
from dltemplates.models.ranges import Count, Counts, NumOutputs, Shape, checked


@checked
def rbm(input_shape: Shape, *, units: Count = 500, name: str = "rbm") -> keras.Model:
    """Build a restricted Boltzmann machine.

    Args:
        input_shape: Shape of an example, of any rank; its values are between 0 and 1.
        units: Number of hidden units.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, units)` float32, the probability of each unit to
        be on.

    Raises:
        ValueError: If `input_shape` or `units` is not positive.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = layers.Flatten()(inputs)
    return keras.Model(inputs, RestrictedBoltzmann(units, dtype="float32", name="hidden")(x), name=name)


@checked
def dbn(
    input_shape: Shape,
    num_outputs: NumOutputs,
    *,
    units: Counts = (500, 500, 2000),
    name: str = "dbn",
) -> keras.Model:
    """Build a deep belief network for fine-tuning: a multilayer perceptron whose layers are RBMs.

    Args:
        input_shape: Shape of an example, of any rank; its values are between 0 and 1.
        num_outputs: Number of classes, or of values to predict.
        units: Hidden units of each machine.
        name: Name of the model.

    Returns:
        A functional model: `(batch, *input_shape)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If `input_shape` or `units` is empty or not positive, or `num_outputs` is less than 1.
    """
    inputs = keras.Input(input_shape, name="inputs")
    x = layers.Flatten()(inputs)
    for number, width in enumerate(units, start=1):
        x = RestrictedBoltzmann(width, name=f"machine_{number}")(x)
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def gibbs_sample(machine: RestrictedBoltzmann, v0: np.ndarray, counts: Sequence[int], *, seed: int) -> np.ndarray:
    """Sample chains from a restricted Boltzmann machine by Gibbs sampling.

    Args:
        machine: The machine.
        v0: Visible units that each chain starts from: (chains, visible), between 0 and 1.
        counts: Numbers of Gibbs steps to return the chains after, ascending; 0 returns `v0`.
        seed: Seed of the samples.

    Returns:
        Probabilities of the visible units after each count: (chains, counts, visible), float32.
    """
    random = np.random.default_rng(seed)
    visible, after = v0, {0: v0}
    for count in range(1, max(counts) + 1):
        hidden = ops.convert_to_numpy(machine.hidden(ops.convert_to_tensor(visible, "float32")))
        on = (random.random(hidden.shape) < hidden).astype(np.float32)
        after[count] = ops.convert_to_numpy(machine.visible(ops.convert_to_tensor(on)))
        visible = (random.random(visible.shape) < after[count]).astype(np.float32)
    return np.stack([after[count] for count in counts], axis=1).astype(np.float32)
