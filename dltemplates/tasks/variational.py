"""Giving back what was put in through a code that is drawn: what variational autoencoders are trained for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dltemplates.datasets.source import Source, batches_of
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import Noise
from dltemplates.tasks.reconstruction import Reconstruction
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.template import Template

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

LABEL = "label"  # what a dataset of classes calls them


class Variational(Reconstruction):
    """Give back an image, or a row of numbers, and learn to make new ones.

    As `reconstruction`; the loss is that of each example, not of each value, and the divergence of its codes from a
    standard normal distribution is part of it. The served `decoder` is a generator of codes from that distribution.
    """

    name = "variational"
    algorithm = "variational:Variational"
    generator = "decoder"
    parts = ("encoder/mean", "encoder/log_variance", "decoder")

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        """As an autoencoder; but the decoder takes any code from a standard normal distribution."""
        served = super().serve(model, spec, template, name=name)
        contract = served["decoder"].contract
        (code,) = contract.inputs
        update = {
            "inputs": (Noise(name=code.name, dtype=code.dtype, shape=code.shape),),
            "data": served[""].contract.data,
        }
        decoder = ServingModel(served["decoder"].model, contract.model_copy(update=update), is_useful_alone=True)
        return served | {"decoder": decoder}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """As an autoencoder; in Keras also `loss`, the negative evidence lower bound of an example in nats.

        Its parts are `reconstruction` and `kl`. No exported part gives the variance of a code, which they need.
        """
        evaluation = super().evaluate(system, source)
        if system.model is None:
            return evaluation
        return replace(evaluation, scores=self._bound(system.model, source) | evaluation.scores)

    def _bound(self, model: keras.Model, source: Source) -> dict[str, float]:
        import keras

        encoder, decoder = parts_of(model)
        loss, (given,) = self.loss(), model.inputs
        random = np.random.default_rng(0)
        sums = np.zeros(2)
        for arrays in batches_of(source):
            wanted = self.encode(arrays[self.target.name])
            mean, log_variance = map(keras.ops.convert_to_numpy, encoder(arrays[given.name]))
            codes = mean + np.exp(log_variance / 2) * random.standard_normal(mean.shape, np.float32)
            lacking = float(loss(wanted, decoder(codes))) * np.prod(self.target.shape)
            kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean()
            sums += len(mean) * np.array([lacking, kl])
        reconstruction, kl = sums / len(source)
        return {"loss": float(reconstruction + kl), "reconstruction": float(reconstruction), "kl": float(kl)}

    def model_figures(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        from dltemplates.figures.latent import plane_figure, scatter_figure, walks_figure
        from dltemplates.runtimes import KerasPredictor

        figures = super().model_figures(servings, source)
        if not self.is_image:
            return figures
        encoder, decoder = (KerasPredictor(s.model, s.contract) for s in (servings["encoder"], servings["decoder"]))
        (code,) = decoder.contract.inputs

        def decode(codes: np.ndarray) -> np.ndarray:
            return decoder({code.name: codes})["reconstruction"]

        _, encoded = encoder.predict(source)
        codes = encoded[code.name]
        figures["walks"] = walks_figure(codes, decode)
        if code.shape == (2,):
            labels = source.read(np.arange(len(source))).get(LABEL)
            figures |= {"plane": plane_figure(decode), "latent_codes": scatter_figure(codes, labels)}
        return figures


def parts_of(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """The parts of a variational autoencoder: from raw inputs to mean and log variance, and from a code to logits."""
    import keras

    from dltemplates.tasks.assemble import PREPROCESSING

    network = model.get_layer(model.name)
    encoder, decoder = network.get_layer("encoder"), network.get_layer("decoder")
    values = [encoder.get_layer(name).output for name in ("mean", "log_variance")]
    distribution = keras.Model(encoder.input, values)
    return keras.Model(model.input, distribution(model.get_layer(PREPROCESSING).output)), decoder
