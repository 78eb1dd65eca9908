"""Write the table of measured results in the READMEs from the results that `dlt list` shows.

python tools/measured_table.py
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from dltemplates import catalog_templates

ROOT = Path(__file__).parents[1]
FILES = {
    "README.md": ("template", "learns", "test score", "best simple model", "training"),
    "README.ko.md": ("템플릿", "학습 내용", "테스트 점수", "가장 좋은 단순 모델", "학습 시간"),
}
SHOWN = ("resnet8_digits", "mlp_digits", "mlp_adult", "mlp_california_housing", "lstm_sunspots", "autoencoder_digits")
TABLE = re.compile(r"(?<=<!-- measured -->\n).*?(?=\n\n)", re.DOTALL)


def results() -> dict[str, dict[str, Any]]:
    """Return the results of the shown templates, all from one machine.

    Raises:
        ValueError: If they are from several machines.
    """
    file = ROOT / "dltemplates" / "templates" / "results.toml"
    entries = tomllib.loads(file.read_text(encoding="utf-8"))
    shown = {name: entries[name] for name in SHOWN}
    if len(hosts := {entry["host"] for entry in shown.values()}) > 1:
        raise ValueError(f"The table needs results of one machine. Received: {', '.join(hosts)}. Record them again.")
    return shown


def table(head: tuple[str, ...]) -> str:
    """Return the table with these headings."""
    overview, shown = catalog_templates.overview(), results()
    host = next(iter(shown.values()))["host"]
    lines = [f"| {' | '.join(head)}, {host} |", "| --- " * len(head) + "|"]
    for name, entry in shown.items():
        score = f"{entry['metric']} {entry['score']:,g}, {entry['evidence']}"
        lines.append(
            f"| `{name}` | {overview[name]['learns']} | {score} | {entry.get('baseline', '-')} | {entry['seconds']} s |"
        )
    return "\n".join(lines)


def write(file: Path, head: tuple[str, ...]) -> str:
    """Return the text of a README with the table."""
    text, count = TABLE.subn(table(head), file.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"A README needs one table after `<!-- measured -->`. Received: {count} in {file}. Add it.")
    return text


if __name__ == "__main__":
    for name, head in FILES.items():
        (ROOT / name).write_text(write(ROOT / name, head), encoding="utf-8")
