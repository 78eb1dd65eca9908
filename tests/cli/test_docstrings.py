import pytest

from dltemplates import catalog
from dltemplates.cli.docstrings import read_arguments, read_module
from dltemplates.cli.pages import arguments_of


@pytest.mark.parametrize("name", sorted(catalog.MODELS))
def test_every_model_documents_its_paper_idea_and_arguments(name):
    said = catalog.describe("model", name)
    module, arguments = read_module(said["module"]), arguments_of(name)
    assert "http" in (module["paper"] or module["idea"])
    assert module["idea"].endswith(".")
    assert len(module["idea"]) > 100
    assert set(arguments) >= {*catalog.MODELS[name].sizes, "name"}
    for argument, about in arguments.items():
        assert about["meaning"].endswith("."), argument
    assert arguments["name"]["default"] == name


def test_the_paper_comes_first_then_the_idea():
    docstring = 'A net.\n\nOne, Two: "A. Net", 2000,\nhttps://a.org/1.pdf.\n\nIt is:\na net.\n\nMore.\n\nAnd more.'
    assert read_module(docstring) == {
        "title": "A net.",
        "paper": 'One, Two: "A. Net", 2000, https://a.org/1.pdf.',
        "idea": "It is: a net.",
        "notes": ["More.", "And more."],
    }


def test_the_idea_may_follow_in_the_papers_paragraph_and_a_table_keeps_its_lines():
    docstring = 'A net.\n\nOne: "Net", 2000,\nhttp://a.org/1, section 4.2. It\nis.\n\n| a |\n| - |'
    assert read_module(docstring) == {
        "title": "A net.",
        "paper": 'One: "Net", 2000, http://a.org/1, section 4.2.',
        "idea": "It is.",
        "notes": ["| a |\n| - |"],
    }


def test_a_list_has_a_line_for_each_item():
    assert read_module("A net.\n\nIt is.\n\n- `a`: one,\n  two - three.\n- `b`.")["notes"] == [
        "- `a`: one, two - three.\n- `b`."
    ]


def test_a_docstring_without_a_paper_in_front_has_an_idea():
    said = read_module('A net.\n\nIt has parts: those (One: "Net", 2000, https://a.org) that lasted.')
    assert said["paper"] is None
    assert said["idea"].startswith("It has parts: those")
    assert read_module("A net.") == {"title": "A net.", "paper": None, "idea": "", "notes": []}
    paper = 'One: "Net", 2000, https://a.org.'
    assert read_module(f"A net.\n\n{paper}") == {"title": "A net.", "paper": paper, "idea": "", "notes": []}


def test_arguments_have_their_defaults_and_meanings():
    docstring = "Make.\n\nArgs:\n    a: One,\n        two.\n    b: `(1, 2)`: both.\n\nReturns:\n    d: No argument."
    arguments = read_arguments("make(a: int, b: tuple=(1, 2), *, c: float=1 / 3, d=None)", docstring)
    assert arguments == {
        "a": {"default": None, "meaning": "One, two."},
        "b": {"default": (1, 2), "meaning": "`(1, 2)`: both."},
        "c": {"default": "1 / 3", "meaning": ""},
        "d": {"default": None, "meaning": ""},
    }
