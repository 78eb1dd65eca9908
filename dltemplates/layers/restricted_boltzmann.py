"""Restricted Boltzmann machine (RBM).

Smolensky: "Information Processing in Dynamical Systems: Foundations of Harmony Theory", 1986; trained as in Hinton:
"Training Products of Experts by Minimizing Contrastive Divergence", Neural Computation 14(8), 2002,
https://doi.org/10.1162/089976602760128018.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class RestrictedBoltzmann(layers.Layer):
    """Binary visible and hidden units with symmetric weights between them, and none within a layer.

    `energy(v, h) = -v'b - h'c - v'Wh`, and `p(v, h)` is proportional to `exp(-energy)`. Given one layer, the units of
    the other are independent: `p(h = 1 | v) = sigmoid(c + v'W)`. The layer outputs this probability, like a dense layer
    with sigmoids: (batch, visible) in [0, 1] to (batch, units) in [0, 1].
    """

    def __init__(self, units: int, **options):
        """Create the layer.

        Args:
            units: Number of hidden units.
            options: Options of every Keras layer, such as `name`.
        """
        super().__init__(**options)
        self.units = units

    def build(self, input_shape):
        visible = input_shape[-1]
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = self.add_weight(shape=(visible, self.units), initializer=small, name="kernel")
        self.hidden_bias = self.add_weight(shape=(self.units,), initializer="zeros", name="hidden_bias")
        self.visible_bias = self.add_weight(shape=(visible,), initializer="zeros", name="visible_bias")

    def call(self, inputs):
        return self.hidden(inputs)

    def hidden(self, visible):
        """Return the probability of each hidden unit to be on: (batch, visible) to (batch, units)."""
        return ops.sigmoid(self._hidden_logits(visible))

    def visible(self, hidden):
        """Return the probability of each visible unit to be on: (batch, units) to (batch, visible)."""
        return ops.sigmoid(ops.matmul(hidden, ops.transpose(self.kernel)) + self.visible_bias)

    def free_energy(self, visible):
        """Return `-log sum over h of exp(-energy(v, h))` for each example: (batch, visible) to (batch,)."""
        biased = ops.matmul(visible, ops.expand_dims(self.visible_bias, 1))[:, 0]
        return -biased - ops.sum(ops.softplus(self._hidden_logits(visible)), axis=-1)

    def _hidden_logits(self, visible):
        return ops.matmul(visible, self.kernel) + self.hidden_bias

    def get_config(self):
        return {**super().get_config(), "units": self.units}
