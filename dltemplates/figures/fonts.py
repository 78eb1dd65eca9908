"""Fonts for the texts of figures: class names may be in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

# A Han character has the form of the script beside it, so these come before the other fonts.
FAMILIES = {
    "HANGUL": ("NanumGothic", "Noto Sans CJK KR", "Noto Sans KR", "Malgun Gothic", "Apple SD Gothic Neo"),
    "HIRAGANA": ("IPAexGothic", "Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic", "Hiragino Sans"),
    "KATAKANA": ("IPAexGothic", "Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic", "Hiragino Sans"),
    "CJK": ("Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei"),
}
PACKAGED = {  # fonts in Python packages: the first is a dependency, the second a choice
    "koreanize_matplotlib": "fonts/NanumGothic.ttf",
    "matplotlib_fontja": "fonts/ipaexg.ttf",
}
PLACEHOLDERS = ("lastresort", "adobeblank")  # fonts that draw a box for every character
MAX_SHOWN = 8


def fit_fonts(figures: Iterable[Figure]) -> str | None:
    """Set fonts that have the characters of drawn figures.

    Args:
        figures: Figures that were drawn once, so that they have the labels of their ticks.

    Returns:
        One line on the characters that no font has; None if there are none.
    """
    texts = [text for figure in figures for text in figure.findobj(Text) if isinstance(text, Text)]
    characters = {character for text in texts for character in text.get_text()}
    missing = _missing(characters)
    families = choose_families(missing)
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *families])
    if not (left := _without(missing, families)):
        return None
    shown = "".join(sorted(left)[:MAX_SHOWN]) + ("..." if len(left) > MAX_SHOWN else "")
    return (
        f"The figures show boxes for {shown}: no font of this machine has {'it' if len(left) == 1 else 'them'}. "
        "Install one before the next run, such as Noto Sans (Debian, Ubuntu: apt install fonts-noto)."
    )


def choose_families(characters: Iterable[str]) -> list[str]:
    """Return the names of installed fonts that have these characters, as few as possible.

    The fonts of `FAMILIES` come first, then all others by name.
    """
    left = set(characters)
    if not left:
        return []
    scripts = {unicodedata.name(character, "").partition(" ")[0] for character in left}
    preferred = [family for script, families in FAMILIES.items() if script in scripts for family in families]
    _register()
    fonts = {entry.name: entry for entry in reversed(fontManager.ttflist) if _is_regular(entry)}
    order = [name for name in preferred if name in fonts]
    order += sorted((name for name in fonts if name not in order), key=lambda name: ("Noto Sans" not in name, name))
    chosen = []
    for name in order:
        if not left:
            break
        if had := left & _glyphs(fonts[name].fname, left):
            chosen.append(name)
            left -= had
    return chosen


def _register() -> None:
    """Let matplotlib know the packages' fonts, and those installed since it wrote its list."""
    known = {entry.fname for entry in fontManager.ttflist}
    for path in [*_packaged_files(), *findSystemFonts()]:
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):  # not a font that FreeType reads
                continue


def _packaged_files() -> Iterator[str]:
    for package, file in PACKAGED.items():
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(folder) / file).is_file():
                yield str(path)


def _is_regular(entry: FontEntry) -> bool:
    name = entry.name.lower().replace(" ", "").lstrip(".")
    return entry.style == "normal" and str(entry.weight) in ("400", "normal") and not name.startswith(PLACEHOLDERS)


def _missing(characters: set[str]) -> set[str]:
    """Return the visible characters that matplotlib's own font lacks."""
    visible = {character for character in characters if character.isprintable() and not character.isspace()}
    return visible - _glyphs(_file(rcParams["font.family"][0]), visible)


def _without(characters: set[str], families: list[str]) -> set[str]:
    left = set(characters)
    for family in families:
        left -= _glyphs(_file(family), left)
    return left


def _file(family: str) -> str:
    return str(findfont(FontProperties(family=[family])))


def _glyphs(path: str, characters: set[str]) -> set[str]:
    """Return those characters that a font file has; none if its glyphs are pictures, as of coloured emoji."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return set()
    return {character for character in characters if font.get_char_index(ord(character))} if font.scalable else set()
