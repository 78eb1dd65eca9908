"""Autoencoder: reconstruct the input through a latent vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from dltemplates.datasets.source import Dataset, Source, join_batches
from dltemplates.datasets.spec import DatasetSpec, IOSpec, network_shape, reconstructs_input
from dltemplates.features import AnyFeature, Feature, Image, Number
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.noise import noisy, without_noise
from dltemplates.tasks.scoring.evaluation import Evaluation, ScoreOf, System
from dltemplates.tasks.scoring.intervals import mean_of
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.task import Arrays, SupervisedTask
from dltemplates.template import Template

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

LOSSES = ("cross_entropy", "mse")
MAX_EXAMPLES = 16  # examples in a figure


class Reconstruction(SupervisedTask):
    """Reconstruct an image or a row of numbers.

    The network's logits are presented as `reconstruction`: an image in [0, 255], or numbers in their own unit. The
    trained network's `encoder` and `decoder` are also served as parts.

    Attributes:
        parts: Layers that the network must have, as in `model_signature`.
    """

    name = "reconstruction"
    kind = "input"
    input_kinds = ("image", "number")
    target_kinds: ClassVar[tuple[str, ...] | None] = ()
    needs_target = False
    direction: ClassVar[Literal["max", "min"]] = "min"
    monitor = "val_loss"
    monitor_direction = "min"
    parts: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    def __init__(
        self,
        spec: IOSpec,
        *,
        loss: Literal["cross_entropy", "mse"] = "mse",
        noise: float = 0.0,
    ):
        """Create the task.

        Args:
            spec: The data, whose input is also the target; with noise, the clean input is the target.
            loss: `mse`, the squared error; or for images `cross_entropy`, each pixel as the probability of white.
            noise: Standard deviation of the noise on validation and test inputs, on pixels in [0, 1] or standardized
                numbers; their targets stay clean.

        Raises:
            ValueError: If an option is out of range.
        """
        self.inputs = spec.inputs
        self.target, *noisy_inputs = self.targets_of(spec)
        self.noisy = noisy_inputs[0] if noisy_inputs else None  # the input, where it differs from the target
        self.is_image = isinstance(self.target, Image)
        if loss not in LOSSES or (loss == "cross_entropy" and not self.is_image):
            raise ValueError(
                f"`loss` must be mse, or for images also cross_entropy. Received: {loss!r} for "
                f"`{self.target.kind}`. Choose mse: --set task.loss=mse."
            )
        if not (isinstance(noise, (int, float)) and not isinstance(noise, bool) and 0 <= noise < 10):
            raise ValueError(f"`noise` must be at least 0, and below 10. Received: {noise!r}. Try 0.3.")
        self.loss_name = loss
        self.noise = float(noise)

    @classmethod
    def targets_of(cls, spec: IOSpec) -> tuple[Feature, ...]:
        return spec.targets if reconstructs_input(spec) else spec.inputs[:1]

    def adapt(self, dataset: Dataset) -> Dataset:
        return noisy(dataset, self.noise)

    def prepare_train(self, split: Source) -> Source:
        return without_noise(split)

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {"input_shape": network_shape(spec)}

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        shape = network_shape(spec)
        return {"": Shapes(shape, shape), **{part: Shapes() for part in self.parts}}

    def loss(self):
        import keras

        if self.loss_name == "cross_entropy":
            return keras.losses.BinaryCrossentropy(from_logits=True)
        if self.is_image:
            from dltemplates.tasks.scoring.losses import SigmoidSquaredError

            return SigmoidSquaredError()
        return keras.losses.MeanSquaredError()

    def metrics(self):
        return []

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        # Training adds its noise inside the network, so an augmented input is its own target.
        target = self.inputs[0] if training else self.target
        return self.model_inputs(example), self.encode(example[target.name]), None

    def encode(self, target: Any) -> Any:
        """Return the network's target: pixels in [0, 1], or standardized numbers."""
        import keras

        if isinstance(self.target, Number):
            return self.target.standardize(target)
        return keras.ops.cast(target, "float32") / self.target.unit

    def present(self, logits: Any) -> Any:
        from dltemplates.tasks.assemble import restore

        return restore(self.target, logits, name="reconstruction")

    def output(self) -> AnyFeature:
        target = self.target
        if isinstance(target, Number):
            return target.model_copy(update={"name": "reconstruction", "dtype": "float32"})
        return Image(name="reconstruction", dtype="float32", shape=target.shape, range=target.range)

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        from dltemplates.tasks.assemble import serve, serve_parts

        whole = serve(model, self, spec, template, name=name)
        return {"": whole, **serve_parts(whole, self)}

    def model_figures(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        from dltemplates.figures.latent_strip import latent_strip_figure

        figure = latent_strip_figure(servings, source)
        return {"codes": figure} if figure else {}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score reconstructions batch by batch: all outputs of a split may not fit into memory."""
        return self._scored(system.whole.batches(source))

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        """Score reconstructions; an export is compared with Keras, not by its score."""
        return self._scored([(targets, outputs)])

    def _scored(self, batches: Iterable[tuple[Arrays, Arrays]]) -> Evaluation:
        """Score batches of targets and outputs; keep the first examples for figures."""
        all_errors, all_noise, first, missing = [], [], [], MAX_EXAMPLES
        for targets, outputs in batches:
            all_errors.append(self.errors(targets, outputs))
            if self.noisy is not None:
                all_noise.append(self._squared(targets[self.noisy.name], targets[self.target.name]))
            if missing > 0:
                first.append(
                    [{name: array[:missing].copy() for name, array in part.items()} for part in (targets, outputs)]
                )
                missing -= len(all_errors[-1])
        errors = np.concatenate(all_errors)
        scores, score_of = self._scores_of(errors), self._resampled(errors)
        if self.noisy is not None:
            noise = np.concatenate(all_noise)
            scores |= {f"{name}_before": score for name, score in self._scores_of(noise).items()}
            score_of |= {f"{name}_before": score for name, score in self._resampled(noise).items()}
        targets, outputs = (join_batches(parts) for parts in zip(*first, strict=True))
        captions = tuple(f"{error:.4f}" for error in errors)
        return Evaluation(
            scores, targets, outputs, is_gate=False, captions=captions, count=len(errors), score_of=score_of
        )

    def _scores_of(self, errors: np.ndarray) -> dict[str, float]:
        mse = float(errors.mean())
        return {"mse": mse} | ({"psnr": float(-10 * np.log10(max(mse, 1e-12)))} if self.is_image else {})

    def _resampled(self, errors: np.ndarray) -> dict[str, ScoreOf]:
        """Return the functions from weights (draws, n) to the scores (draws,)."""
        mse = mean_of(errors)
        psnr = {"psnr": lambda weights: -10 * np.log10(np.maximum(mse(weights), 1e-12))} if self.is_image else {}
        return {"mse": mse, **psnr}

    def errors(self, targets: Arrays, outputs: Arrays) -> np.ndarray:
        """Return the mean squared error of each example (n,), on pixels in [0, 1] or standardized numbers."""
        return self._squared(outputs["reconstruction"], targets[self.target.name])

    def _squared(self, reconstruction: np.ndarray, clean: np.ndarray) -> np.ndarray:
        difference = (reconstruction.astype(np.float32) - clean) / np.asarray(self.target.unit, np.float32)
        return np.square(difference).reshape(len(difference), -1).mean(axis=1)

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.outcomes import strips_figure

        if not self.is_image:
            return {}
        targets = evaluation.targets
        strips = {"input": targets[(self.noisy or self.target).name], "output": evaluation.outputs["reconstruction"]}
        if self.noisy is not None:
            strips["clean"] = targets[self.target.name]
        return {"reconstructions": strips_figure(strips)}
