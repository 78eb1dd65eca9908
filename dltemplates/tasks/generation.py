"""Making examples of noise: what generative adversarial networks are trained for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dltemplates.datasets.spec import DatasetSpec, Like
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

    from dltemplates.tasks.scoring.evaluator import Judge

LOSSES = ("gan", "wasserstein")
NO_JUDGE = "none"
LEAST_FOR_HALVES = 4  # images: a covariance needs two of each half


class Generation(Task):
    """Make images that look like those of the data, by two players.

    The generator is served: `noise`, standard normal numbers, and of a network that is told the class `label`, to
    `image`, between 0 and 255. Its images are held against real ones: `spread` says how much they differ from each
    other, 1 as much as real ones. A judge, a classifier that was trained before, says more: `distance`, the Frechet
    distance from real ones in its features; `coverage`, how many classes are made; `confidence`, how sure it is; where
    the network is told the class, `class_accuracy`, how often it is the one made.
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
        spec: Like,
        *,
        loss: Literal["gan", "wasserstein"] = "gan",
        critic_steps: int = 1,
        penalty: float = 10.0,
        judge: str | None = None,
    ):
        """Make the task.

        Args:
            spec: The data; a network that asks for classes is given the class of each image.
            loss: `gan`, as Goodfellow 2014 has it, or `wasserstein`, with a penalty on the slope of the critic.
            critic_steps: Steps of the discriminator for one of the generator, 1 to 31, each on its part of the batch.
            penalty: Weight of the penalty on the slope of the critic.
            judge: The classifier that judges: the folder of its run, or the name of its template; that is trained once
                where there is no run of it. `none`, as nothing, is no judge.

        Raises:
            ValueError: If an option is out of range.
        """
        if loss not in LOSSES:
            raise ValueError(f"`loss` must be one of {', '.join(LOSSES)}. Received: {loss!r}. Leave it out.")
        if not isinstance(critic_steps, int) or isinstance(critic_steps, bool) or not 1 <= critic_steps <= 31:
            raise ValueError(f"`critic_steps` must be an integer of 1 to 31. Received: {critic_steps!r}. Try 5.")
        if not isinstance(penalty, (int, float)) or isinstance(penalty, bool) or not 0 <= penalty < np.inf:
            raise ValueError(f"`penalty` must be at least 0. Received: {penalty!r}. Try 10.")
        if judge is not None and (not isinstance(judge, str) or not judge):
            raise ValueError(f"`judge` must be a template or the folder of a run. Received: {judge!r}. Leave it out.")
        self.inputs = spec.inputs
        self.asked = tuple(value for value in spec.targets if isinstance(value, ClassId))
        self.judge_name = None if judge == NO_JUDGE else judge
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
        if template.train.keep != "last":
            raise ValueError(
                "A generator is kept as it is at the end, since no loss says how good its images are. Received: "
                f"train.keep = {template.train.keep!r}. Try --set train.keep=last."
            )
        return [StagePlan(f"{ALGORITHMS}.adversarial:Adversarial", template.train.epochs, self.adversarial)]

    def sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        classes = next((value.classes for value in spec.targets if isinstance(value, ClassId)), ())
        told = {"num_outputs": len(classes)} if len(classes) > 1 else {}  # of one class there is nothing to tell
        return {"input_shape": spec.inputs[0].shape} | told

    def needs(self, spec: DatasetSpec) -> dict[str, Shapes]:
        image = spec.inputs[0].shape
        return {"generator": Shapes(gives=image), "discriminator": Shapes(image, (1,))}

    def assemble(self, network: keras.Model, spec: DatasetSpec, *, center: Any = None) -> keras.Model:
        import keras

        inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in network.inputs]
        given = inputs if len(inputs) > 1 else inputs[0]
        return keras.Model(given, network(given), name=network.name)

    def serving(
        self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str
    ) -> dict[str, ServingModel]:
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
        spread = quality.spread(real, made)
        scores, details = {"spread": spread}, {"examples": len(made)}
        lack = quality.lack(spread)
        if self.judge_name is not None:
            judged, more = self._judged(real, made, targets)
            scores, details = judged | scores, details | more
            lack = quality.lack(spread, scores["coverage"], len(self.judge.classes))
        warnings = (f"the generator has collapsed, or has yet to learn: {lack}",) if lack else ()
        return Evaluation(scores, targets, outputs, details, is_gate=False, warnings=warnings)

    def _judged(self, real: np.ndarray, made: np.ndarray, targets: Arrays) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the scores and details that the classifier gives."""
        (_, real_features), (probabilities, features) = self.judge(real), self.judge(made)
        shares = quality.class_shares(probabilities)
        scores = {
            "distance": quality.frechet_distance(real_features, features),
            "coverage": float(quality.coverage(shares)),
            "confidence": float(probabilities.max(axis=1).mean()),
        }
        for value in self.asked:
            if value.name in targets:
                scores["class_accuracy"] = float(np.mean(probabilities.argmax(axis=1) == targets[value.name]))
        details: dict[str, Any] = {
            "judge": {"run": str(self.judge.run.path), "sha256": self.judge.sha256},
            "class_shares": dict(zip(self.judge.classes, shares.tolist(), strict=True)),
        }
        if len(real) >= LEAST_FOR_HALVES:
            # The distance between two halves of the real images: no generator can come nearer.
            details["distance_of_real"] = quality.frechet_distance(real_features[::2], real_features[1::2])
        return scores, details

    @cached_property
    def judge(self) -> Judge:
        """The classifier that judges.

        Raises:
            ValueError: If it is not there, not whole, no classifier of images, or one of other classes than the data's.
        """
        from dltemplates.tasks.scoring.evaluator import check_classes, load_judge

        assert self.judge_name  # asked for where there is one
        judge = load_judge(self.judge_name)
        check_classes(str(judge.run.path), judge.classes, self.asked)
        return judge

    def figures(self, evaluation: Evaluation):
        from dltemplates.figures.outcomes import grid_figure

        return {"samples": grid_figure(evaluation.outputs["image"])}
