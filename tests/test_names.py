"""Names keep to the field's words: none of the replaced names comes back.

`OLD` lists by module what a name was called before; a name after `/` is a file. `upgrade.py` alone may hold old names,
as strings, to read what earlier versions wrote.
"""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

import pytest

import dltemplates

ROOT = Path(dltemplates.__file__).parent

OLD = {  # modules, by a pattern of their path: names that none of them defines or reads as an attribute
    "*": """
        Watch a_row gallery Judge Like HELD_OUT look_at_image look_at_mask look_at_boxes Keeper Bystander Placement
        make_placement farewell stretches spans adopt with_texts traits thinned unfolded share_on load_judge judge_path
        missing_judge judged_by judge_name Future Past Scores Decision Pretrain MarkedSource MOST LEAST SHOWN FEW TRIED
        gives_back is_share FAIR_PART last_epoch last_step set_apart three_ways divide_again split_whole must_know
        is_held Given read_given one_by_one share_text share_variables tell
    """,
    "tasks/*": "watched needs fitted judge spread coverage lack between players game relative",
    "tasks/model_signature.py": "takes gives",
    "training/*": "watched keeper placement compared in_turn judge turn",
    "training/algorithms/*": "begin figures start parts shown explained seen dreamt",
    "datasets/series/*": "stretches bounds spans",
    "datasets/series/windows.py": "lengths",
    "deploy/formats/*": "refuses",
    "deploy/*": "GATE unfolded strings",
    "models/checks.py": "least most does",
    "*settings.py": "Part keep labels pretrain period strings strict",
    "models/generative/*": "code players made game shown explained seen dreamt",
    "layers/*": "shown explained seen dreamt",
    "cli/*": "strict strings adopt",
}
OLD_METHODS = {"serving", "sizes", "show"}  # of a task; elsewhere they are good names
ALLOWED = {  # a name that means something else there
    ("tasks/noise.py", "fitted"),  # a source with the fitted features
    ("training/algorithms/adversarial.py", "parts"),  # the parts of a batch
}
OLD_FILES = {
    "codes.py",
    "rows.py",
    "values.py",
    "seeds.py",
    "marked.py",
    "needs.py",
    "examples.py",
    "record.py",
    "agreement.py",
    "job.py",
    "given.py",
    "texts.py",
    "adopt.py",
    "judge.py",
    "judges.py",
    "keeper.py",
    "watch.py",
    "future.py",
    "past.py",
    "scores.py",
    "decision.py",
}
FILES = sorted(ROOT.rglob("*.py"))


def names_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that a module defines, takes as an argument or reads as an attribute of its own, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dltemplates"):
            yield from ((alias.name, node.lineno) for alias in node.names)


def methods_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each method of a module's classes, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from ((method.name, method.lineno) for method in node.body if isinstance(method, ast.FunctionDef))


def old_names(path: str, source: str) -> list[str]:
    """Return the old names in a module, each with its line."""
    refused = {name for pattern in OLD if fnmatch.fnmatch(path, pattern) for name in OLD[pattern].split()}
    tree = ast.parse(source)
    found = [(name, line) for name, line in names_in(tree) if name in refused]
    if path.startswith("tasks/"):
        found += [(name, line) for name, line in methods_in(tree) if name in OLD_METHODS]
    return [f"{path}:{line} {name}" for name, line in found if (path, name) not in ALLOWED]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_old_name_comes_back(file):
    assert not old_names(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8"))


def test_no_old_file_comes_back():
    assert len(FILES) > 200
    assert not [file for file in FILES if file.name in OLD_FILES]


@pytest.mark.parametrize("pattern", OLD)
def test_each_pattern_has_modules(pattern):
    assert [file for file in FILES if fnmatch.fnmatch(str(file.relative_to(ROOT)), pattern)]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tasks/x.py", "def needs(self): ..."),
        ("tasks/x.py", "self.judge = 1"),
        ("tasks/x.py", "class X:\n    def serving(self): ..."),
        ("deploy/x.py", "def f(strings): ..."),
        ("figures/x.py", "SHOWN = 3"),
        ("cli/x.py", "from dltemplates.training.importing.import_model import adopt"),
    ],
)
def test_an_old_name_is_found(path, source):
    assert len(old_names(path, source)) == 1
