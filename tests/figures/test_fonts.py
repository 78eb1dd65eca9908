"""Fonts of figures: the characters of class names are drawn, not boxes."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from PIL import Image

from dltemplates.figures import fonts
from dltemplates.figures.run import save_figures


def draw(*texts):
    figure = Figure(figsize=(2, 1))
    for place, text in enumerate(texts):
        figure.text(0.1, 0.2 + 0.4 * place, text, fontsize=20)
    return figure


def pixels(folder, *texts):
    note = save_figures({"figure": draw(*texts)}, folder)
    with Image.open(folder / "figure.png") as image:
        return np.asarray(image.convert("L")), note


@pytest.fixture
def no_other_fonts(monkeypatch):
    """Leave matplotlib with its own fonts."""
    own = [entry for entry in fontManager.ttflist if entry.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(fontManager, "ttflist", own)
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    return monkeypatch


def test_korean_class_names_are_no_boxes(tmp_path, no_other_fonts):
    drawn, note = pixels(tmp_path, "개미", "벌")
    other, _ = pixels(tmp_path, "나비", "뱀")
    assert note is None
    assert not np.array_equal(drawn, other)  # boxes are all alike
    no_other_fonts.setattr(fonts, "PACKAGED", {})
    no_other_fonts.setattr(fontManager, "ttflist", [e for e in fontManager.ttflist if e.name != "NanumGothic"])
    boxes, note = pixels(tmp_path, "개미", "벌")
    other_boxes, _ = pixels(tmp_path, "나비", "뱀")
    assert np.array_equal(boxes, other_boxes)
    assert not np.array_equal(drawn, boxes)
    assert note
    assert "개미벌" in note
    assert "apt install fonts-noto" in note


def test_korean_labels_of_ticks_are_drawn(tmp_path, no_other_fonts):
    drawn = []
    for names in (("개미", "벌"), ("나비", "뱀")):
        figure = Figure(figsize=(2, 2))
        axes = figure.subplots()
        axes.set_xticks([0, 1], labels=names)
        assert save_figures({"figure": figure}, tmp_path) is None
        with Image.open(tmp_path / "figure.png") as image:
            drawn.append(np.asarray(image))
    assert not np.array_equal(*drawn)


def test_figures_without_other_scripts_keep_their_font(tmp_path, monkeypatch):
    monkeypatch.setattr(
        fonts, "choose_families", lambda characters: pytest.fail("looked for fonts") if characters else []
    )
    _, note = pixels(tmp_path, "Ameise, fourmi, муравей")
    assert note is None


def test_a_script_takes_its_own_fonts_first(no_other_fonts):
    assert fonts.choose_families("개漢") == ["NanumGothic"]
    assert fonts.choose_families("") == []


def test_characters_without_any_font_are_named_at_most_eight(tmp_path, no_other_fonts):
    few, note = pixels(tmp_path, "\u1a20")  # Tai Tham
    assert "boxes for \u1a20: no font of this machine has it." in note
    _, note = pixels(tmp_path, "".join(map(chr, range(0x1A20, 0x1A30))))
    assert "\u1a27...: no font of this machine has them." in note
    assert few.min() < 255


def test_other_warnings_of_a_figure_still_come(tmp_path, monkeypatch):
    import warnings

    figure = draw("a")
    save = figure.savefig
    monkeypatch.setattr(figure, "savefig", lambda *a, **k: (warnings.warn("another", stacklevel=1), save(*a, **k)))
    with pytest.warns(UserWarning, match="another"):
        save_figures({"figure": figure}, tmp_path)


def test_a_newly_installed_font_is_found(tmp_path, no_other_fonts):
    file = next(iter(fonts._packaged_files()))
    no_other_fonts.setattr(fonts, "PACKAGED", {})
    no_other_fonts.setattr(fonts, "findSystemFonts", lambda: [file, str(tmp_path / "gone.ttf")])
    assert fonts.choose_families("벌") == ["NanumGothic"]
