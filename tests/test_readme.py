"""What the README says of commands and models is so."""

import re
from pathlib import Path

import pytest

from dltemplates import catalog
from dltemplates.cli.commands import dlt
from dltemplates.models.build import build_network
from dltemplates.models.summary import summarize

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
    for key in catalog.FORMATS:
        assert f"`{key}`" in README


def test_pictures_and_pages_it_links_to_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", catalog.MODELS)
def test_the_table_of_models_says_what_is_counted(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
    shape = (28, 28, 1) if "28x28x1" in row or name == "lenet5" else (32, 32, 3)
    summary = summarize(build_network(name, {"input_shape": shape, "num_outputs": 10}, {}))
    assert f"{summary.parameters:,}" in row
    assert f"{summary.macs:,}" in row
