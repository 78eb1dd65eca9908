"""What the README says of commands and models is so."""

import fnmatch
import re
from pathlib import Path

import pytest

from dltemplates import catalog
from dltemplates.cli.commands import dlt
from dltemplates.models.build import build_network
from dltemplates.models.keras_applications import APPLICATIONS
from dltemplates.models.summary import summarize, without_weights
from dltemplates.tasks.assemble import without_auxiliary

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

DEEP = {"resnet110", "resnet1202", "preact_resnet110", "preact_resnet164", "preact_resnet_cifar", "preact_resnet152"}
DEEP |= {"resnet152", "densenet121"}  # seconds each


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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in DEEP else ()) for name in catalog.MODELS]
)
def test_the_table_of_models_says_what_is_counted(name):
    (row,) = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
    sizes = catalog.MODELS[name].sizes
    summary = summarize(without_auxiliary(without_weights(lambda: build_network(name, sizes, {}))))
    size = "x".join(map(str, sizes["input_shape"]))
    outputs = f", {sizes['num_outputs']}" if "num_outputs" in sizes else ""
    assert row.endswith(f"| {size}{outputs} | {summary.trainable:,} | {summary.macs:,} |")


def test_what_it_says_of_keras_applications_is_so():
    unwrapped = re.sub(r"(?<!\n)\n(?!\n)", " ", README)
    before, _, _ = unwrapped.partition(" give what those of `keras.applications`")
    named = {
        model
        for pattern in re.findall(r"`(.*?)`", before.rpartition("\n\n")[2])
        for model in fnmatch.filter(catalog.MODELS, pattern)
    }
    assert named == set(APPLICATIONS)
