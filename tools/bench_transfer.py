"""Measure `transfer_folder` on photographs with a validation split of their own: several seeds, crop and stretch.

    python tools/bench_transfer.py photographs --seeds 5 --finetune-epochs 5 --int8

Each seed trains the head, then the last blocks, too. `--int8` also exports each head to an int8 TFLite file. The scores
are those of the last epoch on validation: no epoch is chosen. All but 1% of the training images are trained on.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from dltemplates.deploy.export_run import export
from dltemplates.template import Template, load_template, parse_overrides
from dltemplates.training.checkpoint import TrainingState
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.recording.run_writer import NullWriter
from dltemplates.training.signals import StopRequest
from dltemplates.training.train import fit, train

INT8 = "tflite:int8"
COLUMNS = ("head", "fine-tuned", "int8", "drop")
RULES = ("stretch", "crop")


def measure(template: Template, finetune_epochs: int) -> dict[str, float]:
    """Return the validation accuracies after the head's last epoch, and after that of fine-tuning."""
    train_settings = template.train.model_copy(update={"finetune_epochs": finetune_epochs})
    state = TrainingState()
    training = prepare(template.model_copy(update={"train": train_settings}))
    fit(training, state, NullWriter(), Silent(), StopRequest())
    accuracies = [row["val_accuracy"] for row in state.history]
    row = {"head": accuracies[template.train.epochs - 1]}
    return row | {"fine-tuned": accuracies[-1]} if finetune_epochs else row


def measure_int8(template: Template, folder: Path) -> dict[str, float]:
    """Return the validation accuracy of the head's int8 TFLite file, and its drop."""
    result = export(train(template, output=folder), formats=(INT8,)).result(INT8)
    if result.verdict != "passed":
        raise SystemExit(f"{INT8} of seed {template.seed}: {result.verdict}, {result.reason}")
    check = result.splits["validation"]
    return {"int8": check.score, "drop": check.drop}


def format_table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Return the rows and their means, by resize rule, as a Markdown table."""
    lines = ["| resize | seed | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for resize, measured in rows.items():
        means = {name: np.mean([row[name] for row in measured]) for name in measured[0]}
        for seed, row in [*enumerate(measured), ("mean", means)]:
            cells = [f"{row[name]:.4f}" if name in row else "" for name in COLUMNS]
            lines.append(f"| {resize} | {seed} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder with train/ and val/, each with one folder of images per class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--finetune-epochs", type=int, default=5)
    parser.add_argument("--resize", nargs="+", default=RULES, choices=RULES)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of the template")
    parsed = parser.parse_args(arguments)
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for resize in parsed.resize:
            rows[resize] = []
            for seed in range(parsed.seeds):
                settings = {"dataset.name": parsed.data, "dataset.images.resize": resize, "dataset.test": 0.01}
                settings |= {"seed": seed} | parse_overrides(parsed.set)
                template = load_template("transfer_folder", settings)
                row = measure(template, parsed.finetune_epochs)
                if parsed.int8:
                    row |= measure_int8(template, Path(folder) / f"{resize}-{seed}")
                rows[resize].append(row)
                print(resize, seed, row, file=sys.stderr, flush=True)
    print(format_table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
