"""Train a template: from its data to a run folder, exactly resumable at every step."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dltemplates.datasets.files import FileSource
from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.pipeline import TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.models.build import build_network
from dltemplates.runs import Run, latest_run_path, load_run, make_run, new_run_path
from dltemplates.tasks.assemble import assemble
from dltemplates.tasks.task import Task, make_task
from dltemplates.template import Template
from dltemplates.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from dltemplates.training.optimizers import make_optimizer, make_schedule
from dltemplates.training.progress import Reporter, Silent
from dltemplates.training.record import begin_run, score_run
from dltemplates.training.signals import StopRequest, stop_on_signals

TICK_SECONDS = 0.5  # between two looks at the loss, each of which waits for the device
EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Training:
    """All that a template stands for, ready to run.

    Attributes:
        model: Compiled and built, metrics and optimizer too: every variable exists.
        definition: The same layers, not compiled.
        order: Which example stands at which place.
        class_weights: Weight of each class, or None.
    """

    template: Template
    dataset: Dataset
    task: Task
    model: keras.Model
    definition: keras.Model
    order: TrainingOrder
    class_weights: np.ndarray | None

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.order.examples / self.order.batch_size)

    @property
    def total_steps(self) -> int:
        return self.template.train.epochs * self.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """The learning rate of one step."""
        settings = self.template.train
        schedule = make_schedule(settings.learning_rate, epochs=settings.epochs, steps_per_epoch=self.steps_per_epoch)
        return float(schedule(step)) if callable(schedule) else schedule

    def batches(self, first_step: int):
        """An iterator over the batches from `first_step` to the end."""
        return iter(
            training_batches(
                self.dataset.split("train"),
                self.dataset.spec,
                self.order,
                steps=range(first_step, self.total_steps),
                encode=self.task.encode,
                augment=self.template.train.augment,
                class_weights=self.class_weights,
            )
        )

    def validation_batches(self) -> tf.data.Dataset:
        return evaluation_batches(
            self.dataset.split("validation"),
            self.dataset.spec,
            batch_size=EVALUATION_BATCH,
            encode=self.task.encode,
        )


def train(
    template: Template,
    *,
    name: str = "run",
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Train a template, or go on with a training that was interrupted.

    Args:
        template: What to train.
        name: Name of the run's folder in `saved_models/` where `output` is not given.
        output: The run's folder.
        resume: Go on with the run in `output`, or with the newest one of `name`.
        overwrite: Replace a run that stands in `output`.
        reporter: Told of the progress; silent by default.

    Returns:
        The finished run, with its best weights and their scores.

    Raises:
        ValueError: If the template, its data or the folder breaks a rule; nothing is left behind.
        FloatingPointError: If the loss becomes NaN or infinite; the last good weights stay.
        OSError: If the disk is full or read-only; the last checkpoint stays.
        KeyboardInterrupt: If asked to stop; the run can be resumed.
    """
    if resume and overwrite:
        raise ValueError("A run is resumed or overwritten. Received: both. Leave one out.")
    reporter = reporter or Silent()
    run = Run(Path(output) if output else latest_run_path(name)) if resume else None
    if run is None:
        new_run_path(name, output, overwrite=overwrite)  # refuse before anything is loaded
    else:
        _check_resumable(run, template)
        if run.record.state == "done":
            reporter.note(f"{run.path} is done; nothing is left to resume.")
            return load_run(run.path)

    training = prepare(template)
    if run is None:
        run = make_run(name, output, overwrite=overwrite)
        begin_run(run, template, training.dataset.spec, training.task, training.definition)
        state = TrainingState()
        save_checkpoint(run.checkpoint_path, training.model, state)
    else:
        if run.record.spec.fingerprint != training.dataset.spec.fingerprint:
            raise ValueError(f"A run is resumed on the data it began with. Received: {run.path}, whose data changed.")
        state = load_checkpoint(run.checkpoint_path, training.model)
        run.sweep()
        _save_state(run, state, "running")
        reporter.note(f"resuming {run.path} at step {state.step} of {training.total_steps}")

    reporter.begin(training.total_steps, state.step)
    try:
        with stop_on_signals() as stop:
            fit(training, run, state, reporter, stop)
        reporter.end()
        run.save_history(state.history)
        _save_state(run, state, "interrupted")  # until it is scored
        if stop.requested:
            raise KeyboardInterrupt
        score_run(run, training.task, training.dataset)
    except KeyboardInterrupt:
        _save_state(run, state, "interrupted")
        raise KeyboardInterrupt(
            f"interrupted at step {state.step} of {training.total_steps}. "
            f"Go on with `dlt train {run.template_path} --resume -o {run.path}`."
        ) from None
    except FloatingPointError:
        _save_state(run, state, "interrupted")
        raise
    except tf.errors.OpError:
        _save_state(run, state, "interrupted")
        _name_broken_files(training.dataset)
        raise
    finally:
        reporter.end()
    return run


