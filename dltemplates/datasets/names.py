"""Names of classes, columns and files: written in one Unicode form (NFC), on one line, ordered, and compared.

`é` may be one character or two (`e` and an accent): macOS writes the names of files so. Both look alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

CONTROLS = re.compile(r"\s*[\x00-\x1f\x7f-\x9f\u2028\u2029]+\s*")  # with the spaces around them
WHOLE = re.compile(r"[+-]?\d+")
MAX_NAMED = 3  # names in a warning
MAX_LENGTH = 40  # letters of a name in a warning


def clean(name: str) -> str:
    """Return a name in NFC, on one line: a line break, a tab or another control character becomes a space."""
    if name.isascii() and name.isprintable():
        return name
    return one_line(unicodedata.normalize("NFC", name))


def one_line(name: str) -> str:
    """Replace control characters, such as line breaks and tabs, by a space."""
    return CONTROLS.sub(" ", name).strip() if CONTROLS.search(name) else name


def in_order(names: Iterable[str], *, rules: int) -> tuple[str, ...]:
    """Sort different names: whole numbers by value, so that 2 is before 10; other names as text.

    Args:
        names: The names; repeated ones count once.
        rules: Version of the reading rules; earlier ones sort numbers as text, too.
    """
    different = sorted(set(names))
    if rules >= 3 and all(WHOLE.fullmatch(name) for name in different):
        different.sort(key=int)
    return tuple(different)


def same_as(known: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return, for each name that is not known as it is written, the known name that is equal after `clean`."""
    known = list(known)
    cleaned = {clean(name): name for name in known}
    exact = set(known)
    return {name: cleaned[clean(name)] for name in names if name not in exact and clean(name) in cleaned}


def find_file(folder: Path, name: str) -> str | None:
    """Return the name of an existing file below a folder as the disk writes it; None if there is none.

    The file's name may be written in another Unicode form there.
    """
    if (folder / name).is_file():
        return name
    found = folder
    for part in Path(name).parts:
        if not (found / part).exists():
            children = (child.name for child in found.iterdir()) if found.is_dir() else ()
            part = next((child for child in children if clean(child) == clean(part)), part)
        found = found / part
    return found.relative_to(folder).as_posix() if found.is_file() else None


def changes(noun: str, forms: Mapping[str, Sequence[str]]) -> list[str]:
    """Warn about names that were changed or merged, each with a way out.

    Args:
        noun: The kind of name, in the plural: `classes`.
        forms: For each name after `clean`, the names that were written.
    """
    warnings = []
    if broken := [name for name, written in forms.items() if any(CONTROLS.search(text) for text in written)]:
        warnings.append(
            f"{noun} with a line break or another control character are read on one line, such as "
            f"{_quoted(broken)}: write them so in the data, or let your app expect these lines"
        )
    if merged := [name for name, written in forms.items() if len(set(map(one_line, written))) > 1]:
        warnings.append(
            f"{noun} that look alike in two Unicode forms are read as one: {_quoted(merged)}: write them in one form, "
            "or rename one if they are different"
        )
    return warnings


def look_alikes(noun: str, names: Iterable[str]) -> list[str]:
    """Warn about different names that differ in case, blanks or the form of characters alone, with a way out."""
    alike = defaultdict(list)
    for name in sorted(names):
        alike[_look(name)].append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if not groups:
        return []
    few = "; ".join(" and ".join(map(repr, names)) for names in groups[:MAX_NAMED])
    return [
        f"{noun} differ in case, blanks or the form of characters alone: {few}{'; ...' * (len(groups) > MAX_NAMED)}: "
        "write them alike if they are the same, or rename one"
    ]


def as_lines(names: Iterable[str]) -> str:
    """Return the text of a file with one name per line, whatever is in the names."""
    return "".join(f"{one_line(name)}\n" for name in names)


def _look(name: str) -> str:
    """Return a name without differences that are hard to see: case, blanks, invisible characters, character forms."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(character for character in folded if unicodedata.category(character) != "Cf").split())


def few(names: Sequence[str], count: int = 10) -> str:
    """List the first names, separated by commas, for a message."""
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _quoted(names: Sequence[str]) -> str:
    short = [name if len(name) <= MAX_LENGTH else f"{name[:MAX_LENGTH]}..." for name in names[:MAX_NAMED]]
    return ", ".join(map(repr, short)) + (", ..." if len(names) > MAX_NAMED else "")
