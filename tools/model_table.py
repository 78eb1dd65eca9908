"""Write the table of models in docs/models.md: for each model of the catalog its summary, sizes, parameters and MACs.

    python tools/model_table.py            # rewrite the table
    python tools/model_table.py mlp vgg16  # print the rows of some models

Networks are built without weights; the deepest ones take minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PAGE = ROOT / "docs" / "models.md"
HEADER = (
    "| model | description | input, outputs | parameters | multiply-accumulates |\n| --- | --- | --- | --- | --- |\n"
)


def row(name: str) -> str:
    """Return the row of a model of the catalog."""
    from dltemplates import catalog
    from dltemplates.models.build import build_network
    from dltemplates.models.summary import summarize, without_weights
    from dltemplates.tasks.assemble import without_auxiliary

    entry = catalog.MODELS[name]
    summary = summarize(without_auxiliary(without_weights(lambda: build_network(name, entry.sizes, {}))))
    size = "x".join(map(str, entry.sizes["input_shape"]))
    outputs = f", {entry.sizes['num_outputs']}" if "num_outputs" in entry.sizes else ""
    return f"| `{name}` | {entry.summary} | {size}{outputs} | {summary.trainable:,} | {summary.macs:,} |"


def replace_table(page: str, rows: list[str]) -> str:
    """Return the page with the rows of its table replaced.

    Raises:
        ValueError: If the page has no table with the columns of `HEADER`.
    """
    before, header, rest = page.partition(HEADER)
    if not header:
        raise ValueError(f"The page must have the table `{HEADER.splitlines()[0]}`. Received: {PAGE}. Restore it.")
    _, end, after = rest.partition("\n\n")
    return before + header + "\n".join(rows) + end + after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="MODEL", help="models to print; none rewrites the whole table")
    names = parser.parse_args().names
    if names:
        print("\n".join(map(row, names)))
        return 0
    from dltemplates import catalog

    PAGE.write_text(replace_table(PAGE.read_text(encoding="utf-8"), list(map(row, catalog.MODELS))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
