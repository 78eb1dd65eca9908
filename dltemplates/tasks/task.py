"""What every task offers. Importing a task imports no TensorFlow: an exported file is judged and shown without it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from dltemplates import catalog
from dltemplates.datasets.source import Arrays, Dataset, Source, column
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.datasets.splits import Strata
from dltemplates.features import AnyFeature, ClassId, Feature, Number, Probabilities, classes_of, columns_of
from dltemplates.settings import Named
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.stage_plan import ALGORITHMS, StagePlan, layerwise_pretraining

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from dltemplates.tasks.serving.contract import ServingModel
    from dltemplates.template import Template

    Losses: TypeAlias = keras.losses.Loss | dict[str, keras.losses.Loss]
    Metrics: TypeAlias = list[keras.metrics.Metric] | dict[str, list[keras.metrics.Metric]]


class Task(ABC):
    """What a model is trained for.

    It is made for the inputs and targets of a dataset, or of the contract in an exported file.

    Attributes:
        name: Its name in the catalog.
        kind: The kind of its target.
        input_kinds: Kinds of input that it can use, of which an example has one alone; `()` for any inputs.
        target_kinds: Kinds of the targets that data must have; `()` for any, None for one target of `kind`.
        needs_target: Whether the data must have a target; where not, the user's own may have none.
        direction: Whether a larger (`max`) or smaller (`min`) score is better.
        budget: Greatest drop of the score that an export may cost: `"0.01"`, or `"1%"` of the float score.
        monitor: The figure of `history.csv` by which the best weights are kept; cheap, on validation.
        monitor_direction: Whether a larger or smaller monitored figure is better.
        generator: Which of what it serves makes examples of noise, `""` for the whole; None where nothing does.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    input_kinds: ClassVar[tuple[str, ...]] = ()
    target_kinds: ClassVar[tuple[str, ...] | None] = None
    needs_target: ClassVar[bool] = True
    direction: ClassVar[Literal["max", "min"]] = "max"
    budget: ClassVar[str] = "0.01"
    monitor: ClassVar[str]
    monitor_direction: ClassVar[Literal["max", "min"]] = "max"
    generator: ClassVar[str | None] = None

    def __init__(self, spec: IOSpec):
        """Make the task.

        Args:
            spec: The inputs and targets of a dataset or a contract.
        """
        self.inputs = spec.inputs
        (self.target,) = self.targets_of(spec)

    @classmethod
    def own_dataset(cls, options: Mapping[str, Any]) -> Dataset | None:
        """Return the data of a task that needs no dataset, such as what an agent saw; None for a task that needs one.

        It calibrates integers, and exported files are compared with Keras on it.

        Args:
            options: The options of the task, as in a template.
        """
        return None

    @classmethod
    def targets_of(cls, spec: IOSpec) -> tuple[Feature, ...]:
        """Return what the task predicts and compares with, of a dataset that `adapt` has changed or not."""
        return spec.targets

    def adapt(self, dataset: Dataset) -> Dataset:
        """Return the data as this task looks at it, with the targets that it uses; all examples stay in place."""
        return dataset

    def strata(self, dataset: Dataset) -> Strata | None:
        """Return the groups of examples of which each split is to have the same share; None for none.

        Args:
            dataset: The data as it was loaded; its split `train` is what is split.
        """
        if not dataset.spec.targets:
            return None
        target = dataset.spec.targets[0]
        if not isinstance(target, ClassId) or target.shape:  # several of an example, such as one for each box
            return None
        # Where the task does not ask for classes they only make its splits those of a classifier of the same data.
        names = target.classes if self.needs_target else ()
        return Strata(column(dataset.split("train"), target.name), names)

    def prepare_train(self, split: Source) -> Source:
        """Return the training split as it is trained on; it may lack examples. Statistics are fitted after it.

        Args:
            split: Examples of an adapted dataset.

        Raises:
            ValueError: If they are not to be trained on.
        """
        return split

    def check_splits(self, dataset: Dataset) -> None:
        """Check that the splits can be trained on, and judged by.

        Args:
            dataset: The adapted data, split and fitted.

        Raises:
            ValueError: If not.
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
        """Return the stages of a training, in turn; the last one trains what is kept.

        Args:
            model: The assembled model.
            template: What is trained.

        Raises:
            ValueError: If the template does not fit.
        """

    def monitor_subset(self, validation: Source) -> Source:
        """The examples of the validation split of which the monitored figure is taken: all of them."""
        return validation

    def calibrate(self, model: keras.Model, dataset: Dataset) -> DatasetSpec:
        """The spec of the data, with what is fitted to the trained model when training ends."""
        return dataset.spec

    def assemble(
        self, network: keras.Model, spec: DatasetSpec, *, center: tuple[float, ...] | None = None
    ) -> keras.Model:
        """Join preprocessing and network into the model that is trained."""
        from dltemplates.tasks.assemble import assemble

        return assemble(network, spec, center=center)

    @abstractmethod
    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        """What is exported of a trained model: the whole under `""`, and parts of it by their names."""

    @abstractmethod
    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        """The sizes a builder may ask for by name, such as `input_shape` and `num_outputs`."""

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        """What a network must be to be trained for this task.

        Returns:
            The shapes of the network under `""`, and those of each part that it must hold under its name, after those
            of the layers that it is in, such as `encoder/mean`.
        """
        return {}

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of what it tells apart, which travel with the network; None without any."""
        return None

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        """Turn a batch of examples into what a step of training or validation takes.

        Args:
            example: The raw inputs and targets by name, tensors (batch, ...); images are augmented already.
            training: Whether the batch is trained on.

        Returns:
            The inputs of the model, the targets of the loss, and the weights of the targets' elements. Each is a tensor
            or a dictionary of tensors. A weight is (batch,), or has further axes of its target: (batch, length) weighs
            each token, (batch, boxes) each box. The loss is the weighted sum over the elements, divided by the number
            of those whose weight is not 0. None weighs every example by 1.
        """
        return self.model_inputs(example), example[self.target.name], None

    def model_inputs(self, example: dict[str, Any]) -> Any:
        """Return the inputs of the model in an example: one tensor, or several by name."""
        inputs = {value.name: example[value.name] for value in self.inputs}
        return inputs if len(inputs) > 1 else next(iter(inputs.values()))

    def predict(self, system: System, inputs: Arrays) -> Arrays:
        """Run a system on some examples: by default the whole network.

        What decodes step by step, or suppresses boxes, does so here, with the parts of the system.

        Args:
            system: The parts of a run in one runtime, as named predictors.
            inputs: The raw inputs by name, each (n, ...).

        Returns:
            The outputs by name, each (n, ...).
        """
        return system.whole(inputs)

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score a system on a split.

        By default the whole network is run over the split. What needs more than one pass, or plays episodes, does so
        here.

        Args:
            system: The parts of a run in one runtime, as named predictors.
            source: The examples that `serve`'s parts take.
        """
        return self.compare(*system.whole.predict(source))

    @abstractmethod
    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        """Score outputs on a whole split.

        Args:
            targets: Raw targets by name, each (n, ...).
            outputs: Outputs by name, each (n, ...).
        """

    def decide(self, outputs: Arrays) -> np.ndarray | None:
        """Return the decisions (n, ...) in some outputs that a user acts on; None for a task without decisions."""
        return None

    def format(self, outputs: Arrays) -> list[dict[str, Any]]:
        """What `dlt predict` says of each example, ready for JSON."""
        count = len(next(iter(outputs.values())))
        return [{name: array[index].tolist() for name, array in outputs.items()} for index in range(count)]

    def figures(self, evaluation: Evaluation) -> dict[str, Figure]:
        """Draw how a split went; figures by file name without suffix."""
        return {}

    def model_figures(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        """Pictures of what a trained network holds, and of what its parts make of a split, by file name without suffix.

        Args:
            servings: As `serving` gives them.
            source: Examples as they were seen in training.
        """
        return {}


class SupervisedTask(Task):
    """A task with a target, and a loss between that and what the network gives.

    Attributes:
        algorithm: The algorithm of its stage, as `file:Class` in `training/algorithms`.
    """

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        from dltemplates.tasks.assemble import serve

        return {"": serve(model, self, spec, template, name=name)}

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        return self.model_inputs(example), self.encode(example[self.target.name]), None

    def encode(self, target: Any) -> Any:
        """Turn a batch of raw targets (batch, ...) into what the loss takes."""
        return target

    algorithm: ClassVar[str] = "supervised:Supervised"

    def stages(self, model: keras.Model, template: Template) -> list[StagePlan]:
        """Return layer-wise pretraining, where the template asks for it, and one stage with the loss."""
        whole = StagePlan(
            algorithm=f"{ALGORITHMS}.{self.algorithm}",
            epochs=template.train.epochs,
            options={"losses": self.loss(), "metrics": self.metrics()},
            only_labeled=True,
        )
        return [*layerwise_pretraining(model, self.inputs, template), whole]

    @abstractmethod
    def loss(self) -> Losses:
        """Return the loss on logits; of a network with several outputs, a loss for each by its name: they are added."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """Return the figures of each epoch; of a network with several outputs, by the name of the output.

        The monitored figure is among them, or is the loss.
        """

    @abstractmethod
    def present(self, logits: Any) -> Any:
        """Turn the network's output into the presented output, as a Keras layer call."""

    @abstractmethod
    def output(self) -> AnyFeature:
        """The presented output."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        return classes_of(self.output()) or None


def probabilities_feature(classes: tuple[str, ...]) -> Probabilities:
    """The presented output of a task that gives each class a share: float32 (classes,), 0..1."""
    return Probabilities(
        name="probabilities",
        dtype="float32",
        shape=(len(classes),),
        range=(0, 1),
        classes=classes,
    )


def check_data(name: str, task: type[Task], spec: DatasetSpec) -> None:
    """Check that a task can use the inputs and the targets of a dataset.

    Args:
        name: The task's name in the template.
        task: Its class.
        spec: The spec of the data, as it was loaded.

    Raises:
        ValueError: If it cannot; says what it needs.
    """
    targets = (task.kind,) if task.target_kinds is None else task.target_kinds
    if task.input_kinds and (len(spec.inputs) > 1 or spec.inputs[0].kind not in task.input_kinds):
        rule, received = f"one input, of kind {' or '.join(f'`{kind}`' for kind in task.input_kinds)}", spec.inputs
        setting = _setting_for_inputs(task.input_kinds, spec.inputs)
    elif targets and targets != tuple(value.kind for value in spec.targets):
        rule, received = f"targets of kind {', '.join(f'`{kind}`' for kind in targets)}", spec.targets
        setting = _setting_for_target(targets[0], spec.targets[0])
    else:
        return
    shown = ", ".join(f"`{value.name}` of kind `{value.kind}`" for value in received)
    raise ValueError(
        f"Task {name} needs {rule}. Received: {shown}. Choose the task that fits the data: `dlt list tasks`{setting}."
    )


def _setting_for_inputs(kinds: tuple[str, ...], inputs: tuple[Feature, ...]) -> str:
    """The setting by which a table gives an input of such a kind, as the end of a message; empty where none does."""
    first, *others = inputs
    if "series" in kinds and columns_of(first):
        return "; or read a CSV file as a series, --set dataset.series.window=24"
    if first.kind in kinds and [value.kind for value in others] == ["category"]:
        skipped = " ".join(f"--set dataset.table.columns.{column.name}=skip" for column in columns_of(others[0]))
        return f"; or leave the categories out, {skipped}"
    return ""


def _setting_for_target(kind: str, target: Feature) -> str:
    """The setting by which a column of a table is a target of such a kind, likewise."""
    other = {"class": "category", "number": "number"}.get(kind)
    if not (other and isinstance(target, ClassId | Number) and target.columns):
        return ""
    from dltemplates.datasets.tables.columns import are_numbers  # imports pandas, which most commands do without

    if other == "number" and not are_numbers(classes_of(target)):
        return ""
    return f"; or say what the column is, --set dataset.table.columns.{target.columns[0].name}={other}"


def make_task(settings: Named, spec: IOSpec, *, from_file: bool = False) -> Task:
    """Make the task of a template for a dataset, or that of a contract.

    Args:
        settings: The task's name and options.
        spec: The inputs and targets of the dataset or the contract.
        from_file: As in `catalog.load`.

    Raises:
        ValueError: If there is no such task, or it cannot take an option.
    """
    made = task_class(settings, from_file=from_file)
    try:
        return made(spec, **settings.options)
    except TypeError as error:
        raise ValueError(
            f"Task {settings.name} must know its options. Received: {', '.join(settings.options)} ({error}). "
            f"See `dlt show {settings.name}`."
        ) from error


def task_class(settings: Named, *, from_file: bool = False) -> type[Task]:
    """The class of a template's task.

    Raises:
        ValueError: If there is no such task.
    """
    found = catalog.load("task", settings.name, from_file=from_file)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ValueError(
            f"A task of your own must be a class derived from `Task`. Received: {settings.name!r}. "
            "See dltemplates/tasks/classification.py for one."
        )
    return found
