"""The base class of tasks. Importing a task imports no TensorFlow, so that exported files are scored without it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from dltemplates import catalog
from dltemplates.datasets.source import Arrays, Dataset, Source, column
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.datasets.splitting.splits import Strata
from dltemplates.features import AnyFeature, ClassId, Feature, Probabilities, classes_of
from dltemplates.settings import Named
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.scoring.evaluation import Evaluation, System, infinite_examples
from dltemplates.tasks.stage_plan import ALGORITHMS, StagePlan, layerwise_pretraining

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from dltemplates.tasks.serving.contract import ServingModel
    from dltemplates.template import Template

    Losses: TypeAlias = keras.losses.Loss | dict[str, keras.losses.Loss]
    Metrics: TypeAlias = list[keras.metrics.Metric] | dict[str, list[keras.metrics.Metric]]


class Task(ABC):
    """A learning problem: its batches, loss, score, and serving model.

    A task is created for the inputs and targets of a dataset, or of the contract in an exported file.

    Attributes:
        name: Its name in the catalog.
        kind: The kind of its target.
        input_kinds: The kinds of input that it accepts. Each example has one input; `()` accepts any inputs.
        max_inputs: The most inputs of these kinds in an example.
        target_kinds: The kinds of the targets that the data must have; `()` for any, None for one target of `kind`.
        needs_target: Whether the data must have a target. If False, the user's data may have none.
        direction: Whether a larger (`max`) or smaller (`min`) score is better.
        budget: The largest drop in score allowed for an export: `"0.01"`, or `"1%"` of the float score.
        monitor: The metric in `history.csv` that selects the best weights; cheap, on validation.
        monitor_direction: Whether a larger or smaller monitored metric is better.
        generator: The served part that generates examples from noise, `""` for the whole network; None if no part does.
        linear_baseline: Name of the linear model among the baselines; None for a task without baselines.
        has_head: Whether the network's last layer can be trained alone, on the outputs of the layers before it.
        max_checked: The most examples of a split on which exported files are scored, evenly spaced; 0 for all.
        prediction_options: The options that `dlt predict` and `dlt evaluate` can change, since they leave the network
            as it is.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    input_kinds: ClassVar[tuple[str, ...]] = ()
    max_inputs: ClassVar[int] = 1
    target_kinds: ClassVar[tuple[str, ...] | None] = None
    needs_target: ClassVar[bool] = True
    direction: ClassVar[Literal["max", "min"]] = "max"
    budget: ClassVar[str] = "0.01"
    monitor: ClassVar[str]
    monitor_direction: ClassVar[Literal["max", "min"]] = "max"
    generator: ClassVar[str | None] = None
    linear_baseline: ClassVar[str | None] = None
    has_head: ClassVar[bool] = False
    max_checked: ClassVar[int] = 0
    prediction_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: IOSpec):
        """Create the task.

        Args:
            spec: The inputs and targets of a dataset or a contract.
        """
        self.inputs = spec.inputs
        (self.target,) = self.targets_of(spec)

    @classmethod
    def own_dataset(cls, options: Mapping[str, Any]) -> Dataset | None:
        """Return the data of a task that needs no dataset, such as an agent's observations; None if it needs one.

        An export uses it to calibrate integer files, and to compare each file with Keras.

        Args:
            options: The options of the task, as in a template.
        """
        return None

    @classmethod
    def targets_of(cls, spec: IOSpec) -> tuple[Feature, ...]:
        """Return the targets that the task predicts and is scored on, before or after `adapt`."""
        return spec.targets

    def adapt(self, dataset: Dataset) -> Dataset:
        """Return the data with the targets that this task uses; keep all examples and their order."""
        return dataset

    def strata(self, dataset: Dataset) -> Strata | None:
        """Return the groups for stratified splits; None for splits without strata.

        Args:
            dataset: The data as it was loaded; its `train` split will be divided.
        """
        if not dataset.spec.targets:
            return None
        target = dataset.spec.targets[0]
        if not isinstance(target, ClassId) or target.shape:  # several classes per example, such as one per box
            return None
        # A task without a target still splits by class, to get the same splits as a classifier on the same data.
        names = target.classes if self.needs_target else ()
        return Strata(column(dataset.split("train"), target.name), names)

    def prepare_train(self, split: Source) -> Source:
        """Return the examples to train on; some may be dropped. Statistics are fitted afterwards.

        Args:
            split: The training split of an adapted dataset.

        Raises:
            ValueError: If the task cannot train on these examples.
        """
        return split

    def check_splits(self, dataset: Dataset) -> None:
        """Check that the splits allow training and scoring.

        Args:
            dataset: The adapted data, split and fitted.

        Raises:
            ValueError: If they do not.
        """
        if not dataset.spec.targets or not self.needs_target:
            return
        target = dataset.spec.targets[0]
        if not isinstance(target, ClassId) or target.counts is None:
            return
        for name, count in zip(target.classes, target.counts, strict=True):
            if not count:
                raise ValueError(
                    f"There must be an example of each class to train on. Received: none of {name!r} in train. Add "
                    "some, or remove the class; numbers to predict must be floats."
                )

    @abstractmethod
    def stages(self, model: keras.Model, template: Template) -> list[StagePlan]:
        """Return the stages of the training, in order; the run keeps the weights of the last one.

        Args:
            model: The assembled model.
            template: The template to train.

        Raises:
            ValueError: If the template does not fit.
        """

    def monitor_subset(self, validation: Source) -> Source:
        """Return the validation examples for the monitored metric; by default all of them."""
        return validation

    def calibrate(self, model: keras.Model, dataset: Dataset) -> DatasetSpec:
        """Return the spec of the data, with the values fitted after training, such as a threshold."""
        return dataset.spec

    def assemble(
        self, network: keras.Model, spec: DatasetSpec, *, center: tuple[float, ...] | None = None
    ) -> keras.Model:
        """Join preprocessing and network into the model to train."""
        from dltemplates.tasks.assemble import assemble

        return assemble(network, spec, center=center)

    @abstractmethod
    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        """Return the serving models to export: the whole network under `""`, and its parts by name."""

    @abstractmethod
    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        """Return the sizes that a builder may take by name, such as `input_shape` and `num_outputs`."""

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        """Return the shapes that a network must have for this task.

        Returns:
            The shapes of the network under `""`, and the shapes of each required part under its path, such as
            `encoder/mean` for the layer `mean` in the layer `encoder`.
        """
        return {}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The class names, which travel with the network; None without classes."""
        return None

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        """Turn a batch of examples into inputs, targets and weights.

        Args:
            example: The raw inputs and targets by name, tensors (batch, ...); images are already augmented.
            training: Whether this is a training batch.

        Returns:
            The inputs of the model, the targets of the loss, and the weights of the targets' elements. Each is a tensor
            or a dictionary of tensors. A weight is (batch,), or has further axes of its target: (batch, length) weighs
            each token, (batch, boxes) each box. The loss is the weighted sum over the elements, divided by the number
            of elements with nonzero weight. None gives every example weight 1.
        """
        return self.model_inputs(example), example[self.target.name], None

    def model_inputs(self, example: dict[str, Any]) -> Any:
        """Return the model's inputs from a batch: one tensor, or several by name."""
        inputs = {value.name: example[value.name] for value in self.inputs}
        return inputs if len(inputs) > 1 else next(iter(inputs.values()))

    def predict(self, system: System, inputs: Arrays) -> Arrays:
        """Run a system on some examples; by default its whole network.

        Override this to decode step by step or to suppress boxes with the parts of the system.

        Args:
            system: The parts of a run in one runtime, as named predictors.
            inputs: The raw inputs by name, each (n, ...).

        Returns:
            The outputs by name, each (n, ...).
        """
        return system.whole(inputs)

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score a system on a split.

        By default, run the whole network over the split. Override this for several passes or for episodes.

        Args:
            system: The parts of a run in one runtime, as named predictors.
            source: Examples with the inputs of the served parts.

        Raises:
            ValueError: If an output is NaN or infinite, since it is no answer that could be right or wrong.
        """
        targets, outputs = system.whole.predict(source)
        if found := infinite_examples(outputs):
            name, examples = found
            raise ValueError(
                f"Predictions must be finite. Received: NaN or infinity in `{name}` for {len(examples)} of "
                f"{len(source)} examples, first for example {examples[0] + 1}. Check the data for values far from the "
                "training data; if the run itself is finite here, export another format."
            )
        return self.compare(targets, outputs)

    @abstractmethod
    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        """Score outputs on a whole split.

        Args:
            targets: Raw targets by name, each (n, ...).
            outputs: Outputs by name, each (n, ...).
        """

    def decide(self, outputs: Arrays) -> np.ndarray | None:
        """Return the decisions (n, ...), such as class ids, from outputs; None for a task without decisions."""
        return None

    def baselines(self, train: Source, targets: Arrays) -> dict[str, Arrays]:
        """Return the outputs of simple rules for a split; a task with a `linear_baseline` has at least one.

        It is also compared with models of scikit-learn; see `scoring/baselines.py`.

        Args:
            train: The training examples.
            targets: The targets of the split by name, each (n, ...).

        Returns:
            The outputs of each rule, by its name.
        """
        return {}

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        """Return the result of `dlt predict` for each example, ready for JSON."""
        count = len(next(iter(outputs.values())))
        return [{name: array[index].tolist() for name, array in outputs.items()} for index in range(count)]

    def sample_texts(self, system: System, validation: Source) -> list[dict[str, str]]:
        """Return texts that the network writes for a few examples, always the same; for tasks whose target is tokens.

        Args:
            system: The parts of the network during training.
            validation: The validation examples.

        Returns:
            The texts of each example: what the network reads, what it writes, and perhaps what it should write.
        """
        return []

    def figures(self, evaluation: Evaluation) -> dict[str, Figure]:
        """Draw the results on a split; return figures by file name without suffix."""
        return {}

    def model_figures(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        """Draw the trained network and the outputs of its parts; return figures by file name without suffix.

        Args:
            servings: The serving models, from `serve`.
            source: Examples of the adapted data.
        """
        return {}


class SupervisedTask(Task):
    """A task with a loss between the network's output and a target.

    Attributes:
        algorithm: The algorithm of its stage, as `file:Class` in `training/algorithms`.
    """

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        from dltemplates.tasks.assemble import serve

        return {"": serve(model, self, spec, template, name=name)}

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        return self.model_inputs(example), self.encode(example[self.target.name]), None

    def encode(self, target: Any) -> Any:
        """Turn a batch of raw targets (batch, ...) into the targets of the loss."""
        return target

    algorithm: ClassVar[str] = "supervised:Supervised"

    def stages(self, model: keras.Model, template: Template) -> list[StagePlan]:
        """Return one stage with the loss; with layer-wise pretraining before it, or with fine-tuning after the head."""
        train = template.train

        def plan(**settings: Any) -> StagePlan:
            options = {"losses": self.loss(), "metrics": self.metrics()}
            return StagePlan(f"{ALGORITHMS}.{self.algorithm}", options=options, only_labeled=True, **settings)

        if train.trainable == "head":
            tuning = {"epochs": train.finetune_epochs, "learning_rate": train.finetune_learning_rate}
            head = plan(epochs=train.epochs, part="head")
            return [head, plan(part="last_blocks", **tuning)] if train.finetune_epochs else [head]
        return [*layerwise_pretraining(model, self.inputs, template), plan(epochs=train.epochs)]

    @abstractmethod
    def loss(self) -> Losses:
        """Return the loss on logits; for several outputs, a loss for each name, to be added."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """Return the metrics of each epoch; for several outputs, by output name.

        They include the monitored metric, unless that is the loss.
        """

    @abstractmethod
    def present(self, logits: Any) -> Any:
        """Turn the network's output into the presented output, as a Keras layer call."""

    @abstractmethod
    def output(self) -> AnyFeature:
        """Return the presented output."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        return classes_of(self.output()) or None


def probabilities_feature(classes: tuple[str, ...]) -> Probabilities:
    """Return the presented output of a task that predicts class probabilities: float32 (classes,), 0..1."""
    return Probabilities(
        name="probabilities",
        dtype="float32",
        shape=(len(classes),),
        range=(0, 1),
        classes=classes,
    )


def make_task(settings: Named, spec: IOSpec, *, from_file: bool = False) -> Task:
    """Create the task of a template or a contract.

    Args:
        settings: The task's name and options.
        spec: The inputs and targets of the dataset or the contract.
        from_file: As in `catalog.load`.

    Raises:
        ValueError: If there is no such task, or it cannot take an option.
    """
    cls = task_class(settings, from_file=from_file)
    try:
        return cls(spec, **settings.options)
    except TypeError as error:
        raise ValueError(
            f"Task {settings.name} does not have these options. Received: {', '.join(settings.options)} ({error}). "
            f"See `dlt show {settings.name}`."
        ) from error


def task_class(settings: Named, *, from_file: bool = False) -> type[Task]:
    """Return the class of a template's task.

    Raises:
        ValueError: If there is no such task.
    """
    loaded = catalog.load("task", settings.name, from_file=from_file)
    if not (isinstance(loaded, type) and issubclass(loaded, Task)):
        raise ValueError(
            f"A task of your own must be a class derived from `Task`. Received: {settings.name!r}. "
            "See dltemplates/tasks/classification.py for an example."
        )
    return loaded
