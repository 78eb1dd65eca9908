"""Variational autoencoder: reconstruct the input through a random latent vector."""

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

LABEL = "label"  # the class target's name in a dataset


class Variational(Reconstruction):
    """Reconstruct an image or a row of numbers, and learn to generate new ones.

    As `reconstruction`, but the loss is per example, not per value, and adds the KL divergence of the latent
    distribution from the standard normal distribution. The served `decoder` generates examples from standard normal
    latent vectors.
    """

    name = "variational"
    algorithm = "variational:Variational"
    generator = "decoder"
    parts = ("encoder/mean", "encoder/log_variance", "decoder")

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        """Serve as an autoencoder does, with a decoder that takes noise as its latent vector."""
        served = super().serve(model, spec, template, name=name)
        contract = served["decoder"].contract
        (latent,) = contract.inputs
        update = {
            "inputs": (Noise(name=latent.name, dtype=latent.dtype, shape=latent.shape),),
            "data": served[""].contract.data,
        }
        decoder = ServingModel(served["decoder"].model, contract.model_copy(update=update), is_useful_alone=True)
        return served | {"decoder": decoder}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score as an autoencoder does; in Keras also `negative_elbo`, the negative evidence lower bound.

        It is per example, in nats, without the weight penalty that the `loss` of an epoch has. Its terms are
        `reconstruction` and `kl`. They need the latent variance, which no exported part returns.
        """
        evaluation = super().evaluate(system, source)
        if system.model is None:
            return evaluation
        return replace(evaluation, scores=self._bound(system.model, source) | evaluation.scores)

    def _bound(self, model: keras.Model, source: Source) -> dict[str, float]:
        import keras

        encoder, decoder = parts_of(model)
        loss, (inputs,) = self.loss(), model.inputs
        random = np.random.default_rng(0)
        sums = np.zeros(2)
        for arrays in batches_of(source):
            target = self.encode(arrays[self.target.name])
            mean, log_variance = map(keras.ops.convert_to_numpy, encoder(arrays[inputs.name]))
            latent = mean + np.exp(log_variance / 2) * random.standard_normal(mean.shape, np.float32)
            error = float(loss(target, decoder(latent))) * np.prod(self.target.shape)
            kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean()
            sums += len(mean) * np.array([error, kl])
        reconstruction, kl = sums / len(source)
        return {"negative_elbo": float(reconstruction + kl), "reconstruction": float(reconstruction), "kl": float(kl)}

    def model_figures(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        from dltemplates.figures.latent import plane_figure, scatter_figure, walks_figure
        from dltemplates.runtimes import KerasPredictor

        figures = super().model_figures(servings, source)
        if not self.is_image:
            return figures
        encoder, decoder = (KerasPredictor(s.model, s.contract) for s in (servings["encoder"], servings["decoder"]))
        (latent,) = decoder.contract.inputs

        def decode(vectors: np.ndarray) -> np.ndarray:
            return decoder({latent.name: vectors})["reconstruction"]

        _, encoded = encoder.predict(source)
        vectors = encoded[latent.name]
        figures["walks"] = walks_figure(vectors, decode)
        if latent.shape == (2,):
            labels = source.read(np.arange(len(source))).get(LABEL)
            figures |= {"plane": plane_figure(decode), "latent_codes": scatter_figure(vectors, labels)}
        return figures


def parts_of(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Return a variational autoencoder's parts: raw inputs to mean and log variance, and latent vector to logits."""
    import keras

    from dltemplates.tasks.assemble import PREPROCESSING

    network = model.get_layer(model.name)
    encoder, decoder = network.get_layer("encoder"), network.get_layer("decoder")
    parameters = [encoder.get_layer(name).output for name in ("mean", "log_variance")]
    distribution = keras.Model(encoder.input, parameters)
    return keras.Model(model.input, distribution(model.get_layer(PREPROCESSING).output)), decoder
