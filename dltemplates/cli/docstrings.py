"""Take apart what a model says of itself: its module's docstring and its builder's."""

from __future__ import annotations

import ast
import re
from typing import Any


def read_module(docstring: str) -> dict[str, Any]:
    """The parts of a module's docstring.

    Returns:
        `title`; `paper` (`Authors: "Title", ..., link, section.`), None where it does not begin so; `idea`, the
        paragraph that follows; `notes`, the paragraphs after that. A table keeps its lines and a list a line for each
        item, other paragraphs do not.
    """
    title, *paragraphs = [part if part.startswith("|") else _lines(part) for part in docstring.split("\n\n")]
    cited = re.match(r'[^":]+: "[^"]+".*?https?://.*?\.(?=\s|$)', paragraphs[0]) if paragraphs else None
    if cited:
        rest = paragraphs[0][cited.end() :].strip()
        paragraphs[:1] = [rest] if rest else []
    idea, *notes = paragraphs or [""]
    return {"title": title, "paper": cited.group() if cited else None, "idea": idea, "notes": notes}


def _lines(paragraph: str) -> str:
    items = re.split(r"\n(?=- )", paragraph) if paragraph.startswith("- ") else [paragraph]
    return "\n".join(" ".join(item.split()) for item in items)


def read_arguments(signature: str, docstring: str) -> dict[str, dict[str, Any]]:
    """The arguments of a function.

    Args:
        signature: `name(argument, *, argument=default)`.
        docstring: Its docstring, Google style.

    Returns:
        For each argument its `default`, None where it has none, and its `meaning`, empty where `Args:` does not say.
    """
    (function,) = ast.parse(f"def {signature}: ...").body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    places = [*arguments.posonlyargs, *arguments.args]
    values = [*[None] * (len(places) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    meanings = _meanings(docstring)
    return {
        argument.arg: {"default": _default(value), "meaning": meanings.get(argument.arg, "")}
        for argument, value in zip([*places, *arguments.kwonlyargs], values, strict=True)
    }


def _default(value: ast.expr | None) -> Any:
    """A default as it is, or as it is written where it is an expression."""
    if value is None:
        return None
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def _meanings(docstring: str) -> dict[str, str]:
    _, _, section = docstring.partition("\nArgs:\n")
    section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
