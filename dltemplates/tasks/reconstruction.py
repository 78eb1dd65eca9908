"""Giving back what was put in, through a code: what autoencoders are trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from dltemplates.datasets.source import Dataset, Source
from dltemplates.datasets.spec import DatasetSpec, Like, Value, gives_back, network_shape
from dltemplates.tasks.contract import ServingModel
from dltemplates.tasks.needs import Shapes
from dltemplates.tasks.noise import noisy, without_noise
from dltemplates.tasks.task import Arrays, SupervisedTask
from dltemplates.template import Template

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

LOSSES = ("cross_entropy", "mse")


class Reconstruction(SupervisedTask):
    """Give back an image, or a row of numbers.

    The network's logits are presented as `reconstruction`: an image between 0 and 255, or numbers in their own unit. Of
    the trained network `encoder` and `decoder` are served on their own too.

    Attributes:
        parts: Layers that the network must hold, as in `needs`.
    """

    name = "reconstruction"
    kind = "input"
    needs_target = False
    direction: ClassVar[Literal["max", "min"]] = "min"
    monitor = "val_loss"
    monitor_direction = "min"
    by_parity = True
    parts: ClassVar[tuple[str, ...]] = ("encoder", "decoder")

    def __init__(
        self,
        spec: Like,
        *,
        loss: Literal["cross_entropy", "mse"] = "mse",
        noise: float = 0.0,
    ):
        """Make the task.

        Args:
            spec: The data, whose input is the target too, or has a target without its noise.
            loss: `mse`, the squared error; or of images `cross_entropy`, each pixel as the probability of white.
            noise: Standard deviation of the noise that is put on the examples of validation and test, whose values are
                between 0 and 1, or 0 on average and 1 in deviation; what they are judged by is without it.

        Raises:
            ValueError: If the target is no image and no numbers, or an option is out of range.
        """
        self.inputs = spec.inputs
        self.target, *given = self.targets_of(spec)
        self.noisy = given[0] if given else None  # what goes in, where that is not what is to come out
        if self.target.kind not in ("image", "number"):
            raise ValueError(
                f"Task {self.name} gives back images or numbers. Received: `{self.target.name}` of kind "
                f"`{self.target.kind}`. Choose other data."
            )
        self.is_image = self.target.kind == "image"
        if loss not in LOSSES or (loss == "cross_entropy" and not self.is_image):
            raise ValueError(
                f"`loss` must be one of {', '.join(LOSSES)}, the first for images. Received: {loss!r} for "
                f"`{self.target.kind}`. Take the other: --set task.loss=mse."
            )
        if not (isinstance(noise, (int, float)) and not isinstance(noise, bool) and 0 <= noise < 10):
            raise ValueError(f"`noise` must be at least 0, and below 10. Received: {noise!r}. Try 0.3.")
        self.loss_name = loss
        self.noise = float(noise)

    @classmethod
    def targets_of(cls, spec: Like) -> tuple[Value, ...]:
        return spec.targets if gives_back(spec) else spec.inputs[:1]

    def adapt(self, dataset: Dataset) -> Dataset:
        (value, *others) = dataset.spec.inputs
        if others or value.kind not in ("image", "number"):
            raise ValueError(
                f"Task {self.name} gives back one image, or numbers. Received: data whose inputs are "
                f"{', '.join(v.name for v in dataset.spec.inputs)}. Leave columns of categories out: "
                "--set dataset.columns.NAME=skip."
            )
        return noisy(dataset, self.noise)

    def prepare_train(self, split: Source) -> Source:
        return without_noise(split)

    def sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {"input_shape": network_shape(spec)}

    def needs(self, spec: DatasetSpec) -> dict[str, Shapes]:
        shape = network_shape(spec)
        return {"": Shapes(shape, shape), **{part: Shapes() for part in self.parts}}

    def loss(self):
        import keras

        if self.loss_name == "cross_entropy":
            return keras.losses.BinaryCrossentropy(from_logits=True)
        if self.is_image:
            from dltemplates.tasks.losses import SigmoidSquaredError

            return SigmoidSquaredError()
        return keras.losses.MeanSquaredError()

    def metrics(self):
        return []

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        # Training adds its noise inside the network, so an augmented input is its own target.
        target = self.inputs[0] if training else self.target
        return self.model_inputs(example), self.encode(example[target.name]), None

    def encode(self, target: Any) -> Any:
        """What the network is to give: pixels between 0 and 1, numbers with mean 0 and deviation 1."""
        import keras

        if self.is_image:
            return keras.ops.cast(target, "float32") / 255
        return (target - np.array(self.target.mean, np.float32)) / np.array(self.target.std, np.float32)

    def present(self, logits: Any) -> Any:
        import keras

        if self.is_image:
            shares = keras.layers.Activation("sigmoid", dtype="float32")(logits)
            return keras.layers.Rescaling(255.0, name="reconstruction", dtype="float32")(shares)
        unscale = keras.layers.Rescaling(
            self.target.std, offset=self.target.mean, name="reconstruction", dtype="float32"
        )
        return unscale(logits)

    def output(self) -> Value:
        update = {"name": "reconstruction", "resize": None, "preparation": None, "dtype": "float32"}
        return self.target.model_copy(update=update)

    def serving(
        self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str
    ) -> dict[str, ServingModel]:
        from dltemplates.tasks.assemble import serve, serve_parts

        whole = serve(model, self, spec, template, name=name)
        return {"": whole, **serve_parts(whole, self)}

    def gallery(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        from dltemplates.tasks.codes import codes_figure

        figure = codes_figure(servings, source)
        return {"codes": figure} if figure else {}

    def score(self, targets: Arrays, outputs: Arrays) -> dict[str, float]:
        scores = self._figures_of(self.errors(targets, outputs))
        if self.noisy is not None:
            noise = self._squared(targets[self.noisy.name], targets[self.target.name])
            scores |= {f"{name}_before": figure for name, figure in self._figures_of(noise).items()}
        return scores

    def _figures_of(self, errors: np.ndarray) -> dict[str, float]:
        mse = float(errors.mean())
        return {"mse": mse} | ({"psnr": float(-10 * np.log10(max(mse, 1e-12)))} if self.is_image else {})

    def errors(self, targets: Arrays, outputs: Arrays) -> np.ndarray:
        """The mean squared error of each example (n,): of pixels between 0 and 1, of numbers in deviations."""
        return self._squared(outputs["reconstruction"], targets[self.target.name])

    def _squared(self, made: np.ndarray, clean: np.ndarray) -> np.ndarray:
        scale = 255.0 if self.is_image else np.array(self.target.std, np.float32)
        difference = (made.astype(np.float32) - clean) / scale
        return np.square(difference).reshape(len(difference), -1).mean(axis=1)

    def captions(self, targets: Arrays, outputs: Arrays) -> tuple[list[str], np.ndarray]:
        errors = self.errors(targets, outputs)
        return [f"{error:.4f}" for error in errors], np.zeros(len(errors))

    def figures(self, targets: Arrays, outputs: Arrays):
        from dltemplates.tasks.figures import strips_figure

        if not self.is_image:
            return {}
        strips = {"given": targets[(self.noisy or self.target).name], "made": outputs["reconstruction"]}
        if self.noisy is not None:
            strips["clean"] = targets[self.target.name]
        return {"reconstructions": strips_figure(strips)}
