"""The claims of README.md and the pages that it links to: commands, names, settings, tables and links."""

import fnmatch
import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

from conftest import load_tool
from dltemplates import catalog, catalog_templates
from dltemplates.cli.commands import dlt
from dltemplates.models.keras_applications import APPLICATIONS
from dltemplates.settings import DatasetSettings, ExportSettings
from dltemplates.template import load_template, parse_overrides
from dltemplates.train_settings import TrainSettings
from models.register import models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").glob("*.md"))
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
OTHERS = [ROOT / "docker" / "README.md", ROOT / "saved_models" / "README.md"]
PAGES = [ROOT / "README.md", ROOT / "README.ko.md", *DOCS, *OTHERS]
TEMPLATES = catalog_templates.names()
PLACEHOLDERS = {"TEMPLATE", "MODEL", "NAME", "RUN", "mine.toml"}  # for names that the reader chooses
READERS_DATA = {"photographs", "tagged", "parts", "PATH", "..."}
TABLES = {"train": TrainSettings, "dataset": DatasetSettings, "export": ExportSettings}

tool = load_tool("write_docs")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def read_doc(name: str) -> str:
    return read(ROOT / "docs" / name)


def code_lines(text: str) -> list[str]:
    """Return the lines of all bash blocks."""
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


def inline_code(text: str) -> list[str]:
    """Return all inline code; code that runs over a line break is joined."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [" ".join(code.split()).replace(r"\|", "|") for code in re.findall(r"`([^`]+)`", prose)]


def commands_in(text: str) -> list[str]:
    """Return all `dlt` commands in bash blocks and in inline code."""
    lines = [part for line in code_lines(text) for part in line.split(" && ")] + inline_code(text)
    commands = [line.removeprefix(".venv/bin/") for line in lines]
    return [command for command in commands if command.startswith("dlt ")]


def check_command(line: str) -> None:
    """Parse a `dlt` command as the command line does, and check its names and settings.

    Usage forms parse too: `[--resume]` counts as `--resume`, and `RUN|EXPORT` as `RUN`.

    Raises:
        click.UsageError: If the command line rejects it.
        ValueError: If a template, model or setting does not exist.
    """
    line = re.sub(r" \[([^\]]*)\]", r" \1", line)
    words = [word if "=" in word else word.partition("|")[0] for word in shlex.split(line, comments=True)[1:]]
    while words and words[0].startswith("-"):
        if words[0] not in ("--help", *(option for parameter in dlt.params for option in parameter.opts)):
            raise click.NoSuchOption(words[0])
        words = words[1:]
    if not words or words == ["..."]:
        return
    name, *arguments = words
    if name not in dlt.commands:
        raise click.UsageError(f"no command {name}")
    if not arguments:  # it is only mentioned
        return
    options = dlt.commands[name].make_context(name, list(arguments)).params
    if options.get("data"):
        assert options["data"] in {*catalog.DATASETS, *READERS_DATA} or options["data"].endswith(
            (".csv", ".npz", ".ts", ".tsv", ".jsonl", ".txt")
        ), line
    settings = parse_overrides(options.get("settings") or ())
    target = arguments[0]
    if target in PLACEHOLDERS or target.endswith((".toml", ".keras")):
        return
    if name in ("run", "train"):
        check_settings(target, settings)
    elif name == "build":
        catalog.check_name("model", target)
        assert set(settings) <= set(inspect.signature(catalog.load("model", target)).parameters), line


def check_settings(template: str, settings: dict[str, object]) -> None:
    """Check the settings of a template, options of its task and model included, unless they are the reader's own."""
    loaded = load_template(template, settings)
    for table, named in (("task", loaded.task), ("model", loaded.model)):
        if ":" in named.name:
            continue
        parameters = inspect.signature(catalog.load(table, named.name)).parameters
        if unknown := set(named.options) - set(parameters) - {"weights"}:
            raise ValueError(f"unknown option of {named.name}: {unknown}")


def test_the_readme_has_at_most_150_lines():
    assert len(README.splitlines()) <= 150
    assert len(KOREAN.splitlines()) <= 150


def command_of_tests():
    """Return the command below the marker `tests`."""
    return re.search(r"<!-- tests -->\n```bash\n(.*?)\n```", README)[1]


def test_the_korean_readme_shows_the_same_commands_and_results():
    assert set(code_lines(KOREAN)) == set(code_lines(README)) - {command_of_tests()}
    assert re.findall(r"^\| (`dlt .*?`) \|", KOREAN, re.MULTILINE) == re.findall(
        r"^\| (`dlt .*?`) \|", README, re.MULTILINE
    )
    assert KOREAN.count("\n## ") == README.count("\n## ")
    outputs = [block for block in KOREAN.split("```")[1::2] if block.startswith("\n")]
    assert outputs
    for block in outputs:
        assert set(block.splitlines()) <= set(README.splitlines())


