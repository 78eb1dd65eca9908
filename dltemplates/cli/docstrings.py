"""Parsing of a model's docstrings: its module's and its builder's."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any


def read_module(docstring: str) -> dict[str, Any]:
    """Split a module's docstring into its parts.

    Returns:
        `title`; `paper`, `Authors: "Title", ..., link, section.`, or None if the second paragraph has another form;
        `idea`, the next paragraph; `notes`, the other paragraphs. Tables keep their lines, lists have one line per
        item, and other paragraphs become one line.
    """
    title, *paragraphs = read_paragraphs(docstring)
    cited = re.match(r'[^":]+: "[^"]+".*?https?://.*?\.(?=\s|$)', paragraphs[0]) if paragraphs else None
    if cited:
        rest = paragraphs[0][cited.end() :].strip()
        paragraphs[:1] = [rest] if rest else []
    idea, *notes = paragraphs or [""]
    return {"title": title, "paper": cited.group() if cited else None, "idea": idea, "notes": notes}


def read_paragraphs(docstring: str) -> list[str]:
    """Split a docstring into paragraphs of one line each; tables keep their lines, lists have one line per item."""
    return [part if part.startswith("|") else _lines(part) for part in docstring.split("\n\n")]


def _lines(paragraph: str) -> str:
    items = re.split(r"\n(?=- )", paragraph) if paragraph.startswith("- ") else [paragraph]
    return "\n".join(" ".join(item.split()) for item in items)


def read_arguments(signature: str, docstring: str) -> dict[str, dict[str, Any]]:
    """Read the arguments of a function.

    Args:
        signature: `name(argument, *, argument=default)`.
        docstring: The function's docstring in Google style.

    Returns:
        By argument, its `default`, or None, and its `meaning`, or an empty text.
    """
    (function,) = ast.parse(f"def {signature}: ...").body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    values = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    meanings = read_meanings(docstring, "Args")
    return {
        argument.arg: {"default": _default(value), "meaning": meanings.get(argument.arg, "")}
        for argument, value in zip([*positional, *arguments.kwonlyargs], values, strict=True)
    }


def _default(value: ast.expr | None) -> Any:
    """Return the value of a default, or its source text if it is an expression."""
    if value is None:
        return None
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def read_meanings(docstring: str, title: str) -> dict[str, str]:
    """Read the entries of a section of a docstring, such as `Args` or `Attributes`, by name."""
    _, _, section = inspect.cleandoc(docstring).partition(f"\n{title}:\n")
    section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
