"""Measure `transfer_folder` on photographs with a validation split of their own: several seeds, crop and stretch.

    python tools/bench_transfer.py photographs --seeds 5 --finetune-epochs 5

Each seed trains the head, then the head and the last blocks, and exports the head to an int8 TFLite file. The epoch is
the last one, so no score was chosen on the validation images. All but 1% of the training images are trained on.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dltemplates.deploy.export_run import export
from dltemplates.runs import Run
from dltemplates.template import load_template
from dltemplates.training.train import train

INT8 = "tflite:int8"
COLUMNS = ("head", "fine-tuned", "int8", "drop", "seconds")


def measure(data: str, resize: str, seed: int, finetune_epochs: int, folder: Path, settings=None) -> dict[str, float]:
    """Train and export one seed.

    Args:
        data: The photographs.
        resize: The template's `dataset.images.resize`.
        seed: The template's `seed`.
        finetune_epochs: Number of epochs after those of the head; 0 leaves fine-tuning and int8 out.
        folder: Folder for the runs.
        settings: Further settings of the template.

    Returns:
        The numbers of `COLUMNS`, as far as they were measured: accuracies on validation, and the head's seconds.
    """
    overrides = {"dataset.name": data, "dataset.images.resize": resize, "dataset.test": 0.01, "seed": seed}
    overrides |= settings or {}

    def trained(name: str, **others: object) -> Run:
        template = load_template("transfer_folder", overrides | {f"train.{key}": it for key, it in others.items()})
        return train(template, output=folder / f"{resize}-{seed}-{name}")

    started = time.monotonic()
    head = trained("head")
    row = {"head": accuracy(head), "seconds": time.monotonic() - started}
    if finetune_epochs:
        row["fine-tuned"] = accuracy(trained("finetuned", finetune_epochs=finetune_epochs))
        result = export(head, formats=(INT8,)).result(INT8)
        if result.verdict != "passed":
            raise SystemExit(f"{INT8} of seed {seed}: {result.verdict}, {result.reason}")
        check = result.splits["validation"]
        row |= {"int8": check.score, "drop": check.drop}
    return row


def accuracy(run: Run) -> float:
    """Return the accuracy of a run on validation."""
    return run.record.scores["validation"]["accuracy"]


def format_table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Return the rows and their means, by resize rule, as a Markdown table."""
    lines = ["| resize | seed | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for resize, measured in rows.items():
        means = {name: np.mean([row[name] for row in measured]) for name in COLUMNS if name in measured[0]}
        for seed, row in [*enumerate(measured), ("mean", means)]:
            cells = [f"{row[name]:.{0 if name == 'seconds' else 4}f}" if name in row else "" for name in COLUMNS]
            lines.append(f"| {resize} | {seed} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder with train/ and val/, each with one folder of images per class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--finetune-epochs", type=int, default=5)
    parser.add_argument("--resize", nargs="+", default=["stretch", "crop"])
    parsed = parser.parse_args(arguments)
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for resize in parsed.resize:
            epochs = parsed.finetune_epochs if resize == parsed.resize[0] else 0
            for seed in range(parsed.seeds):
                rows.setdefault(resize, []).append(measure(parsed.data, resize, seed, epochs, Path(folder)))
                print(resize, seed, rows[resize][-1], file=sys.stderr, flush=True)
    print(format_table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
