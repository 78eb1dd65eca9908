"""Training: from a template and its data to a run folder, exactly resumable at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from dltemplates.datasets.in_memory import arrays_of, passed, template_on
from dltemplates.datasets.spec import describe_target
from dltemplates.deploy.memory import memory_note, weight_bytes
from dltemplates.new_runs import check_resume, make_run, new_run_path
from dltemplates.runs import Run, load_run
from dltemplates.settings import NO_DATASET
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.template import Template
from dltemplates.training.checkpoint import TrainingState, load_checkpoint
from dltemplates.training.evaluators import evaluator_summary, missing_evaluator
from dltemplates.training.prepare import Training, naming_broken_files, prepare
from dltemplates.training.recording.progress import Reporter, Silent, default_reporter
from dltemplates.training.recording.run_record import begin_run, score_run
from dltemplates.training.recording.run_writer import NullWriter, RunWriter
from dltemplates.training.recording.text_logger import is_logged
from dltemplates.training.resolve import rate_note
from dltemplates.training.resume import run_to_resume
from dltemplates.training.signals import StopRequest, stop_on_signals
from dltemplates.training.stages import Stage, Tick
from dltemplates.training.strategy import Distribution, Strategy, make_distribution
from dltemplates.training.workers.cluster import read_cluster
from dltemplates.training.workers.worker_consistency import (
    check_same_data,
    check_same_template,
    gather_broken,
    share_state,
)

FEATURES_NOTE_SECONDS = 15.0
TICK_SECONDS = 0.5  # between two reads of the loss, since each read waits for the device


def train(
    template: Template | str | Path,
    *,
    data: Any = None,
    name: str | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    fail_on_bad_image: bool = False,
    strategy: Strategy = "auto",
    devices: int | None = None,
    command: str = "dlt train",
    reporter: Reporter | None = None,
) -> Run:
    """Train a template, or resume an interrupted training.

        run = dlt.train("mlp_digits")
        run = dlt.train("transfer_folder", data="photographs")
        run = dlt.train("table_classification", data=(features, labels))

    Args:
        template: A template, its name, or the path of its file.
        data: The data in place of the template's: the name or path of a dataset; arrays or a DataFrame `x`; `(x, y)`;
            or a dictionary of them with the keys `train`, `validation` and `test`. A run on arrays does not keep them:
            pass them to `export` and `evaluate`, too.
        name: Name of the run's folder in `saved_models/` if `output` is None; by default the template's.
        output: The run's folder.
        resume: Resume the run in `output`, or the newest run called `name`. With several workers, start a new run if
            there is none: all workers restart with the same command.
        overwrite: Replace a run in `output`.
        fail_on_bad_image: Stop at an image that breaks during training. By default another image replaces it.
        strategy: `single` device, `mirrored` over the devices of this machine, `multiworker` over the machines in
            `TF_CONFIG`, or `auto` to choose among them. The result is the same.
        devices: Number of devices on this machine. Several devices of a processor stay split until the process ends,
            and change the rounding of its later trainings.
        command: The command to show the user for resuming after an interruption.
        reporter: Receives the progress; by default it is shown on a terminal and in a notebook, and silent elsewhere.

    Returns:
        The finished run, with its best weights and their scores. Only the chief writes it. The other workers see it
        only on a shared disk.

    Raises:
        ValueError: If the template, its data, the devices or the folder break a rule; nothing is left behind.
        FloatingPointError: If the loss becomes NaN or infinite; the last good weights stay.
        OSError: If the disk is full or read-only at the end; the last checkpoint stays.
        LostWorkersError: If another worker ended; the last checkpoint stays.
        KeyboardInterrupt: If the user or the machine asks to stop; the run can be resumed.
    """
    template, own_name = template_on(template, data)
    with passed(arrays_of(data)):
        return _train(
            template,
            name=name or own_name,
            output=output,
            resume=resume,
            overwrite=overwrite,
            fail_on_bad_image=fail_on_bad_image,
            strategy=strategy,
            devices=devices,
            command=command,
            reporter=reporter or default_reporter(),
        )


def _train(
    template: Template,
    *,
    name: str,
    output: str | Path | None,
    resume: bool,
    overwrite: bool,
    fail_on_bad_image: bool,
    strategy: Strategy,
    devices: int | None,
    command: str,
    reporter: Reporter,
) -> Run:
    check_resume(resume, overwrite)
    may_start_new = strategy in ("auto", "multiworker") and read_cluster() is not None
    run = run_to_resume(template, name, output, allow_missing=may_start_new) if resume else None
    if run is not None and run.record.state == "done":  # check before waiting for other workers: they may be gone
        reporter.note(f"{run.path} is done; nothing is left to resume.")
        return load_run(run.path)
    distribution = make_distribution(strategy, devices)
    if not distribution.is_chief:
        return _train_as_worker(template, distribution, fail_on_bad_image=fail_on_bad_image)
    with ExitStack() as claims:
        replaces = overwrite or (resume and may_start_new)  # replace a folder that was killed before it had a run.json
        if run is None:
            new_run_path(name, output, overwrite=replaces)  # refuse before anything is loaded
        else:
            claims.enter_context(run.claimed())
        check_same_template(distribution, template, fail_on_bad_image=fail_on_bad_image)
        training = prepare(template, distribution, fail_on_bad_image=fail_on_bad_image, run=run)
        for line in filter(None, (describe_target(training.dataset.spec), rate_note(template, training.template))):
            reporter.note(line)
        if too_much := memory_note(template.export.formats, weight_bytes(training.definition)):
            reporter.note(too_much)
        _train_evaluator(training, reporter)
        check_same_data(training)
        if training.sample_logger:
            training.sample_logger.check()
        if training.text_logger:
            training.text_logger.check()
        with stop_on_signals() as stop, naming_broken_files(training):  # the folder exists from here on
            if run is None:
                run = make_run(name, output, overwrite=replaces)
                claims.enter_context(run.claimed())
            writer = _run_writer(training, run, reporter)
            state = _begin(training, run, writer, reporter)
            with _resumable(run, state, training.total_steps, command, reporter):
                fit(training, state, writer, reporter, stop)
                reporter.end()
                _save_state(run, state, "interrupted")  # until the run is scored
                if stop.requested:
                    raise KeyboardInterrupt
        with _resumable(run, state, training.total_steps, command, reporter):
            score_run(run, training.task, training.dataset, state.warnings)
            _note_broken(training.broken(), state, reporter)
            _save_state(run, state, "done")
            distribution.barrier(str(run.path))
    return run


def _train_evaluator(training: Training, reporter: Reporter) -> None:
    """Train the classifier that scores generated images, unless it is trained already."""
    if missing := missing_evaluator(training.task, training.dataset.spec):
        evaluator, path = missing
        reporter.note(f"no trained evaluator yet: training it once, to {path}")
        is_begun = (path / "run.json").exists()  # a folder without it was killed too early to be resumed
        train(evaluator, output=path, resume=is_begun, overwrite=not is_begun, strategy="single", reporter=reporter)
        reporter.note("the evaluator is trained; now training the generator")
    if summary := evaluator_summary(training.task):
        reporter.note(summary)


@contextmanager
def _resumable(run: Run, state: TrainingState, total_steps: int, command: str, reporter: Reporter) -> Iterator[None]:
    """Mark the run as interrupted on any error, and show the user how to resume."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            _save_state(run, state, "interrupted")
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"interrupted at step {state.step} of {total_steps}. "
                f"Continue with `{command} {run.template_path} --resume -o {run.path}`."
            ) from None
        raise
    finally:
        reporter.end()


