"""Train a template on each fold of a dataset, and print the test scores beside those of the simple models.

    python tools/bench_folds.py textcnn_polarity polarity --folds 10
    python tools/bench_folds.py text_gru_sms_spam sms_spam --seeds 3

Without folds, each seed trains on other splits of the same data. The last row has the means.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from dltemplates.runs import Run
from dltemplates.template import load_template, parse_overrides
from dltemplates.training.train import train


def scores_of(run: Run, metric: str | None) -> dict[str, float]:
    """Return a score on the test split, of the network and of each simple model; the first score by default."""
    scores = run.record.scores["test"]
    name = metric or next(iter(scores))
    baselines = run.record.baselines.results if run.record.baselines else ()
    return {"network": scores[name]} | {each.name: each.scores[name] for each in baselines if name in each.scores}


def format_table(rows: dict[str, dict[str, float]]) -> str:
    """Return the rows and their means as a Markdown table."""
    names = list(next(iter(rows.values())))
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in names}
    lines = ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for label, row in [*rows.items(), ("mean", means)]:
        lines.append(f"| {label} | " + " | ".join(f"{row[name]:.4f}" for name in names) + " |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Train on each fold or seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template")
    parser.add_argument("dataset")
    parser.add_argument("--folds", type=int, help="number of folds, whose datasets are named DATASET:0, DATASET:1, ...")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, if there are no folds")
    parser.add_argument("--metric", help="score to print; the first one by default")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of the template")
    parsed = parser.parse_args(arguments)
    rows = {}
    for number in range(parsed.folds or parsed.seeds):
        own = {"dataset.name": f"{parsed.dataset}:{number}"} if parsed.folds else {"dataset.name": parsed.dataset}
        if not parsed.folds:
            own |= {"seed": number, "dataset.split_seed": number}
        template = load_template(parsed.template, own | parse_overrides(parsed.set))
        with tempfile.TemporaryDirectory() as folder:
            run = train(template, output=Path(folder) / "run")
            rows[f"fold {number}" if parsed.folds else f"seed {number}"] = scores_of(run, parsed.metric)
        print(format_table(rows), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
