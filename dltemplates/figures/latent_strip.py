"""Figure of an autoencoder: each input image, its latent vector, and its reconstruction."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dltemplates.datasets.source import Source
from dltemplates.features import Image
from dltemplates.figures.outcomes import strips_figure
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.serving.contract import ServingModel

CAPTIONS = {  # by file name: heading and caption in the report
    "codes": (
        "Latent vectors",
        "The input, its latent vector as bars, and the reconstruction from these numbers alone.",
    ),
}

MAX_LATENT_DIM = 64  # more bars are too narrow to see
MAX_IMAGES = 12


def latent_strip_figure(servings: dict[str, ServingModel], source: Source) -> Figure | None:
    """Draw images, their latent vectors from the encoder, and their reconstructions from the decoder.

    Args:
        servings: The serving models of a network, by name.
        source: Examples.

    Returns:
        The figure; None without an encoder and decoder of images, or with a latent vector too long to draw.
    """
    if not {"encoder", "decoder"} <= set(servings):
        return None
    encoder, decoder = servings["encoder"], servings["decoder"]
    (image, *_), (latent,), (output,) = encoder.contract.inputs, encoder.contract.outputs, decoder.contract.outputs
    if not isinstance(image, Image) or len(latent.shape) != 1 or latent.shape[0] > MAX_LATENT_DIM:
        return None
    inputs = {image.name: source.read(np.arange(min(MAX_IMAGES, len(source))))[image.name]}
    vectors = KerasPredictor(encoder.model, encoder.contract)(inputs)
    outputs = KerasPredictor(decoder.model, decoder.contract)(vectors)
    return strips_figure({"input": inputs[image.name], "latent": vectors[latent.name], "output": outputs[output.name]})
