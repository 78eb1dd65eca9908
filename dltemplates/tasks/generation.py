"""Making examples of noise: what generative adversarial networks are trained for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.features import AnyFeature, ClassId, Feature, Image, Noise
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.scoring import quality
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.stage_plan import ALGORITHMS, StagePlan, refuse_supervised_settings
from dltemplates.tasks.task import Arrays, Task
from dltemplates.template import Template

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.scoring.evaluator import Evaluator

LOSSES = ("gan", "wasserstein")
NO_EVALUATOR = "none"
MIN_IMAGES_FOR_HALVES = 4  # images: a covariance needs two of each half


class Generation(Task):
    """Make images that look like those of the data, by two players.

    The exported generator maps `noise`, standard normal numbers, and `label` for a class-conditional network, to
    `image`, in [0, 255]. Scores: `diversity`, how much generated images differ from each other, as a share of how much
    real ones do. With an evaluator, a trained classifier: `fid`, the Frechet distance to real images in the
    evaluator's features (not Inception's); `class_coverage`, how many classes occur; `confidence`, its mean top
    probability; for a class-conditional network `class_accuracy`, how often it agrees with `label`.
    """

    name = "generation"
    kind = "any"
    input_kinds = ("image",)
    target_kinds = ()
    needs_target = False
    direction = "min"
    monitor = "val_loss"
    monitor_direction = "min"
    generator = ""

    def __init__(
        self,
        spec: IOSpec,
        *,
        loss: Literal["gan", "wasserstein"] = "gan",
        critic_steps: int = 1,
        penalty: float = 10.0,
        evaluator: str | None = None,
    ):
        """Make the task.

        Args:
            spec: The data; a network that asks for classes is given the class of each image.
            loss: `gan`, as Goodfellow 2014 has it, or `wasserstein`, with a penalty on the slope of the critic.
            critic_steps: Steps of the discriminator for one of the generator, 1 to 31, each on its part of the batch.
            penalty: Weight of the penalty on the slope of the critic.
            evaluator: The classifier that scores the images: the folder of its run, or the name of its template, which is
                trained once if it has no run. `none` scores without a classifier.

        Raises:
            ValueError: If an option is out of range.
        """
        if loss not in LOSSES:
            raise ValueError(f"`loss` must be one of {', '.join(LOSSES)}. Received: {loss!r}. Leave it out.")
        if not isinstance(critic_steps, int) or isinstance(critic_steps, bool) or not 1 <= critic_steps <= 31:
            raise ValueError(f"`critic_steps` must be an integer of 1 to 31. Received: {critic_steps!r}. Try 5.")
        if not isinstance(penalty, (int, float)) or isinstance(penalty, bool) or not 0 <= penalty < np.inf:
            raise ValueError(f"`penalty` must be at least 0. Received: {penalty!r}. Try 10.")
        if evaluator is not None and (not isinstance(evaluator, str) or not evaluator):
            raise ValueError(
                f"`judge` must be a template or the folder of a run. Received: {evaluator!r}. Leave it out."
            )
        self.inputs = spec.inputs
        self.asked = tuple(value for value in spec.targets if isinstance(value, ClassId))
        self.evaluator_name = None if evaluator == NO_EVALUATOR else evaluator
        self.adversarial: dict[str, Any] = {
            "wasserstein": loss == "wasserstein",
            "critic_steps": critic_steps,
            "penalty": float(penalty),
        }

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        labels = [example[value.name] for value in self.asked]
        return self.model_inputs(example), labels[0] if labels else (), None

    def stages(self, model: keras.Model, template: Template) -> list[StagePlan]:
        refuse_supervised_settings(template)
        if template.train.restore != "last":
            raise ValueError(
                "A generator is kept as it is at the end, since no loss says how good its images are. Received: "
                f"train.restore = {template.train.restore!r}. Try --set train.restore=last."
            )
        return [StagePlan(f"{ALGORITHMS}.adversarial:Adversarial", template.train.epochs, self.adversarial)]

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        classes = next((value.classes for value in spec.targets if isinstance(value, ClassId)), ())
        told = {"num_outputs": len(classes)} if len(classes) > 1 else {}  # of one class there is nothing to tell
        return {"input_shape": spec.inputs[0].shape} | told

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        image = spec.inputs[0].shape
        return {"generator": Shapes(output_shape=image), "discriminator": Shapes(image, (1,))}

    def assemble(self, network: keras.Model, spec: DatasetSpec, *, center: Any = None) -> keras.Model:
        import keras

        inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in network.inputs]
        given = inputs if len(inputs) > 1 else inputs[0]
        return keras.Model(given, network(given), name=network.name)

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        import keras

        from dltemplates.tasks.assemble import make_contract

        generator = model.get_layer(model.name).get_layer("generator")
        inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in generator.inputs]
        made = generator(inputs if len(inputs) > 1 else inputs[0])
        image = keras.layers.Rescaling(127.5, offset=127.5, name="image", dtype="float32")(made)
        values: list[AnyFeature] = [Noise(name="noise", dtype="float32", shape=tuple(inputs[0].shape[1:]))]
        if len(inputs) > 1:
            (label,) = spec.targets
            values.append(label.model_copy(update={"dtype": "int32", "counts": None}))
        given = {tensor.name: tensor for tensor in inputs} if len(inputs) > 1 else inputs[0]
        served = keras.Model(given, {"image": image}, name="generator")
        (real,) = spec.inputs
        given_and_real = spec.model_copy(update={"inputs": tuple(values), "targets": (real, *values[1:])})
        contract = make_contract(given_and_real, template, (self.output_like(real),), name=name)
        return {"": ServingModel(served, contract)}

    def output_like(self, image: Feature) -> Image:
        """The image that is made, of one of the data."""
        return Image(name="image", dtype="float32", shape=image.shape, range=(0, 255))

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        """Score images by how they differ, and by what the classifier says of them; the warnings tell of a collapse."""
        real, made = (arrays["image"].astype(np.float32) for arrays in (targets, outputs))
        diversity = quality.diversity(real, made)
        scores, details = {"diversity": diversity}, {"examples": len(made)}
        collapse_warning = quality.collapse_warning(diversity)
        if self.evaluator_name is not None:
            judged, more = self._evaluator_scores(real, made, targets)
            scores, details = judged | scores, details | more
            collapse_warning = quality.collapse_warning(
                diversity, scores["class_coverage"], len(self.evaluator.classes)
            )
        warnings = (
            (f"the generator has collapsed, or has yet to learn: {collapse_warning}",) if collapse_warning else ()
        )
        return Evaluation(scores, targets, outputs, details, is_gate=False, warnings=warnings)

    def _evaluator_scores(
        self, real: np.ndarray, made: np.ndarray, targets: Arrays
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the scores and details that the classifier gives."""
        (_, real_features), (probabilities, features) = self.evaluator(real), self.evaluator(made)
        shares = quality.class_shares(probabilities)
        scores = {
            "fid": quality.frechet_distance(real_features, features),
            "class_coverage": float(quality.class_coverage(shares)),
            "confidence": float(probabilities.max(axis=1).mean()),
        }
        for value in self.asked:
            if value.name in targets:
                scores["class_accuracy"] = float(np.mean(probabilities.argmax(axis=1) == targets[value.name]))
        details: dict[str, Any] = {
            "evaluator": {"run": str(self.evaluator.run.path), "sha256": self.evaluator.sha256},
            "class_shares": dict(zip(self.evaluator.classes, shares.tolist(), strict=True)),
        }
        if len(real) >= MIN_IMAGES_FOR_HALVES:
            # The distance between two halves of the real images: no generator can come nearer.
            details["fid_of_real"] = quality.frechet_distance(real_features[::2], real_features[1::2])
        return scores, details

    @cached_property
    def evaluator(self) -> Evaluator:
        """The classifier that judges.

        Raises:
            ValueError: If it is not there, not whole, no classifier of images, or one of other classes than the data's.
        """
        from dltemplates.tasks.scoring.evaluator import check_classes, load_evaluator

        assert self.evaluator_name  # asked for where there is one
        evaluator = load_evaluator(self.evaluator_name)
        check_classes(str(evaluator.run.path), evaluator.classes, self.asked)
        return evaluator

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.outcomes import grid_figure

        return {"samples": grid_figure(evaluation.outputs["image"])}
