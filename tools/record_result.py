"""Write a run's test score and training time into the results that `dlt list` shows.

python tools/record_result.py resnet8_digits saved_models/resnet8_digits --host "two cores of an AMD EPYC, AVX2"
"""

from __future__ import annotations

import argparse
import datetime
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from dltemplates.runs import Run, load_run
from dltemplates.tasks.task import make_task
from dltemplates.template import load_template
from dltemplates.training.resolve import filled_from

FILE = Path(__file__).parents[1] / "dltemplates" / "templates" / "results.toml"


def result_of(name: str, run: Run, host: str, date: str) -> dict[str, Any]:
    """Return the entry of a run of a ready template: its first test score, the best baseline, the changed settings.

    Raises:
        ValueError: If the run is not done, or is of another model.
    """
    trained, record = run.template, run.record
    ready = filled_from(load_template(name), trained)  # what follows from the data was not changed by the user
    if record.state != "done":
        raise ValueError(f"A result needs a finished run. Received: {run.path}, {record.state}. Resume it.")
    if (ready.model.name, ready.task.name) != (trained.model.name, trained.task.name):
        raise ValueError(f"The run must be of the template. Received: {name}, and a run of {trained.model.name}.")
    metric, score = next(iter(record.scores["test"].items()))
    before, now = ready.flat(), trained.flat()
    changed = {
        key: value
        for key, value in now.items()
        if value is not None and before.get(key) != value and not key.startswith("export.")  # they change no score
    }
    evidence = str(record.intervals["test"][metric])
    entry = {"metric": metric, "score": float(f"{score:.4g}"), "evidence": evidence}
    entry |= {"seconds": round(record.seconds), "host": host}
    if record.baselines and (best := record.baselines.best(make_task(trained.task, record.spec).direction)):
        entry["baseline"] = f"{best.name} {float(f'{best.scores[metric]:.4g}'):,g}"
    return entry | {"date": date} | ({"settings": changed} if changed else {})


def write(file: Path, name: str, entry: dict[str, Any]) -> None:
    """Add or replace an entry."""
    text = file.read_text(encoding="utf-8")
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    entries = tomllib.loads(text) | {name: entry}
    file.write_text(f"{comment}\n{tomli_w.dumps(dict(sorted(entries.items())))}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("template")
    parser.add_argument("run")
    parser.add_argument("--host", required=True)
    arguments = parser.parse_args()
    today = datetime.date.today().isoformat()
    write(FILE, arguments.template, result_of(arguments.template, load_run(arguments.run), arguments.host, today))