def prepare(template: Template) -> Training:
    """Load the data, build, assemble and compile the model; everything that can be wrong with a template shows here.

    Raises:
        ValueError: If it is.
    """
    settings = template.train
    keras.utils.set_random_seed(template.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    dataset = load_dataset(template.dataset)
    task = make_task(template.task, dataset.spec.targets)
    for split in SPLITS:
        dataset.split(split)
    examples = len(dataset.split("train"))
    if settings.batch_size > examples:
        raise ValueError(
            f"`train.batch_size` must be at most the number of training examples, {examples}. "
            f"Received: {settings.batch_size}. Try --set train.batch_size={examples}."
        )
    order = TrainingOrder(examples, settings.batch_size, template.seed)
    network = build_network(template.model.name, task.sizes(dataset.spec), template.model.options)
    model = assemble(network, dataset.spec)
    class_weights = _class_weights(template, dataset)
    definition = keras.models.model_from_json(model.to_json())  # before anything of the training is attached
    training = Training(template, dataset, task, model, definition, order, class_weights)
    _penalize_kernels(model, settings.weight_decay)
    model.compile(
        optimizer=make_optimizer(settings, steps_per_epoch=training.steps_per_epoch),
        loss=task.loss(),
        metrics=task.metrics(),
        jit_compile="auto" if tf.config.list_physical_devices("GPU") else False,
    )
    model.optimizer.build(model.trainable_variables)
    model.test_on_batch(*next(training.batches(0)))  # makes the metrics' variables, which a checkpoint restores
    model.reset_metrics()
    return training


def fit(training: Training, run: Run, state: TrainingState, reporter: Reporter, stop: StopRequest) -> None:
    """Run the steps that are left; `state` is brought forward with them.

    Raises:
        FloatingPointError: If the loss is no longer finite.
        KeyboardInterrupt: If `stop` was requested, after a checkpoint.
    """
    model, settings = training.model, training.template.train
    model.make_train_function()
    batches = training.batches(state.step)
    started = time.monotonic() - state.seconds
    last_tick = last_checkpoint = time.monotonic()

    while state.step < training.total_steps and not _stopped_early(training, state):
        if state.step % training.steps_per_epoch == 0:
            model.reset_metrics()
        logs = model.train_function(batches)
        state.step += 1
        now = time.monotonic()
        state.seconds = now - started

        epoch_ends = state.step % training.steps_per_epoch == 0
        due = now - last_checkpoint >= settings.checkpoint_seconds
        if epoch_ends or due or now - last_tick >= TICK_SECONDS:
            last_tick = now
            reporter.step(state.step, _finite_loss(logs, state))
        if epoch_ends:
            _end_epoch(training, run, state, reporter)
        if due or stop.requested:  # perhaps during the validation
            save_checkpoint(run.checkpoint_path, model, state)
            last_checkpoint = time.monotonic()
        if stop.requested:
            raise KeyboardInterrupt
    save_checkpoint(run.checkpoint_path, model, state)


def _end_epoch(training: Training, run: Run, state: TrainingState, reporter: Reporter) -> None:
    """Validate, keep the weights if they are the best so far, write the history."""
    model, task = training.model, training.task
    epoch = state.step // training.steps_per_epoch
    row: dict[str, float] = {
        "epoch": epoch,
        "step": state.step,
        "learning_rate": training.learning_rate(state.step - 1),
        **{name: float(value) for name, value in model.get_metrics_result().items()},
    }
    measured = model.evaluate(training.validation_batches(), verbose=0, return_dict=True)
    row |= {f"val_{name}": value for name, value in measured.items()}
    row["seconds"] = round(state.seconds, 1)
    state.history.append(row)

    for name in (task.monitor, "val_loss"):
        if not math.isfinite(row[name]):
            raise FloatingPointError(_not_finite(name, row[name], state))
    figure = row[task.monitor]
    # Accuracy on a small split ties often; the loss then decides.
    rank = [figure if task.monitor_direction == "max" else -figure, -row["val_loss"]]
    better = state.best is None or rank > state.best
    if better:
        state.best, state.best_epoch = rank, epoch
        run.save_weights(model)
    run.save_history(state.history)
    reporter.epoch(row, better)


def _save_state(run: Run, state: TrainingState, name) -> None:
    update = {"state": name, "best_epoch": state.best_epoch, "epochs": len(state.history), "seconds": state.seconds}
    run.save_record(run.record.model_copy(update=update))


def _name_broken_files(dataset: Dataset) -> None:
    """Raise a `ValueError` that names a file which broke since it was scanned: TensorFlow's own error does not."""
    for source in dataset.splits.values():
        if isinstance(source, FileSource):
            source.check()


def _stopped_early(training: Training, state: TrainingState) -> bool:
    patience = training.template.train.early_stopping
    return patience is not None and len(state.history) - state.best_epoch >= patience


def _finite_loss(logs, state: TrainingState) -> float:
    loss = float(logs["loss"])
    if not math.isfinite(loss):
        raise FloatingPointError(_not_finite("loss", loss, state))
    return loss


def _not_finite(name: str, value: float, state: TrainingState) -> str:
    kept = f"the weights of epoch {state.best_epoch} are kept" if state.best_epoch else "no epoch had ended"
    return f"`{name}` must stay finite. Received: {value} by step {state.step}; {kept}. Try a lower learning rate."


def _check_resumable(run: Run, template: Template) -> None:
    if not run.record_path.exists():
        raise ValueError(f"There must be a run to resume. Received: {run.path}, which holds no run.json.")
    run.verify(run.template_path, run.definition_path)
    if run.template != template:
        before, now = run.template.flat(), template.flat()
        key = next(key for key in before | now if before.get(key) != now.get(key))
        raise ValueError(
            f"A run is resumed with the template it began with. Received: {key} = {now.get(key)!r}, where {run.path} "
            f"has {before.get(key)!r}. Give {run.template_path}, or train anew."
        )


def _penalize_kernels(model: keras.Model, weight_decay: float) -> None:
    # On the variables and not in the layers' configs: the penalty is the training's, not the definition's.
    for variable in model.trainable_variables:
        if weight_decay and "kernel" in variable.name:
            variable.regularizer = keras.regularizers.L2(weight_decay / 2)


def _class_weights(template: Template, dataset: Dataset) -> np.ndarray | None:
    """Weights that make every class count the same; their mean over the training examples is 1."""
    if template.train.class_weight == "none":
        return None
    (target,) = dataset.spec.targets
    if target.kind != "class" or target.counts is None:
        raise ValueError(
            f"`train.class_weight` needs one class per example. Received: targets of kind `{target.kind}`. "
            "Try --set train.class_weight=none."
        )
    counts = np.array(target.counts, np.float32)
    return counts.sum() / (len(counts) * counts)