def _train_as_worker(template: Template, distribution: Distribution, *, fail_on_bad_image: bool) -> Run:
    """Train on a worker other than the chief: compute its part of each step, and write nothing."""
    check_same_template(distribution, template, fail_on_bad_image=fail_on_bad_image)
    training = prepare(template, distribution, fail_on_bad_image=fail_on_bad_image)
    check_same_data(training)
    state = share_state(training, TrainingState())
    with stop_on_signals() as stop, naming_broken_files(training):
        fit(training, state, NullWriter(), Silent(), stop)
    return Run(Path(distribution.barrier()))


def _begin(training: Training, run: Run, writer: RunWriter, reporter: Reporter) -> TrainingState:
    """Write the first files of a new run, or restore the variables of an old one."""
    variables = training.variables
    if run.record_path.exists():
        before, now = run.record.spec, training.dataset.spec
        if (before.fingerprint, before.order) != (now.fingerprint, now.order):
            raise ValueError(
                f"A run must be resumed on its own data. Received: {run.path}, whose data changed. Start a new run."
            )
        state, extra_states = load_checkpoint(run.checkpoint_path, variables, reporter.note)
        training.restore(extra_states)
        run.sweep()
        _save_state(run, state, "running")
        reporter.note(f"resuming {run.path} at step {state.step} of {training.total_steps}")
    else:
        state = TrainingState()
        writer.finish(variables, state, training.extra_states)  # first: a run cannot be resumed without a checkpoint
        begin_run(run, training.template, training.dataset, training.task, training.definition)
        if training.fresh:
            reporter.note(
                f"fresh weights in {', '.join(training.fresh)}; all others are from {training.template.model.weights}"
            )
    for warning in training.dataset.spec.warnings:
        reporter.note(warning)
    sizes = {split: count for split, count in training.dataset.spec.sizes.items() if count}
    if training.template.dataset.name != NO_DATASET:
        reporter.note(f"examples: {', '.join(f'{count:,} {split}' for split, count in sizes.items())}")
    if training.distribution.replicas > 1:
        reporter.note(f"training on {training.distribution}")
    reporter.begin(training.total_steps, state.step)
    return share_state(training, state)


