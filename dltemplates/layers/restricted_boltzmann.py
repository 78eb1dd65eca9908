"""Restricted Boltzmann machine (RBM).

Smolensky: "Information Processing in Dynamical Systems: Foundations of Harmony Theory", 1986; trained as in Hinton:
"Training Products of Experts by Minimizing Contrastive Divergence", Neural Computation 14(8), 2002,
https://doi.org/10.1162/089976602760128018.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("dltemplates")
class RestrictedBoltzmann(layers.Layer):
    """Visible and hidden units that are on or off, joined by weights that go both ways; none within a layer.

    `energy(v, h) = -v'b - h'c - v'Wh`, and `p(v, h)` is proportional to `exp(-energy)`. So given one layer the units of
    the other are independent: `p(h = 1 | v) = sigmoid(c + v'W)`. That is what the layer gives: (batch, visible) between
    0 and 1 to (batch, units) between 0 and 1, as a dense layer with sigmoids would.
    """

    def __init__(self, units: int, **options):
        """Make the layer.

        Args:
            units: Number of hidden units.
            options: Those of any layer.
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
        """The probability that each hidden unit is on: (batch, visible) to (batch, units)."""
        return ops.sigmoid(self._drive(visible))

    def visible(self, hidden):
        """The probability that each visible unit is on: (batch, units) to (batch, visible)."""
        return ops.sigmoid(ops.matmul(hidden, ops.transpose(self.kernel)) + self.visible_bias)

    def free_energy(self, visible):
        """`-log sum over h of exp(-energy(v, h))` of each example: (batch, visible) to (batch,)."""
        biased = ops.matmul(visible, ops.expand_dims(self.visible_bias, 1))[:, 0]
        return -biased - ops.sum(ops.softplus(self._drive(visible)), axis=-1)

    def _drive(self, visible):
        return ops.matmul(visible, self.kernel) + self.hidden_bias

    def get_config(self):
        return {**super().get_config(), "units": self.units}
