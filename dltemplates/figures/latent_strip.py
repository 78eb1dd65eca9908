"""What an autoencoder keeps of an image: what it was given, its code, and what is made of that again."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dltemplates.datasets.source import Source
from dltemplates.features import Image
from dltemplates.figures.outcomes import strips_figure
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.serving.contract import ServingModel

LONGEST = 64  # numbers of a code that can be told apart in a picture
MAX_IMAGES = 12


def codes_figure(servings: dict[str, ServingModel], source: Source) -> Figure | None:
    """Draw images, the codes that the encoder makes of them, and what the decoder makes of those.

    Args:
        servings: What is exported of a network, by name.
        source: Examples.

    Returns:
        The figure; None where there is no encoder and decoder of images, or the code is too long to be drawn.
    """
    if not {"encoder", "decoder"} <= set(servings):
        return None
    encoder, decoder = servings["encoder"], servings["decoder"]
    (image, *_), (code,), (made,) = encoder.contract.inputs, encoder.contract.outputs, decoder.contract.outputs
    if not isinstance(image, Image) or len(code.shape) != 1 or code.shape[0] > LONGEST:
        return None
    given = {image.name: source.read(np.arange(min(MAX_IMAGES, len(source))))[image.name]}
    codes = KerasPredictor(encoder.model, encoder.contract)(given)
    images = KerasPredictor(decoder.model, decoder.contract)(codes)
    return strips_figure({"given": given[image.name], "code": codes[code.name], "made": images[made.name]})
