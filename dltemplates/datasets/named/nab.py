"""Series with labelled anomalies, from the Numenta Anomaly Benchmark.

Ahmad, Lavin, Purdy, Agha: "Unsupervised real-time anomaly detection for streaming data", Neurocomputing 262, 2017,
https://doi.org/10.1016/j.neucom.2017.04.070. Each series comes with the time windows of its known anomalies. Training
uses its first part.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from dltemplates.datasets.features import class_value
from dltemplates.datasets.series.sequences import SERIES
from dltemplates.datasets.series.windows import LabeledWindowSource
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.features import Column, Series
from dltemplates.settings import DatasetSettings

FOLDERS = ("realKnownCause", "artificialWithAnomaly")
LABELS = "labels/combined_windows.json"
PAGE = "https://github.com/numenta/NAB"
LENGTH = 64  # values of a window
CLASSES = ("normal", "anomaly")


def nab(settings: DatasetSettings) -> Dataset:
    """Load windows of 64 values of a series, split by time: the first part trains, the last part tests.

    The dataset's name contains the series: `nab:machine_temperature_system_failure`, `nab:nyc_taxi`,
    `nab:art_daily_jumpsup`, or another one of the folders realKnownCause and artificialWithAnomaly. `dataset.test` is
    the share of the series at its end, `dataset.validation` the share at the end of the rest.

    Task `anomaly` needs anomalies in both splits, and each series has only a few. With the template's validation of
    0.7, a test of 0.5 has some for `machine_temperature_system_failure`, `ambient_temperature_system_failure`,
    `ec2_request_latency_system_failure`, `rogue_agent_key_hold`, `rogue_agent_key_updown` and
    `art_increase_spike_density`; a test of 0.3 for `nyc_taxi` and the other artificial series, by cutting their only
    anomaly in two. No test works for `cpu_utilization_asg_misconfiguration`, which ends in its only anomaly.

    A window that ends after an anomaly but still contains part of it counts as normal in the test. The other splits
    leave it out.

    Raises:
        ValueError: If there is no such series.
    """
    _, _, name = settings.name.partition(":")
    labels = locate("nab", Origin((f"nab/{LABELS}", f"NAB/{LABELS}"), page=PAGE))
    path = find_series(labels.parents[1] / "data", name)
    series, marks = read_series(path, json.loads(labels.read_text(encoding="utf-8")))
    windows = Series(name=SERIES, dtype="float32", shape=(LENGTH, 1), columns=(Column(name="value"),))
    source = LabeledWindowSource(series, marks, window=LENGTH)
    spec = DatasetSpec(inputs=(windows,), targets=(class_value(CLASSES),), sizes={"train": len(source)})
    return Dataset(spec, {"train": source})


def find_series(folder: Path, name: str) -> Path:
    """Return the file of a series.

    Raises:
        ValueError: If there is no such series.
    """
    files = {path.stem: path for part in FOLDERS for path in sorted((folder / part).glob("*.csv"))}
    if name not in files:
        raise ValueError(
            f"A series of NAB must be named, as in `nab:nyc_taxi`. Received: {name or 'none'!r}. "
            f"There are: {', '.join(files) or f'none in {folder}'}."
        )
    return files[name]


def read_series(path: Path, windows: dict[str, list[list[str]]]) -> tuple[np.ndarray, np.ndarray]:
    """Read the values (n,) of a series, and whether each is anomalous (n,).

    Raises:
        ValueError: If a row lacks a time or a finite number.
    """
    table = pd.read_csv(path)
    try:
        times = pd.to_datetime(table["timestamp"])
        series = table["value"].to_numpy(np.float32)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} must hold `timestamp` and `value`. Received: {error}. Restore it.") from None
    if not np.isfinite(series).all():
        raise ValueError(
            f"{path} must hold finite numbers. Received: {(~np.isfinite(series)).sum()} others. Restore it."
        )
    marks = np.zeros(len(series), np.int64)
    for first, last in windows.get(f"{path.parent.name}/{path.name}", []):
        marks |= times.between(pd.Timestamp(first), pd.Timestamp(last)).to_numpy(np.int64)
    return series, marks