def fit(
    training: Training, state: TrainingState, writer: RunWriter | NullWriter, reporter: Reporter, stop: StopRequest
) -> None:
    """Run the remaining steps, and update `state`.

    Raises:
        FloatingPointError: If the loss becomes NaN or infinite.
        KeyboardInterrupt: If any worker received a stop request; raised after a checkpoint.
    """
    for number, stage in enumerate(training.stages, start=1):
        if state.step >= stage.end_step:
            continue
        if len(training.stages) > 1:
            epochs = f"epochs {stage.first_epoch + 1} to {stage.end_epoch}"
            reporter.note(f"stage {number} of {len(training.stages)}: {stage.description}, {epochs}")
        try:
            _fit_stage(training, stage, state, writer, reporter, stop)
        except BaseException:
            writer.flush()
            raise
        if stage is not training.stages[-1]:  # the next stage may take long to begin
            writer.checkpoint(training.variables, state, training.extra_states)
    writer.finish(training.variables, state, training.extra_states)


def _fit_stage(
    training: Training,
    stage: Stage,
    state: TrainingState,
    writer: RunWriter | NullWriter,
    reporter: Reporter,
    stop: StopRequest,
) -> None:
    """Run the remaining steps of a stage."""
    distribution = training.distribution
    started = time.monotonic() - state.seconds
    stage.open(state.step, _watch_features(reporter, stop))
    writes_every_step = training.template.train.checkpoint_seconds == 0
    last_tick = time.monotonic()
    steps_per_call = 1

    while state.step < stage.end_step and not _stopped_early(training, state):
        if stage.follows_validation(state.step):
            stage.reset()
        left = stage.steps_to_validation(state.step)
        count = stage.run(1 if writes_every_step else min(steps_per_call, left))
        state.step += count
        now = time.monotonic()
        state.seconds = now - started

        epoch_ends = count == left
        loss = 0.0
        if epoch_ends or now - last_tick >= TICK_SECONDS:
            last_tick = now
            loss = stage.mean_loss()
            reporter.step(state.step, loss)
        if epoch_ends:
            _check_finite("loss", loss, state)
            _end_epoch(training, stage, state, writer, reporter)
        # Clocks and signals differ between workers. Sharing them makes all workers act alike.
        shared = distribution.gather([stage.steps_per_call, writer.is_due, stop.requested, not math.isfinite(loss)])
        steps_per_call, is_due, is_stopping = int(shared[0, 0]), shared[0, 1], shared[:, 2].any()
        if shared[:, 3].any():
            _check_finite("loss", math.nan, state)
        if not stage.can_resume:
            continue
        if is_stopping:
            writer.finish(training.variables, state, training.extra_states)
            raise KeyboardInterrupt
        if is_due:
            writer.checkpoint(training.variables, state, training.extra_states)


def _watch_features(reporter: Reporter, stop: StopRequest) -> Tick:
    """Return a receiver that reports the computation of features now and then, and interrupts it on request."""
    reported = -math.inf

    def tick(done: int, total: int) -> None:
        nonlocal reported
        if stop.requested:
            raise KeyboardInterrupt
        if time.monotonic() - reported >= FEATURES_NOTE_SECONDS:
            reported = time.monotonic()
            reporter.note(f"frozen layers: features of {done:,} of {total:,} examples, computed once")

    return tick


