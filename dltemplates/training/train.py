"""Train a template: from its data to a run folder, exactly resumable at every step."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dltemplates.datasets.spec import READING_RULES
from dltemplates.deploy.memory import memory_note, weight_bytes
from dltemplates.runs import Run, check_resume, latest_run_path, load_run, make_run, new_run_path
from dltemplates.tasks.scoring.evaluation import Evaluation
from dltemplates.template import Template
from dltemplates.training.checkpoint import TrainingState, load_checkpoint
from dltemplates.training.evaluators import evaluator_summary, missing_evaluator
from dltemplates.training.prepare import Training, naming_broken_files, prepare
from dltemplates.training.recording.progress import Reporter, Silent
from dltemplates.training.recording.run_record import begin_run, score_run
from dltemplates.training.recording.run_writer import NullWriter, RunWriter
from dltemplates.training.signals import StopRequest, stop_on_signals
from dltemplates.training.stages import Stage
from dltemplates.training.strategy import Distribution, Strategy, make_distribution
from dltemplates.training.workers.cluster import read_cluster
from dltemplates.training.workers.worker_consistency import (
    agree_on_data,
    agree_on_template,
    begin_together,
    gather_broken,
)

TICK_SECONDS = 0.5  # between two looks at the loss, each of which waits for the device


def train(
    template: Template,
    *,
    name: str = "run",
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    fail_on_bad_image: bool = False,
    strategy: Strategy = "auto",
    devices: int | None = None,
    command: str = "dlt train",
    reporter: Reporter | None = None,
) -> Run:
    """Train a template, or go on with a training that was interrupted.

    Args:
        template: What to train.
        name: Name of the run's folder in `saved_models/` where `output` is not given.
        output: The run's folder.
        resume: Go on with the run in `output`, or with the newest one of `name`. On several workers, which are all
            started again by the same command, a run that is not there yet is begun.
        overwrite: Replace a run in `output`.
        fail_on_bad_image: Stop at an image that breaks while training goes on, rather than take another in its place.
        strategy: `single` device, `mirrored` over those of this machine, `multiworker` over the machines that
            `TF_CONFIG` names, or `auto`: what there is reason for. The result is the same.
        devices: How many devices of this machine.
        command: The command that is named to the user as the way to go on after an interruption.
        reporter: Told of the progress; silent by default.

    Returns:
        The finished run, with its best weights and their scores. It is the chief that writes it: on another worker it
        is there only if they share a disk.

    Raises:
        ValueError: If the template, its data, the devices or the folder break a rule; nothing is left behind.
        FloatingPointError: If the loss becomes NaN or infinite; the last good weights stay.
        OSError: If the disk is full or read-only at the end; the last checkpoint stays.
        LostWorkersError: If another worker ended; the last checkpoint stays.
        KeyboardInterrupt: If asked to stop; the run can be resumed.
    """
    check_resume(resume, overwrite)
    reporter = reporter or Silent()
    may_begin = strategy in ("auto", "multiworker") and read_cluster() is not None
    run = run_to_resume(template, name, output, or_begin=may_begin) if resume else None
    if run is not None and run.record.state == "done":  # asked before the others are waited for, who may be gone
        reporter.note(f"{run.path} is done; nothing is left to resume.")
        return load_run(run.path)
    distribution = make_distribution(strategy, devices)
    if not distribution.is_chief:
        return _assist(template, distribution, fail_on_bad_image=fail_on_bad_image)
    with ExitStack() as claims:
        replaces = overwrite or (resume and may_begin)  # what was killed before it had a run.json
        if run is None:
            new_run_path(name, output, overwrite=replaces)  # refuse before anything is loaded
        else:
            claims.enter_context(run.claimed())
        agree_on_template(distribution, template, fail_on_bad_image=fail_on_bad_image)
        training = prepare(template, distribution, fail_on_bad_image=fail_on_bad_image, run=run)
        if too_much := memory_note(template.export.formats, weight_bytes(training.definition)):
            reporter.note(too_much)
        _train_judge(training, reporter)
        agree_on_data(training)
        if training.watch:
            training.watch.try_out()
        with stop_on_signals() as stop, naming_broken_files(training):  # from here on there is a folder
            if run is None:
                run = make_run(name, output, overwrite=replaces)
                claims.enter_context(run.claimed())
            writer = _run_writer(training, run, reporter)
            state = _begin(training, run, writer, reporter)
            with _resumable(run, state, training.total_steps, command, reporter):
                fit(training, state, writer, reporter, stop)
                reporter.end()
                _save_state(run, state, "interrupted")  # until it is scored
                if stop.requested:
                    raise KeyboardInterrupt
        with _resumable(run, state, training.total_steps, command, reporter):
            score_run(run, training.task, training.dataset, state.warnings)
            _note_broken(training.broken(), state, reporter)
            _save_state(run, state, "done")
            distribution.barrier(str(run.path))
    return run


def _train_judge(training: Training, reporter: Reporter) -> None:
    """Train the classifier that is to judge what is made, where it is not there yet."""
    if missing := missing_evaluator(training.task, training.dataset.spec):
        evaluator, path = missing
        reporter.note(f"the evaluator is not there yet: it is trained once, to {path}")
        is_begun = (path / "run.json").exists()  # else what stands there was killed before it could be resumed
        train(evaluator, output=path, resume=is_begun, overwrite=not is_begun, strategy="single", reporter=reporter)
        reporter.note("the evaluator is there; now for what it is to judge")
    if told := evaluator_summary(training.task):
        reporter.note(told)


@contextmanager
def _resumable(run: Run, state: TrainingState, total_steps: int, command: str, reporter: Reporter) -> Iterator[None]:
    """Say in the record that the training was interrupted, whatever ends it, and to the user how to go on."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            _save_state(run, state, "interrupted")
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"interrupted at step {state.step} of {total_steps}. "
                f"Go on with `{command} {run.template_path} --resume -o {run.path}`."
            ) from None
        raise
    finally:
        reporter.end()


