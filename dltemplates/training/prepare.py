"""A template's data, model and stages, ready to train on the chosen devices."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from dltemplates.datasets.images.files import file_sources
from dltemplates.datasets.series.sequences import unequal_lengths
from dltemplates.datasets.source import Dataset
from dltemplates.devices.facts import visible_gpus
from dltemplates.features import ClassId, Image, Number
from dltemplates.models.build import build_network
from dltemplates.models.weights import set_weights
from dltemplates.runs import Run
from dltemplates.settings import NO_DATASET
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.model_signature import check_network
from dltemplates.tasks.padding import check_padding, have_padding
from dltemplates.tasks.stage_plan import StagePlan, check_transfer
from dltemplates.tasks.task import Task
from dltemplates.template import Template
from dltemplates.train_settings import Cosine
from dltemplates.training.batch_size import batch_note, with_fitting_batch
from dltemplates.training.data import TrainingData
from dltemplates.training.environment_stage import EnvironmentStage
from dltemplates.training.features import FeatureStage, last_layers
from dltemplates.training.importing.pretrained import load_pretrained, take_weights
from dltemplates.training.optimizers import make_optimizer, make_sgd
from dltemplates.training.recording.sample_logger import SampleLogger
from dltemplates.training.recording.text_logger import TextLogger
from dltemplates.training.resolve import resolve
from dltemplates.training.speed.fused import fuse
from dltemplates.training.speed.loop import pays_to_compile
from dltemplates.training.stages import DatasetStage, Stage, chain_stages, labeled_examples, make_order
from dltemplates.training.strategy import Distribution
from dltemplates.training.workers.replicas import for_replicas

# Errors from reading files, unlike errors such as exhausted memory.
UNREADABLE = (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnknownError, tf.errors.DataLossError)

MIN_VALIDATION_STEPS = 100  # with `train.steps`: validating a short table after every epoch would take most of the time

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True)
class Training:
    """A training, ready to run.

    Attributes:
        template: The template, with the values that follow from the data and the network.
        dataset: The data.
        task: The task.
        definition: The model to save and export, in float32, with the initial weights.
        stages: The parts of the training in order; all train the same model.
        distribution: The devices.
        fresh: Names of the layers without pretrained weights, in a network that has some.
    """

    template: Template
    dataset: Dataset
    task: Task
    definition: keras.Model
    stages: tuple[Stage, ...]
    distribution: Distribution
    fresh: list[str]

    @property
    def total_steps(self) -> int:
        return self.stages[-1].end_step

    @property
    def model(self) -> keras.Model:
        """The model in training."""
        return self.stages[-1].model

    @property
    def variables(self) -> dict[str, list[Any]]:
        """All variables to save for resuming, in groups."""
        groups = {"model": self.model.variables}
        for index, stage in enumerate(self.stages):
            own = {name: members for name, members in stage.variables.items() if name != "model"}
            groups |= {f"{index}/{name}" if len(self.stages) > 1 else name: members for name, members in own.items()}
        return groups

    @property
    def extra_states(self) -> dict[str, bytes]:
        """Extra states of the stages to save for resuming, by index of the stage."""
        states = {str(index): stage.extra_state() for index, stage in enumerate(self.stages)}
        return {index: state for index, state in states.items() if state}

    def restore(self, extra_states: dict[str, bytes]) -> None:
        """Restore the stages from their extra states."""
        for index, state in extra_states.items():
            self.stages[int(index)].restore(state)

    @cached_property
    def sample_logger(self) -> SampleLogger | None:
        """The logger of generated samples; None for a task without a generator."""
        if self.task.generator is None:
            return None
        return SampleLogger(self.model, self.task, self.dataset, self.template)

    @cached_property
    def text_logger(self) -> TextLogger | None:
        """The logger of written texts; None for a task that writes none."""
        if self.task.kind != "tokens":
            return None
        return TextLogger(self.definition, self.task, self.dataset, self.template)

    def broken(self) -> dict[str, str]:
        """Return the files that broke after they were scanned, each with the reason."""
        return {name: reason for source in file_sources(self.dataset) for name, reason in source.broken.items()}


@contextmanager
def naming_broken_files(training: Training) -> Iterator[None]:
    """Name the broken file when it stops the training; TensorFlow's own error does not.

    Raises:
        ValueError: If an image file broke and `fail_on_bad_image` is set.
    """
    try:
        yield
    except UNREADABLE:
        for source in file_sources(training.dataset):
            if source.fail_on_bad_image:
                source.check()
        raise


def prepare(
    template: Template,
    distribution: Distribution | None = None,
    *,
    fail_on_bad_image: bool = True,
    run: Run | None = None,
) -> Training:
    """Load the data, build the model and the stages, and find all errors in the template.

    Args:
        template: The template.
        distribution: The devices; by default TensorFlow's current strategy.
        fail_on_bad_image: Stop at an image that broke after it was scanned. Otherwise another image replaces it.
        run: The run to resume. Its examples keep their splits and their order.

    Raises:
        ValueError: If the template does not fit its data or the devices.
    """
    distribution = distribution or Distribution(tf.distribute.get_strategy())
    settings = template.train
    check_transfer(template)
    keras.utils.set_random_seed(template.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    task, dataset = load_for(template, run=run)
    for source in file_sources(dataset):
        source.fail_on_bad_image = fail_on_bad_image
    examples = len(dataset.split("train"))
    if settings.num_labeled and not task.needs_target:
        raise ValueError(
            f"`train.num_labeled` is for tasks that learn from labels. Received: {settings.num_labeled} for "
            f"{task.name}. Leave it out; for fewer examples change dataset.validation and dataset.test."
        )
    if template.dataset.name != NO_DATASET:
        labeled_examples(template, examples)  # refuse before anything is built
        fitting = with_fitting_batch(template, examples)
        if note := batch_note(template, fitting, examples):
            warnings = (*dataset.spec.warnings, note)
            dataset = replace(dataset, spec=dataset.spec.model_copy(update={"warnings": warnings}))
        template = fitting
    if settings.trainable == "head":
        _check_head(task)
    network = _network(template, task, dataset)
    template = resolve(template, dataset, network)
    settings = template.train
    pretrained = load_pretrained(template.model, network)
    center = pretrained.center if pretrained else None
    definition = task.assemble(network, dataset.spec, center=center)
    if have_padding(dataset.spec):
        check_padding(definition, dataset.spec)
    fresh = take_weights(network, pretrained) if pretrained else []
    class_weights = _class_weights(template, dataset)
    data = TrainingData(dataset, task, settings.augment, class_weights, distribution.shard)

    with distribution.strategy.scope(), _policy(resolve_precision(settings.precision)):
        keras.utils.set_random_seed(template.seed)
        model = task.assemble(_network(template, task, dataset), dataset.spec, center=center)
        if distribution.replicas > 1:
            model = for_replicas(model)
        else:
            fuse(model)
        set_weights(model, definition.get_weights())
        _penalize_kernels(model, settings.weight_decay)
        stages = chain_stages(
            [_stage(plan, model, template, data, distribution, definition) for plan in task.stages(model, template)]
        )
    with distribution.strategy.scope():
        for stage in stages:
            stage.build()
    return Training(template, dataset, task, definition, stages, distribution, fresh)


def _check_head(task: Task) -> None:
    if not task.has_head or len(task.inputs) > 1 or not isinstance(task.inputs[0], (Image, Number)):
        raise ValueError(
            "`train.trainable` = head is for classes or numbers, predicted from one image or from numbers. Received: "
            f"task {task.name} with {', '.join(f'{value.name} ({value.kind})' for value in task.inputs)}. Try --set "
            "train.trainable=all."
        )


def _stage(
    plan: StagePlan,
    model: keras.Model,
    template: Template,
    data: TrainingData,
    distribution: Distribution,
    definition: keras.Model,
) -> Stage:
    """Build a stage from a task's plan, in the strategy's scope."""
    settings = template.train
    if plan.learning_rate is not None:
        rate = Cosine(name="cosine", peak=plan.learning_rate)
        settings = settings.model_copy(update={"learning_rate": rate})
    if plan.environment is None:
        examples = len(data.dataset.split("train"))
        only = labeled_examples(template, examples) if plan.only_labeled else None
        order = make_order(template, data.dataset, only)
        steps_per_epoch = order.steps_per_epoch
    else:
        steps_per_epoch = plan.steps_per_epoch
    most = math.inf if plan.epochs is None else plan.epochs * steps_per_epoch
    steps = int(min(most, settings.steps or math.inf))
    epochs_per_validation = math.ceil(MIN_VALIDATION_STEPS / steps_per_epoch) if settings.steps else 1

    def optimizer(steps_per_batch: int = 1) -> keras.optimizers.Optimizer:
        if plan.optimizer is not None:
            sgd, learning_rate = plan.optimizer
            return make_sgd(sgd, learning_rate, steps_per_epoch=steps_per_epoch)
        lengths = {"steps": steps * steps_per_batch, "steps_per_epoch": steps_per_epoch * steps_per_batch}
        inner = make_optimizer(settings, **lengths)
        is_scaled = keras.config.dtype_policy().name == "mixed_float16"
        return keras.optimizers.LossScaleOptimizer(inner) if is_scaled else inner

    trained = last_layers(model, plan.part) if plan.part else model
    algorithm = load_algorithm(plan.algorithm).make(trained, optimizer, template, **plan.options)
    if plan.part is not None:
        parts = {"model": model, "definition": definition, "part": plan.part}
        return FeatureStage(
            algorithm, data, order, distribution, steps=steps, epochs_per_validation=epochs_per_validation, **parts
        )
    if plan.environment is not None:
        if distribution.replicas > 1:
            raise ValueError(
                f"A training in an environment needs one device. Received: {distribution}. Add --strategy single."
            )
        return EnvironmentStage(
            algorithm,
            plan.environment,
            seed=template.seed,
            name=plan.name,
            steps=steps,
            steps_per_epoch=steps_per_epoch,
            epochs_per_validation=epochs_per_validation,
        )
    jit_compile = pays_to_compile(model, distribution.replicas, deterministic=settings.deterministic)
    return DatasetStage(
        algorithm,
        data,
        order,
        distribution,
        steps=steps,
        epochs_per_validation=epochs_per_validation,
        name=plan.name,
        jit_compile=jit_compile,
    )


def load_algorithm(algorithm: Any) -> Any:
    """Return the class of an algorithm: a class, or its path `package.module:Class`."""
    if not isinstance(algorithm, str):
        return algorithm
    module, _, name = algorithm.partition(":")
    return getattr(importlib.import_module(module), name)


def resolve_precision(precision: str) -> Precision:
    """Resolve `auto` to `mixed_bfloat16` if every GPU supports bfloat16, else to `float32`."""
    if precision != "auto":
        return precision  # type: ignore[return-value]
    gpus = visible_gpus()
    return "mixed_bfloat16" if gpus and all(gpu.has_bfloat16 for gpu in gpus) else "float32"


@contextmanager
def _policy(precision: Precision) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _network(template: Template, task: Task, dataset: Dataset) -> keras.Model:
    sizes = task.model_sizes(dataset.spec)
    try:
        network = build_network(template.model.name, sizes, template.model.options)
    except ValueError:
        if have_padding(dataset.spec):
            shape = dataset.spec.inputs[0].shape
            build_network(template.model.name, sizes | {"input_shape": shape}, template.model.options)
            raise ValueError(unequal_lengths(f"Model `{template.model.name}`", dataset.spec)) from None
        raise
    check_network(network, task, dataset.spec)
    return network


def _penalize_kernels(model: keras.Model, weight_decay: float) -> None:
    # On the variables, not in the layers' configs, to keep the penalty out of the definition file.
    for variable in model.trainable_variables:
        if weight_decay and "kernel" in variable.name:
            variable.regularizer = keras.regularizers.L2(weight_decay / 2)


def _class_weights(template: Template, dataset: Dataset) -> np.ndarray | None:
    """Return weights that make all classes count equally; their mean over the training examples is 1."""
    if template.train.class_weight == "none":
        return None
    if template.train.num_labeled:
        raise ValueError(
            "`train.class_weight` needs the classes of all training examples. Received: train.num_labeled = "
            f"{template.train.num_labeled}. Drop one of them."
        )
    target = dataset.spec.targets[0]
    if not isinstance(target, ClassId) or target.shape or target.counts is None:
        raise ValueError(
            f"`train.class_weight` needs one class per example. Received: a target of kind `{target.kind}` and shape "
            f"{target.shape}. Try --set train.class_weight=none."
        )
    counts = np.array(target.counts, np.float32)
    return counts.sum() / (len(counts) * counts)