def _end_epoch(
    training: Training,
    stage: Stage,
    state: TrainingState,
    writer: RunWriter | NullWriter,
    reporter: Reporter,
) -> None:
    """Validate, save the weights if they are the best so far, and write the history."""
    epoch = stage.first_epoch + stage.epochs_by(state.step)
    row: dict[str, float] = {
        "epoch": epoch,
        "step": state.step,
        "learning_rate": stage.learning_rate(),
    }
    metrics = stage.metrics()
    validation_metrics = stage.validate()
    metrics |= stage.train_metrics_at_epoch_end(validation_metrics)
    row |= stage.add_prefix(metrics)
    row |= {f"val_{name}": value for name, value in stage.add_prefix(validation_metrics).items()}
    if training.distribution.is_chief and training.sample_logger and stage is training.stages[-1]:
        evaluation = training.sample_logger.evaluate()
        row |= {f"val_{name}": value for name, value in evaluation.scores.items()}
        writer.samples(epoch, training.sample_logger.samples())
        _warn(evaluation, epoch, state, reporter)
    if (
        training.distribution.is_chief
        and training.text_logger
        and stage is training.stages[-1]
        and is_logged(stage, epoch)
    ):
        writer.texts(epoch, training.text_logger.texts(stage.model))
    row["seconds"] = round(state.seconds, 1)
    _check_finite("val_loss", validation_metrics["loss"], state)
    state.history.append(row)
    better = stage.keeps_weights and _is_best(training, state, row)
    if better:
        writer.best(stage.model)
    writer.history(state.history)
    reporter.epoch(row, better)
    _note_broken(gather_broken(training), state, reporter)


def _is_best(training: Training, state: TrainingState, row: dict[str, float]) -> bool:
    """Return whether an epoch's weights are the ones to save; if so, update `state`."""
    task = training.task
    value = row[task.monitor]
    _check_finite(task.monitor, value, state)
    # Accuracy often ties on a small split; the loss then decides.
    rank = [value if task.monitor_direction == "max" else -value, -row["val_loss"]]
    if training.template.train.monitor == "loss":
        rank = [-row["val_loss"]]
    if training.template.train.restore == "last":
        rank = [row["epoch"]]
    # The chief decides for all workers: machines may round differently.
    better = bool(training.distribution.gather([state.best is None or rank > state.best])[0, 0])
    if better:
        state.best, state.best_epoch = rank, int(row["epoch"])
    return better


def _warn(evaluation: Evaluation, epoch: int, state: TrainingState, reporter: Reporter) -> None:
    """Report an epoch's warnings, unless the epoch before had some too; `state` keeps them until an epoch has none."""
    if evaluation.warnings and not state.warnings:
        reporter.note("; ".join(evaluation.warnings))
    if not evaluation.warnings:
        state.warnings.clear()
    state.warnings |= {str(epoch): warning for warning in evaluation.warnings}


def _note_broken(broken: dict[str, str], state: TrainingState, reporter: Reporter) -> None:
    for name, reason in broken.items():
        if name not in state.replaced:
            state.replaced[name] = reason
            reporter.note(f"{name} is replaced by another image: {reason}")


def _run_writer(training: Training, run: Run, reporter: Reporter) -> RunWriter:
    settings = training.template.train
    return RunWriter(
        run, training.definition, reporter, max_checkpoints=settings.checkpoints, interval=settings.checkpoint_seconds
    )


def _save_state(run: Run, state: TrainingState, name) -> None:
    update = {
        "state": name,
        "best_epoch": state.best_epoch,
        "epochs": int(state.history[-1]["epoch"]) if state.history else 0,
        "seconds": state.seconds,
        "replaced": state.replaced,
    }
    run.save_record(run.record.model_copy(update=update))


def _stopped_early(training: Training, state: TrainingState) -> bool:
    patience = training.template.train.early_stopping
    best_epoch = max(state.best_epoch, training.stages[-1].first_epoch)
    since = [row for row in state.history if row["epoch"] > best_epoch]
    return patience is not None and len(since) >= patience


def _check_finite(name: str, value: float, state: TrainingState) -> None:
    if not math.isfinite(value):
        saved = f"the weights of epoch {state.best_epoch} are saved" if state.best_epoch else "no epoch had ended"
        raise FloatingPointError(
            f"`{name}` must stay finite. Received: {value} by step {state.step}; {saved}. Try a lower learning rate."
        )
