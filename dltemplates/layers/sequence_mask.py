"""Masks of padded sequences."""

import warnings
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("dltemplates")
class SequenceMask(keras.layers.Layer):
    """Set the padding of sequences to 0, and mask it for the layers after.

    Recurrent layers and the average over the steps skip masked steps, so the output is that of the unpadded sequence.

    Inputs: sequences (batch, steps, channels), and their lengths (batch,), at least 1.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        # Keras warns that the network drops the mask. It does so at its end, where no layer needs it.
        warnings.filterwarnings("ignore", message=r"Layer '.*' \(of type Functional\) was passed an input with a mask")

    def call(self, inputs: Any) -> Any:
        """Return the sequences with zeros after their lengths."""
        return inputs[0] * ops.cast(self.compute_mask(inputs), inputs[0].dtype)[..., None]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return whether each step is before the length: booleans (batch, steps)."""
        sequences, lengths = inputs
        steps = ops.cumsum(ops.ones_like(sequences[..., 0], dtype="float32"), axis=1)  # 1, 2, 3, ...
        return steps <= ops.maximum(ops.cast(lengths, "float32"), 1.0)[:, None]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the sequences."""
        return input_shape[0]
