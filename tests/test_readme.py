"""What the README says of commands and models is so."""

import fnmatch
import re
from pathlib import Path

from dltemplates import catalog
from dltemplates.cli.commands import dlt
from dltemplates.models.build import build_network
from dltemplates.models.keras_applications import APPLICATIONS
from dltemplates.models.summary import summarize, without_weights
from dltemplates.tasks.assemble import without_auxiliary
from models.register import models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_are_one_line_each():
    for marker in ("main job", "tests"):
        block = re.search(rf"<!-- {marker} -->\n```bash\n(.*?)```", README, re.DOTALL)
        assert block
        (line,) = block.group(1).splitlines()
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install")


def test_the_table_of_commands_is_whole():
    listed = set(re.findall(r"^\| `dlt (\w+)", README, re.MULTILINE))
    assert listed == set(dlt.commands)


def test_the_table_of_formats_is_whole():
    assert catalog.FORMATS
    for key in catalog.FORMATS:
        assert f"`{key}`" in README


def test_pictures_and_pages_it_links_to_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


@models(slow=lambda row: row.deep)
def test_the_table_of_models_says_what_is_counted(name):
    rows = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
    assert len(rows) == 1, f"{name}: add a row to the table of models in README.md"
    sizes = catalog.MODELS[name].sizes
    summary = summarize(without_auxiliary(without_weights(lambda: build_network(name, sizes, {}))))
    size = "x".join(map(str, sizes["input_shape"]))
    outputs = f", {sizes['num_outputs']}" if "num_outputs" in sizes else ""
    assert rows[0].endswith(f"| {size}{outputs} | {summary.trainable:,} | {summary.macs:,} |")


def test_what_it_says_of_keras_applications_is_so():
    unwrapped = re.sub(r"(?<!\n)\n(?!\n)", " ", README)
    before, _, _ = unwrapped.partition(" give what those of `keras.applications`")
    named = {
        model
        for pattern in re.findall(r"`(.*?)`", before.rpartition("\n\n")[2])
        for model in fnmatch.filter(catalog.MODELS, pattern)
    }
    assert named == set(APPLICATIONS)
