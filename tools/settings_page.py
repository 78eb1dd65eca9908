"""Write docs/settings.md: every setting of a template, from the classes that check them.

python tools/settings_page.py
"""

from pathlib import Path

from dltemplates.cli.setting_pages import markdown

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
