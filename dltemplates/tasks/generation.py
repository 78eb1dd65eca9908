"""Generation: generate images from noise, with a generative adversarial network (GAN)."""

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
MIN_IMAGES_FOR_HALVES = 4  # a covariance needs two images in each half


class Generation(Task):
    """Train a generator and a discriminator, to generate images that look like the data.

    The exported generator maps `noise`, standard normal numbers, and `label` for a class-conditional network, to
    `image`, in [0, 255]. Scores: `diversity`, the variation among generated images relative to real ones. With an
    evaluator, a trained classifier: `fid`, the Frechet distance to real images in the evaluator's features (not
    Inception's); `class_coverage`, the number of classes that occur; `confidence`, its mean top probability; for a
    class-conditional network `class_accuracy`, how often it agrees with `label`.
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
        """Create the task.

        Args:
            spec: The data; a class-conditional network also gets the class of each image.
            loss: `gan` (Goodfellow 2014), or `wasserstein` with a gradient penalty.
            critic_steps: Steps of the discriminator per step of the generator, 1 to 31, each on its part of the batch.
            penalty: Weight of the gradient penalty.
            evaluator: The classifier that scores the images: the folder of its run, or the name of its template, which
                is trained once if it has no run. `none` scores without a classifier.

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
                f"`evaluator` must be a template or the folder of a run. Received: {evaluator!r}. Leave it out."
            )
        self.inputs = spec.inputs
        self.class_targets = tuple(value for value in spec.targets if isinstance(value, ClassId))
        self.evaluator_name = None if evaluator == NO_EVALUATOR else evaluator
        self.adversarial: dict[str, Any] = {
            "wasserstein": loss == "wasserstein",
            "critic_steps": critic_steps,
            "penalty": float(penalty),
        }

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        labels = [example[value.name] for value in self.class_targets]
        return self.model_inputs(example), labels[0] if labels else (), None

    def stages(self, model: keras.Model, template: Template) -> list[StagePlan]:
        refuse_supervised_settings(template)
        if template.train.restore != "last":
            raise ValueError(
                "A generator keeps its last weights, since no loss measures how good its images are. Received: "
                f"train.restore = {template.train.restore!r}. Try --set train.restore=last."
            )
        return [StagePlan(f"{ALGORITHMS}.adversarial:Adversarial", template.train.epochs, self.adversarial)]

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        classes = next((value.classes for value in spec.targets if isinstance(value, ClassId)), ())
        num_outputs = {"num_outputs": len(classes)} if len(classes) > 1 else {}  # one class carries no information
        return {"input_shape": spec.inputs[0].shape} | num_outputs

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        image = spec.inputs[0].shape
        return {"generator": Shapes(output_shape=image), "discriminator": Shapes(image, (1,))}

    def assemble(self, network: keras.Model, spec: DatasetSpec, *, center: Any = None) -> keras.Model:
        import keras

        inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in network.inputs]
        model_inputs = inputs if len(inputs) > 1 else inputs[0]
        return keras.Model(model_inputs, network(model_inputs), name=network.name)

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        import keras

        from dltemplates.tasks.assemble import make_contract

        generator = model.get_layer(model.name).get_layer("generator")
        inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in generator.inputs]
        tanh_image = generator(inputs if len(inputs) > 1 else inputs[0])
        image = keras.layers.Rescaling(127.5, offset=127.5, name="image", dtype="float32")(tanh_image)
        features: list[AnyFeature] = [Noise(name="noise", dtype="float32", shape=tuple(inputs[0].shape[1:]))]
        if len(inputs) > 1:
            (label,) = spec.targets
            features.append(label.model_copy(update={"dtype": "int32", "counts": None}))
        model_inputs = {tensor.name: tensor for tensor in inputs} if len(inputs) > 1 else inputs[0]
        served = keras.Model(model_inputs, {"image": image}, name="generator")
        (real,) = spec.inputs
        served_spec = spec.model_copy(update={"inputs": tuple(features), "targets": (real, *features[1:])})
        contract = make_contract(served_spec, template, (self.output_like(real),), name=name)
        return {"": ServingModel(served, contract)}

    def output_like(self, image: Feature) -> Image:
        """Return the generated image as a feature, with the shape of a real one."""
        return Image(name="image", dtype="float32", shape=image.shape, range=(0, 255))

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        """Score images by diversity and with the evaluator; warn of mode collapse."""
        real, generated = (arrays["image"].astype(np.float32) for arrays in (targets, outputs))
        diversity = quality.diversity(real, generated)
        scores, details = {"diversity": diversity}, {"examples": len(generated)}
        collapse_warning = quality.collapse_warning(diversity)
        if self.evaluator_name is not None:
            evaluator_scores, more = self._evaluator_scores(real, generated, targets)
            scores, details = evaluator_scores | scores, details | more
            collapse_warning = quality.collapse_warning(
                diversity, scores["class_coverage"], len(self.evaluator.classes)
            )
        warnings = (f"mode collapse, or too little training so far: {collapse_warning}",) if collapse_warning else ()
        return Evaluation(scores, targets, outputs, details, is_gate=False, warnings=warnings)

    def _evaluator_scores(
        self, real: np.ndarray, generated: np.ndarray, targets: Arrays
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the scores and details from the evaluator."""
        (_, real_features), (probabilities, features) = self.evaluator(real), self.evaluator(generated)
        shares = quality.class_shares(probabilities)
        scores = {
            "fid": quality.frechet_distance(real_features, features),
            "class_coverage": float(quality.class_coverage(shares)),
            "confidence": float(probabilities.max(axis=1).mean()),
        }
        for value in self.class_targets:
            if value.name in targets:
                scores["class_accuracy"] = float(np.mean(probabilities.argmax(axis=1) == targets[value.name]))
        details: dict[str, Any] = {
            "evaluator": {"run": str(self.evaluator.run.path), "sha256": self.evaluator.sha256},
            "class_shares": dict(zip(self.evaluator.classes, shares.tolist(), strict=True)),
        }
        if len(real) >= MIN_IMAGES_FOR_HALVES:
            # The distance between two halves of the real images: a lower bound for any generator.
            details["fid_of_real"] = quality.frechet_distance(real_features[::2], real_features[1::2])
        return scores, details

    @cached_property
    def evaluator(self) -> Evaluator:
        """The classifier that scores the images.

        Raises:
            ValueError: If its run is missing or incomplete, it is not an image classifier, or its classes differ from
                the data's.
        """
        from dltemplates.tasks.scoring.evaluator import check_classes, load_evaluator

        assert self.evaluator_name  # used only with an evaluator
        evaluator = load_evaluator(self.evaluator_name)
        check_classes(str(evaluator.run.path), evaluator.classes, self.class_targets)
        return evaluator

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.outcomes import grid_figure

        return {"samples": grid_figure(evaluation.outputs["image"])}
