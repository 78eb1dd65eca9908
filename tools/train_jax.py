"""Training with JAX and without TensorFlow; the weights become a normal run.

    python tools/train_jax.py train resnet8_digits -o weights.npz                     # on the machine with JAX
    python tools/train_jax.py import resnet8_digits weights.npz -o saved_models/x      # on the machine with TensorFlow
    dlt export saved_models/x

`train` needs a checkout and `pip install jax keras numpy scikit-learn pillow pydantic tomli-w pooch filelock`.
`--data` and `--set` work as in `dlt train`; settings of the task and the model must be the same for both commands.
Training follows the template with three exceptions: it cannot resume, its bits differ from `dlt train`, and the
precision `auto` is float32. KERAS_BACKEND selects another backend for `train`; the default is JAX.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parent.parent))  # from the checkout, because installing it installs TensorFlow
from numpy_batches import check_augment, training_batches

from dltemplates.errors import first_line

EVALUATION_BATCH = 256
SAME = ("task", "model")  # tables that must be the same in both commands


def train(template, output: Path) -> None:
    """Train a template with Keras's `fit`, and write its best weights.

    Raises:
        ValueError: If the template or its data breaks a rule.
        FloatingPointError: If no epoch ends with finite metrics.
    """
    import keras

    from dltemplates.files import atomic_path
    from dltemplates.models.build import build_network
    from dltemplates.tasks.assemble import assemble, serve
    from dltemplates.tasks.load_for import load_for
    from dltemplates.training.optimizers import make_optimizer, make_schedule
    from dltemplates.training.resolve import resolve

    settings = template.train
    check_augment(settings.augment)
    if settings.trainable != "all":
        raise ValueError(
            f"`train.trainable` must be all, because this tool trains every layer. Received: {settings.trainable}. "
            "Use dlt train, or add --set train.trainable=all."
        )
    keras.utils.set_random_seed(template.seed)
    if settings.precision != "auto":
        keras.config.set_dtype_policy(settings.precision)
    task, dataset = load_for(template)
    (image,), (target,) = dataset.spec.inputs, dataset.spec.targets
    examples = len(dataset.split("train"))
    if settings.batch_size > examples:
        raise ValueError(
            f"`train.batch_size` must be at most the number of training examples, {examples}. "
            f"Received: {settings.batch_size}. Try --set train.batch_size={max(1, examples // 8)}."
        )
    model = assemble(
        build_network(template.model.name, task.model_sizes(dataset.spec), template.model.options), dataset.spec
    )
    for variable in model.trainable_variables:
        if settings.weight_decay and "kernel" in variable.name:
            variable.regularizer = keras.regularizers.L2(settings.weight_decay / 2)
    template = resolve(template, dataset, model)
    settings = template.train
    steps = math.ceil(examples / settings.batch_size)
    epochs = settings.epochs or math.ceil(settings.steps / steps)
    optimizer = make_optimizer(settings, steps=epochs * steps, steps_per_epoch=steps)
    model.compile(optimizer=optimizer, loss=task.loss(), metrics=task.metrics())
    rate = make_schedule(settings.learning_rate, steps=epochs * steps, steps_per_epoch=steps)
    best = best_weights(task, rate, settings.early_stopping)
    validation = whole_split(dataset, "validation")
    model.fit(
        training_batches(dataset, task, template),
        steps_per_epoch=steps,
        epochs=epochs,
        validation_data=(validation[image.name], np.asarray(task.encode(validation[target.name]))),
        validation_batch_size=EVALUATION_BATCH,
        callbacks=[best],
        shuffle=False,  # the batches are already shuffled
        verbose=2,
    )
    if not best.weights:
        raise FloatingPointError("An epoch must end with finite metrics. Received: none. Try a lower learning rate.")
    model.set_weights(best.weights)
    served = serve(model, task, dataset.spec, template, name="served").model
    for split in ("validation", "test"):
        arrays = whole_split(dataset, split)
        outputs = served.predict(arrays[image.name], batch_size=EVALUATION_BATCH, verbose=0)
        show(split, task.compare({target.name: arrays[target.name]}, outputs).scores)
    notes = {"history": best.history, "best_epoch": best.epoch, "order": dataset.spec.order}
    arrays = {f"weight_{number}": array for number, array in enumerate(best.weights)}
    with atomic_path(output) as path, path.open("wb") as file:
        np.savez(file, template=template.to_toml(), notes=json.dumps(notes), **arrays)
    print(f"{output}: the weights of epoch {best.epoch} of {len(best.history)}, by Keras on {keras.backend.backend()}")


def best_weights(task, rate, patience: int | None):
    """Return a callback that records the history and the best weights by the monitored metric, then by the loss."""
    import keras

    class BestWeights(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.epoch, self.rank, self.weights, self.history = 0, None, [], []
            self.started = time.monotonic()

        def on_epoch_end(self, epoch, logs=None):
            step = (epoch + 1) * self.params["steps"]
            last = float(rate(step - 1)) if callable(rate) else rate
            place = {"epoch": epoch + 1, "step": step, "learning_rate": last}
            seconds = round(time.monotonic() - self.started, 1)
            row = {**place, **{name: float(value) for name, value in logs.items()}, "seconds": seconds}
            self.history.append(row)
            metric = row[task.monitor] * (1 if task.monitor_direction == "max" else -1)
            rank = [metric, -row["val_loss"]]
            if not all(math.isfinite(row[name]) for name in ("loss", "val_loss", task.monitor)):
                self.model.stop_training = True
            elif self.rank is None or rank > self.rank:
                self.epoch, self.rank, self.weights = epoch + 1, rank, self.model.get_weights()
            elif patience is not None and epoch + 1 - self.epoch >= patience:
                self.model.stop_training = True

    return BestWeights()


def whole_split(dataset, name: str) -> dict[str, np.ndarray]:
    source = dataset.split(name)
    return source.read(np.arange(len(source)))


def show(split: str, scores: dict[str, float]) -> None:
    print(f"{split:10}  " + "  ".join(f"{name} {value:.4f}" for name, value in scores.items()))


def import_model(template, path: Path, output: Path | None, overwrite: bool):
    """Make a run from the weights of `train`, and score it with TensorFlow.

    Raises:
        ValueError: If the file does not hold such weights, or they belong to another template or to other data.
    """
    from dltemplates.models.build import build_network
    from dltemplates.new_runs import make_run, new_run_path
    from dltemplates.tasks.assemble import assemble
    from dltemplates.tasks.load_for import load_for
    from dltemplates.training.recording.run_record import begin_run, score_run

    trained, notes, weights = read_weights(path)
    for part in SAME:
        theirs, ours = getattr(trained, part), getattr(template, part)
        if theirs != ours:
            raise ValueError(
                f"Weights and template must have the same `{part}`. Received: {path}, trained with {theirs}, and "
                f"{ours}. Use the template of the training, with the same --set."
            )
    template = trained.model_copy(update={"dataset": template.dataset})
    new_run_path(path.stem, output, overwrite=overwrite)  # refuse before anything is loaded
    task, dataset = load_for(template)
    if dataset.spec.order != notes["order"]:
        raise ValueError(
            f"The data must be the training data of the weights. Received: {template.dataset.name}, whose files differ "
            f"from those of {path}. Name the training data with --data and --set."
        )
    model = assemble(
        build_network(template.model.name, task.model_sizes(dataset.spec), template.model.options), dataset.spec
    )
    shapes = [tuple(array.shape) for array in model.weights]
    if shapes != [array.shape for array in weights]:
        raise ValueError(
            f"Weights must have the model's shapes. Received: {path}, with {len(weights)} arrays that do not match the "
            f"model's {len(shapes)}. Train again with this version."
        )
    model.set_weights(weights)
    run = make_run(path.stem, output, overwrite=overwrite)
    begin_run(run, template, dataset, task, model)
    run.save_weights(model)
    run.save_history(notes["history"])
    seconds = notes["history"][-1]["seconds"]
    update = {"state": "interrupted", "epochs": len(notes["history"]), "best_epoch": notes["best_epoch"]}
    run.save_record(run.record.model_copy(update=update | {"seconds": seconds}))  # `done` after scoring
    score_run(run, task, dataset)
    for split, scores in run.record.scores.items():
        show(split, scores)
    print(f"{run.path}: `dlt export {run.path}` exports it")


def read_weights(path: Path) -> tuple[Any, dict[str, Any], list[np.ndarray]]:
    """Return the template, the notes and the weights in a file of `train`; runs no code from it.

    Raises:
        ValueError: If the file does not hold them.
    """
    from dltemplates.template import parse_template

    try:
        with np.load(path, allow_pickle=False) as file:
            table, notes = tomllib.loads(str(file["template"])), json.loads(str(file["notes"]))
            weights = [file[f"weight_{number}"] for number in range(len(file.files) - 2)]
        if not (notes["history"] and {"best_epoch", "order"} <= set(notes)):
            raise KeyError("notes")
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"Weights must be a complete file of `train`. Received: {path} ({first_line(error)}). Train again."
        ) from None
    return parse_template(table, source=str(path)), notes, weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "import"):
        command = commands.add_parser(name)
        command.add_argument("template", help="the name of a template, or a TOML file")
        if name == "import":
            command.add_argument("weights", type=Path, help="the file of `train`")
            command.add_argument("--overwrite", action="store_true", help="replace an existing run")
        command.add_argument("-o", "--output", type=Path, required=name == "train", help="weights.npz, or the run")
        command.add_argument("--data", help="a dataset, a folder of class folders, or a .npz")
        command.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    if options.command == "train":
        os.environ.setdefault("KERAS_BACKEND", "jax")
    else:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # also exports the run
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from dltemplates.template import load_template, parse_overrides

    try:
        overrides = parse_overrides(options.settings) | ({"dataset.name": options.data} if options.data else {})
        template = load_template(options.template, overrides)
        if options.command == "train":
            train(template, options.output)
        else:
            import_model(template, options.weights, options.output, options.overwrite)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"train_jax: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