def test_the_readme_links_to_every_page():
    for page in PAGES[1:]:
        assert f"]({page.relative_to(ROOT).as_posix()})" in README
    assert len(DOCS) >= 9


def test_the_two_commands_are_one_line_each():
    for marker in ("main job", "tests"):
        block = re.search(rf"<!-- {marker} -->\n```bash\n(.*?)```", README, re.DOTALL)
        assert block
        (line,) = block.group(1).splitlines()
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install")


def test_the_table_of_commands_is_whole():
    listed = set(re.findall(r"^\| `dlt (\w+)", README, re.MULTILINE))
    assert listed == {name for name, command in dlt.commands.items() if not command.hidden}


def test_the_tables_of_formats_name_formats():
    (table,) = re.findall(r"^\| format \| check.*?\n\n", read_doc("formats.md"), re.MULTILINE | re.DOTALL)
    checked = re.findall(r"`([\w:]+)`", table)
    shown = re.findall(r"^([\w:]+) .* passed$", README, re.MULTILINE)
    assert len(checked) == len(set(checked)) >= 9
    assert shown
    for names in (checked, shown):
        assert set(names) <= set(catalog.FORMATS)


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_measured_results_are_those_of_the_catalog(name):
    assert tool.readme(name) == read(ROOT / name), f"run `python tools/write_docs.py {name}`"
    assert len(re.findall(r"^\| `\w+` \|.* s \|$", read(ROOT / name), re.MULTILINE)) == 6


def test_the_columns_of_the_first_table_are_explained():
    heading = " ".join(README.partition("\ntflite:float32 ")[0].splitlines()[-2:])
    text = read_doc("formats.md")
    table = text[text.index("| column | meaning |") :].partition("\n\n")[0]
    explained = [name for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE)[2:] for name in row.split(", ")]
    names = [name.partition(" (")[0] for name in explained]
    for name in names:
        assert name in heading
        heading = heading.replace(name, "", 1)
    assert set(heading.split()) <= {"(test)", "(val)"}  # every column is explained


def test_the_pages_have_links_commands_and_settings():
    text = "\n".join(map(read, PAGES))
    assert len(re.findall(r"\]\(([^)#]+)\)", text)) > 40
    assert len(commands_in(text)) > 70
    assert len(re.findall(r"--set [a-z.]+=", text)) > 15


