"""Data, runs and exports of this folder, written by the first edition of the package: see README.md."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RUNS = ("digits", "weather", "climate", "vae", "tumours")
STOP_AFTER = 190  # steps; an epoch has 18


def draw_weather() -> pd.DataFrame:
    """Draw readings of four weather stations. The class is the month."""
    random = np.random.default_rng(1)
    rows = 600
    month = random.integers(1, 13, rows)
    station = random.choice(["harbour", "hill", "valley", "forest"], rows)
    season = np.cos(2 * np.pi * (month - 7) / 12)  # 1 in July
    warmth = pd.Series(station).map({"harbour": 2.0, "hill": -4.0, "valley": 1.0, "forest": 0.0}).to_numpy()
    temperature = 10 + 10 * season + warmth + random.normal(0, 1.5, rows)
    daylight = 12 + 4.5 * np.cos(2 * np.pi * (month - 6.7) / 12) + random.normal(0, 0.2, rows)
    leaves = np.array(["bare", "bare", "buds", "blossom", "green", "green", "green", "green", "turning", "falling",
                       "bare", "bare"])[month - 1]  # fmt: skip
    checked = pd.Timestamp("2019-01-01") + pd.to_timedelta(random.integers(0, 1500, rows), unit="D")
    table = pd.DataFrame(
        {
            "station": station,
            "temperature": temperature.round(1),
            "daylight": daylight.round(2),
            "leaves": leaves,
            "checked": checked.strftime("%Y-%m-%d"),
            "observer": [f"observer {number}" for number in random.integers(0, 400, rows)],
            "month": month,
        }
    )
    for column, share in (("temperature", 0.05), ("leaves", 0.05), ("checked", 0.1)):
        table.loc[random.random(rows) < share, column] = np.nan
    return table


def draw_climate() -> pd.DataFrame:
    """Draw the monthly rain and temperature of twenty years."""
    random = np.random.default_rng(2)
    place = np.arange(240)
    season = np.cos(2 * np.pi * (place - 6) / 12)
    rain = np.clip(60 - 30 * season + random.normal(0, 12, len(place)), 0, None)
    temperature = 10 + 0.005 * place + 10 * season + random.normal(0, 1, len(place))
    months = pd.date_range("2001-01-01", periods=len(place), freq="MS").strftime("%Y-%m")
    return pd.DataFrame({"month": months, "rain": rain.round(1), "temperature": temperature.round(2)})


def interrupt(name: str) -> None:
    """Train a template, and stop in the middle of an epoch, as Ctrl-C does."""
    from dltemplates.template import load_template
    from dltemplates.training import train as training
    from dltemplates.training.progress import Silent

    class Stop(Silent):
        def step(self, step, loss):
            if step >= STOP_AFTER:
                os.kill(os.getpid(), signal.SIGINT)

    training.TICK_SECONDS = 0  # report every call of TensorFlow,
    every_step = {"train.checkpoint_seconds": 0.0}  # and run one step per call
    try:
        training.train(load_template(f"templates/{name}.toml", every_step), output="runs/interrupted", reporter=Stop())
    except KeyboardInterrupt as stopped:
        print(stopped)


def main() -> None:
    os.chdir(HERE)
    shutil.rmtree("runs", ignore_errors=True)
    draw_weather().to_csv("weather.csv", index=False, lineterminator="\n")
    draw_climate().to_csv("climate.csv", index=False, lineterminator="\n")
    for name in RUNS:
        dlt = [sys.executable, "-m", "dltemplates"]
        subprocess.run([*dlt, "train", f"templates/{name}.toml", "-o", f"runs/{name}"], check=True)
        subprocess.run([*dlt, "export", f"runs/{name}", "--all"], check=True)
        for folder in ("checkpoint", "figures"):
            shutil.rmtree(f"runs/{name}/{folder}")
    interrupt("digits")
    for run in Path("runs").iterdir():
        (run / ".lock").unlink()


if __name__ == "__main__":
    main()