def _assist(template: Template, distribution: Distribution, *, fail_on_bad_image: bool) -> Run:
    """Train on a worker that is not the chief: do its part of each step, and write nothing."""
    agree_on_template(distribution, template, fail_on_bad_image=fail_on_bad_image)
    training = prepare(template, distribution, fail_on_bad_image=fail_on_bad_image)
    agree_on_data(training)
    state = begin_together(training, TrainingState())
    with stop_on_signals() as stop, naming_broken_files(training):
        fit(training, state, NullWriter(), Silent(), stop)
    return Run(Path(distribution.barrier()))


def _begin(training: Training, run: Run, writer: RunWriter, reporter: Reporter) -> TrainingState:
    """Fill a new run with what is known before the first step, or bring the variables to where an old one stood."""
    variables = training.variables
    if run.record_path.exists():
        before, now = run.record.spec, training.dataset.spec
        if (before.fingerprint, before.order) != (now.fingerprint, now.order):
            raise ValueError(f"A run is resumed on the data it began with. Received: {run.path}, whose data changed.")
        state, extra_states = load_checkpoint(run.checkpoint_path, variables, reporter.note)
        training.restore(extra_states)
        run.sweep()
        _save_state(run, state, "running")
        reporter.note(f"resuming {run.path} at step {state.step} of {training.total_steps}")
    else:
        state = TrainingState()
        writer.finish(variables, state, training.extra_states)  # first: a run without a checkpoint could not be resumed
        begin_run(run, training.template, training.dataset, training.task, training.definition)
        if training.fresh:
            reporter.note(
                f"fresh weights in {', '.join(training.fresh)}; all others are of {training.template.model.weights}"
            )
    for warning in training.dataset.spec.warnings:
        reporter.note(warning)
    if training.distribution.replicas > 1:
        reporter.note(f"training on {training.distribution}")
    reporter.begin(training.total_steps, state.step)
    return begin_together(training, state)


def fit(
    training: Training, state: TrainingState, writer: RunWriter | NullWriter, reporter: Reporter, stop: StopRequest
) -> None:
    """Run the steps that are left; `state` is brought forward with them.

    Raises:
        FloatingPointError: If the loss is no longer finite.
        KeyboardInterrupt: If `stop` was requested on any worker, after a checkpoint.
    """
    for place, stage in enumerate(training.stages, start=1):
        if state.step >= stage.last_step:
            continue
        if len(training.stages) > 1:
            what = f"{stage.name} alone" if stage.name else "the whole network"
            epochs = f"epochs {stage.first_epoch + 1} to {stage.last_epoch}"
            reporter.note(f"stage {place} of {len(training.stages)}: {what}, {epochs}")
        _fit_stage(training, stage, state, writer, reporter, stop)
    writer.finish(training.variables, state, training.extra_states)


def _fit_stage(
    training: Training,
    stage: Stage,
    state: TrainingState,
    writer: RunWriter | NullWriter,
    reporter: Reporter,
    stop: StopRequest,
) -> None:
    """Run the steps of a stage that are left."""
    distribution = training.distribution
    stage.open(state.step)
    writes_every_step = training.template.train.checkpoint_seconds == 0
    started = time.monotonic() - state.seconds
    last_tick = time.monotonic()
    fitting = 1

    while state.step < stage.last_step and not _stopped_early(training, state):
        done = (state.step - stage.first_step) % stage.steps_per_epoch
        if done == 0:
            stage.reset()
        left = stage.steps_per_epoch - done
        count = stage.run(1 if writes_every_step else min(fitting, left))
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
        # Each worker looks at its own clock and signals; all do the same.
        said = distribution.share([stage.fitting, writer.is_due, stop.requested, not math.isfinite(loss)])
        fitting, is_due, is_stopping = int(said[0, 0]), said[0, 1], said[:, 2].any()
        if said[:, 3].any():
            _check_finite("loss", math.nan, state)
        if not stage.can_resume:
            continue
        if is_stopping:
            writer.finish(training.variables, state, training.extra_states)
            raise KeyboardInterrupt
        if is_due:
            writer.checkpoint(training.variables, state, training.extra_states)


