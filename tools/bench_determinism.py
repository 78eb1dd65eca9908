"""Benchmark of `train.deterministic`: the same training with and without it, in turns, each in its own process.

    python tools/bench_determinism.py [TEMPLATE] [--epochs 3] [--pairs 5]

Prints the seconds of every training, the ratio of each pair, and the median ratio.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def train_seconds(template: str, epochs: int, deterministic: bool) -> float:
    """Train in a fresh process, and return the seconds after the first epoch, which compiles."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "dltemplates", "train", template, "-o", str(run), "--json"]
        settings = [f"train.epochs={epochs + 1}", f"train.deterministic={str(deterministic).lower()}"]
        command += [f"--set={setting}" for setting in settings]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert json.loads(done.stdout)["state"] == "done"
        rows = (run / "history.csv").read_text().splitlines()
        seconds = [float(row.rpartition(",")[2]) for row in rows[1:]]
        return seconds[-1] - seconds[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", nargs="?", default="resnet8_digits")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    ratios = []
    for pair in range(options.pairs):
        order = (True, False) if pair % 2 else (False, True)  # cancels a drift of the machine's speed
        seconds = {mode: train_seconds(options.template, options.epochs, mode) for mode in order}
        ratios.append(seconds[True] / seconds[False])
        print(f"deterministic {seconds[True]:.2f} s, not {seconds[False]:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