@pages
def test_pictures_and_linked_pages_exist(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", read(page)):
        if target.startswith("https://"):
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def anchors(page: Path) -> list[str]:
    """Return the anchors of a page's headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@pages
def test_commands_parse(page):
    for command in commands_in(read(page)):
        check_command(command)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("dlt run resnet8_digits --epochs 3", click.NoSuchOption),
        ("dlt --loud run resnet8_digits", click.NoSuchOption),
        ("dlt fly resnet8_digits", click.UsageError),
        ("dlt evaluate", None),
        ("dlt run resnet9_digits", ValueError),
        ("dlt train resnet8_digits --set train.epoch=3", ValueError),
        ("dlt train resnet8_digits --set task.judge=none", ValueError),
        ("dlt build resnet51", ValueError),
        ("dlt run convnet_folder --data pictures", AssertionError),
    ],
)
def test_wrong_commands_are_found(command, error):
    if error is None:
        check_command(command)
        return
    with pytest.raises(error):
        check_command(command)


@pages
def test_settings_in_prose_exist(page):
    for code in inline_code(read(page)):
        if code.startswith("--set "):
            check_settings("mlp_digits", parse_overrides(shlex.split(code)[1:2]))
        elif found := re.match(r"(train|dataset|export)\.(\w+)", code):
            table, key = found.groups()
            assert key in TABLES[table].model_fields, code


@pages
def test_options_in_prose_exist(page):
    if page.parent.name == "docker":
        return  # most are options of `docker`
    parameters = [parameter for command in dlt.commands.values() for parameter in command.params]
    known = {option for parameter in (*dlt.params, *parameters) for option in parameter.opts}
    tools = "\n".join(map(read, sorted((ROOT / "tools").glob("*.py"))))
    for code in inline_code(read(page)):
        option = code.split()[0]
        assert not option.startswith("--") or option in known or f'"{option}"' in tools, code


@pages
def test_templates_and_runs_exist(page):
    """Names such as `lenet5_mnist` are templates: they end in a dataset. A run has the name of a template."""
    endings = tuple(f"_{name}" for name in (*catalog.DATASETS, "folder"))
    names = [code.removesuffix(".toml") for code in inline_code(read(page)) if re.fullmatch(r"\w+(\.toml)?", code)]
    found = [name for name in names if name.endswith(endings) and name not in catalog.DATASETS]
    found += re.findall(r"saved_models/(?!two\b|theirs\b|shop\b)([a-z]\w+)", read(page))
    assert set(found) <= set(TEMPLATES)
    assert found or page.name not in ("own_images.md", "results.md")


@pages
def test_files_and_tools_exist(page):
    text = read(page)
    for file in re.findall(r"(?:dltemplates|tests|tools|docs|docker)/[\w/]+(?:\.\w+)?(?=[`\s)])", text):
        assert (ROOT / file).exists(), file
    for line in (*code_lines(text), *inline_code(text), *re.findall(r"^    (python .*)", text, re.MULTILINE)):
        if found := re.search(r"python (tools/\w+\.py)(.*)", line):
            file, arguments = found.groups()
            for option in re.findall(r"--[a-z-]+", arguments):
                assert f'"{option}"' in read(ROOT / file), line


def model_rows() -> dict[str, tuple[str, ...]]:
    """Return the rows of docs/models.md by model."""
    rows = re.findall(r"^\| (`\w+` \| .*) \|$", read_doc("models.md"), re.MULTILINE)
    return {row.split("`")[1]: tuple(row.split(" | ")) for row in rows}


@pytest.mark.parametrize("name", tool.PAGES)
def test_a_generated_page_is_up_to_date(name):
    rows = model_rows()
    text = tool.models(rows.__getitem__) if name == "models.md" else tool.PAGES[name]()
    assert read_doc(name) == text, f"run `python tools/write_docs.py {name}`"
    assert f"`python tools/write_docs.py {name}`" in text.splitlines()[2]


def test_the_tool_writes_the_pages_that_are_named(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["write_docs.py", "exit_codes.md", "settings.md"])
    assert tool.main() == 0
    assert {page.name for page in (tmp_path / "docs").iterdir()} == {"exit_codes.md", "settings.md"}
    assert read(tmp_path / "docs" / "settings.md") == read_doc("settings.md")


def test_the_table_of_a_readme_needs_results_of_one_machine_and_a_place(tmp_path, monkeypatch):
    entries = {name: {"metric": "mse", "score": 1.0, "seconds": 2, "host": "a host"} for name in tool.SHOWN}
    monkeypatch.setattr(tool, "recorded", lambda: entries)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("# Title\n\n<!-- measured -->\n| old |\n\nAfter it.\n", encoding="utf-8")
    text = tool.readme("README.md")
    assert text.startswith(
        "# Title\n\n<!-- measured -->\n| template | learns | test score | best simple model | training, a host |\n"
    )
    assert text.endswith(" | mse 1 | - | 2 s |\n\nAfter it.\n")
    entries["mlp_digits"]["host"] = "another host"
    with pytest.raises(ValueError, match="results of one machine. Received: a host, another host"):
        tool.readme("README.md")
    entries["mlp_digits"]["host"] = "a host"
    (tmp_path / "README.md").write_text("# Title\n", encoding="utf-8")
    with pytest.raises(ValueError, match="needs one table .* Received: 0 in README.md"):
        tool.readme("README.md")


@models(slow=lambda row: row.deep)
def test_the_table_of_models_is_up_to_date(name):
    assert model_rows()[name] == tool.model_row(name), "run `python tools/write_docs.py models.md`"


def test_the_models_that_match_keras_applications_are_named():
    unwrapped = re.sub(r"(?<!\n)\n(?!\n)", " ", read_doc("own_images.md"))
    before, claim, _ = unwrapped.partition(" compute the same outputs as `keras.applications`")
    assert claim
    named = {
        model
        for pattern in re.findall(r"`(.*?)`", before.rpartition("\n\n")[2])
        for model in fnmatch.filter(catalog.MODELS, pattern)
    }
    assert named == set(APPLICATIONS)


def test_the_table_of_dependencies_is_whole():
    (required,) = re.findall(r"^install_requires =\n((?: .*\n)+)", read(ROOT / "setup.cfg"), re.MULTILINE)
    rows = re.findall(r"^\| ([\w, -]+) \|", read_doc("dependencies.md"), re.MULTILINE)
    named = [name for row in rows[2:] for name in row.split(", ")]
    assert sorted(named) == sorted(line.split()[0] for line in required.splitlines())


def test_the_three_places_of_a_part_exist():
    text = read_doc("add_model.md")
    table = text[text.index("| part | file in `dltemplates/`") :].partition("\n\n")[0]
    rows = [row.split(" | ") for row in table.splitlines()[2:]]
    assert {row[0].removeprefix("| ") for row in rows} == {*catalog.KINDS, "kind of feature"}
    for _, folder, *places in rows:
        assert (ROOT / "dltemplates" / re.findall(r"`([^`<]+)", folder)[0]).is_dir(), folder
        for place in places:
            *names, file = re.findall(r"`([^`]+)`", place)
            assert names
            for name in names:
                assert re.search(rf"^{name}\b.* = ", read(ROOT / file), re.MULTILINE), place


def test_the_folders_of_models_and_templates_are_named():
    text = read_doc("add_model.md")
    for room in ("models", "templates"):
        folders = {path.name for path in (ROOT / "dltemplates" / room).iterdir() if path.is_dir()} - {"__pycache__"}
        assert folders
        for folder in folders:
            assert f"`{folder}`" in text