def _end_epoch(
    training: Training,
    stage: Stage,
    state: TrainingState,
    writer: RunWriter | NullWriter,
    reporter: Reporter,
) -> None:
    """Validate, keep the weights if they are the best of the last stage so far, write the history."""
    epoch = len(state.history) + 1
    row: dict[str, float] = {
        "epoch": epoch,
        "step": state.step,
        "learning_rate": stage.learning_rate(),
    }
    figures = stage.figures()
    validated = stage.validate()
    figures |= stage.train_metrics_at_epoch_end(validated)
    row |= stage.named(figures)
    row |= {f"val_{name}": value for name, value in stage.named(validated).items()}
    if training.distribution.is_chief and training.watch and stage is training.stages[-1]:
        evaluation = training.watch.evaluate()
        row |= {f"val_{name}": value for name, value in evaluation.scores.items()}
        writer.samples(epoch, training.watch.samples())
        _warn(evaluation, epoch, state, reporter)
    row["seconds"] = round(state.seconds, 1)
    _check_finite("val_loss", validated["loss"], state)
    state.history.append(row)
    better = stage is training.stages[-1] and _is_best(training, state, row)
    if better:
        writer.best(stage.model)
    writer.history(state.history)
    reporter.epoch(row, better)
    _note_broken(gather_broken(training), state, reporter)


def _is_best(training: Training, state: TrainingState, row: dict[str, float]) -> bool:
    """Whether the weights of an epoch are to be kept; if so, `state` says it."""
    task = training.task
    _check_finite(task.monitor, row[task.monitor], state)
    figure = row[task.monitor]
    # Accuracy on a small split ties often; the loss then decides.
    rank = [figure if task.monitor_direction == "max" else -figure, -row["val_loss"]]
    if training.template.train.restore == "last":
        rank = [row["epoch"]]
    # The chief's word for all: machines may round differently.
    better = bool(training.distribution.share([state.best is None or rank > state.best])[0, 0])
    if better:
        state.best, state.best_epoch = rank, int(row["epoch"])
    return better


def _warn(evaluation: Evaluation, epoch: int, state: TrainingState, reporter: Reporter) -> None:
    """Say what went wrong in an epoch, unless it did so in the one before; `state` keeps what is wrong since then."""
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
        run, training.definition, reporter, keep=settings.checkpoints, interval=settings.checkpoint_seconds
    )


def _save_state(run: Run, state: TrainingState, name) -> None:
    update = {
        "state": name,
        "best_epoch": state.best_epoch,
        "epochs": len(state.history),
        "seconds": state.seconds,
        "replaced": state.replaced,
    }
    run.save_record(run.record.model_copy(update=update))


def _stopped_early(training: Training, state: TrainingState) -> bool:
    patience = training.template.train.early_stopping
    since = max(state.best_epoch, training.stages[-1].first_epoch)
    return patience is not None and len(state.history) - since >= patience


def _check_finite(name: str, value: float, state: TrainingState) -> None:
    if not math.isfinite(value):
        kept = f"the weights of epoch {state.best_epoch} are kept" if state.best_epoch else "no epoch had ended"
        raise FloatingPointError(
            f"`{name}` must stay finite. Received: {value} by step {state.step}; {kept}. Try a lower learning rate."
        )


def run_to_resume(template: Template, name: str, output: str | Path | None, *, or_begin: bool = False) -> Run | None:
    """Find the run to go on with.

    Args:
        template: What it trains.
        name: Name of its folder in `saved_models/` where `output` is not given; of several, the newest is taken.
        output: Its folder.
        or_begin: Whether there need not be one.

    Returns:
        The run; None only if `or_begin`.

    Raises:
        ValueError: If there is none, it is broken, or it has another template.
    """
    try:
        run = Run(Path(output) if output else latest_run_path(name))
    except ValueError:
        if or_begin:
            return None
        raise
    if not run.record_path.exists():
        if or_begin:
            return None
        raise ValueError(f"There must be a run to resume. Received: {run.path}, which holds no run.json.")
    run.verify(run.template_path, run.definition_path)
    if (rules := run.record.spec.reading_rules) != READING_RULES:
        raise ValueError(
            f"A run is resumed by the rules that its data was read by. Received: {run.path}, of rules {rules}, where "
            f"this version reads by {READING_RULES}. End it by the version that began it, or train anew."
        )
    if run.template != template:
        before, now = run.template.flat(), template.flat()
        key = next(key for key in before | now if before.get(key) != now.get(key))
        raise ValueError(
            f"A run is resumed with the template it began with. Received: {key} = {now.get(key)!r}, where {run.path} "
            f"has {before.get(key)!r}. Give {run.template_path}, or train anew."
        )
    return run
