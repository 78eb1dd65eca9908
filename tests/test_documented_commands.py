"""Each command and Python block of the README and of docs/ runs, in order, in a folder with small data.

The test adds small settings to `dlt run` and `dlt train`, and to the templates of Python blocks. A run that a page
names but does not make, such as `saved_models/resnet8_digits`, is trained first.
"""

import ast
import fnmatch
import re
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from texts import korean, write_korean

from conftest import run_dlt
from dltemplates import catalog_templates
from dltemplates.cli import main as cli
from dltemplates.cli.commands import dlt
from dltemplates.datasets import in_memory
from dltemplates.template import load_template

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SLOW = (
    "add_model.md", "formats.md", "keras_models.md", "long_jobs.md", "own_images.md", "own_sequences.md",
    "own_tables.md", "own_text.md", "python.md", "training.md",
)  # fmt: skip
FORMATS = ("tflite:int8", "tflite:float32")  # the first one that a template exports
SMALL = {"train.steps": 2, "export.max_drop": 1e9}  # scores mean nothing yet
SMALL_SIDE = 32  # pixels
REFUSED = {  # command: exit code
    "dlt export saved_models/resnet8_digits --to tflite:int8 --max-drop 0.001 --require-proof": 3,
}
NOT_RUN = {  # command or pattern: reason
    "python3 -m venv .venv": "makes an environment; `.ci/run` runs it",
    "source .venv/bin/activate": "changes the shell",
    "pip install *": "downloads packages; `.ci/run` runs both commands of the README",
    "pytest *": "runs this test",
    "ruff *": "`.ci/run` runs it",
    "mypy": "`.ci/run` runs it",
    "python tools/write_docs.py*": "changes docs/; test_readme.py compares the pages",
    "python tools/bench_*": "measures for minutes",
    "dlt run lstm_sunspots --set model.memory=48": "downloads data",
    "python tools/draw_ideas.py*": "trains for minutes; tests/tools draws small figures",
    "python tools/memory_task.py": "trains for minutes; tests/tools trains small networks",
    "dlt run mobilenet_v2_folder --data photographs": "downloads weights",
    "dlt run vgg16_folder --data photographs --set model.weights=imagenet": "downloads weights",
}


def code_of(page: Path) -> list[tuple[str, str]]:
    """Return the language and the text of each code block, in order; inline code has the language `inline`."""
    text = page.read_text(encoding="utf-8")
    parts = re.findall(r"^ *```(\w*)\n(.*?)^ *```|`([^`]+)`", text, re.DOTALL | re.MULTILINE)
    return [
        ("inline", " ".join(inline.split())) if inline else (language, textwrap.dedent(code))
        for language, code, inline in parts
    ]


def commands(language: str, code: str) -> list[str]:
    """Return the commands in code: lines of bash, lines after `$ `, and inline code that is a whole command."""
    if language == "bash":
        lines = [part for line in code.splitlines() for part in line.split(" && ")]
    elif language == "inline":
        lines = [code] if is_whole(code) else []
    else:
        lines = [line[2:] for line in code.splitlines() if line.startswith("$ ")]
    found = [line.partition("  #")[0].strip().removeprefix(".venv/bin/") for line in lines]
    return [command for command in found if command]


def is_whole(code: str) -> bool:
    """Return whether inline code is a command without a name that the reader chooses, such as `RUN`."""
    words = code.split()[1:]
    if not words or not code.startswith(("dlt ", "python ", "pip ")):
        return False
    if any(word.isupper() or word.startswith("[") or word == "..." for word in words):
        return False
    command = dlt.commands.get(words[0]) if len(words) == 1 else None
    return not (command and any(parameter.required for parameter in command.params))  # else it is only mentioned


def reason(command: str) -> str | None:
    """Return why a command cannot run, if it cannot."""
    return next((NOT_RUN[pattern] for pattern in NOT_RUN if fnmatch.fnmatch(command, pattern)), None)


def small(template: str) -> dict:
    """Return small settings for a template."""
    ready = load_template(template)
    images = ready.dataset.images
    is_large = images and images.size and max(images.size) > SMALL_SIDE
    formats = {"export.formats": [next(format for format in FORMATS if format in ready.export.formats)]}
    return SMALL | formats | ({"dataset.images.size": [SMALL_SIDE, SMALL_SIDE]} if is_large else {})


def run(command: str) -> int:
    """Run a `dlt` command and return its exit code; first make the run that it needs."""
    _, *arguments = shlex.split(command)
    for name in re.findall(r"saved_models/(\w+)", command):
        if name in catalog_templates.names() and not Path("saved_models", name).exists():
            assert run(f"dlt run {name}") == 0, name
    if arguments[0] in ("run", "train"):
        settings = [f"--set={key}={value}" for key, value in small(arguments[1]).items()]
        arguments[2:2] = settings  # those of the command come last, and win
    if "--devices" in arguments:  # they must be set before TensorFlow starts
        return run_dlt(*arguments).returncode
    return cli.main(arguments)


def run_python(code: str, names: dict) -> None:
    """Run a Python block; one that begins with the name of a file, such as `# my_models.py`, is also that file."""
    if file := re.match(r"# (\w+\.py)\n", code):
        Path(file[1]).write_text(code, encoding="utf-8")
    exec(compile(code, "block", "exec"), names)


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory):
    """Make the files that the pages name."""
    import keras

    folder = tmp_path_factory.mktemp("reader")
    rng = np.random.default_rng(0)

    def draw(path, count, low, high):
        (folder / path).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(low, high, (40, 48, 3), np.uint8)
            Image.fromarray(pixels).save(folder / path / f"{number}.jpg")

    draw("photographs/ants", 30, 0, 128)
    draw("photographs/bees", 30, 128, 255)
    draw("tagged", 40, 0, 255)
    tags = [f"{number}.jpg,{('red', 'red;round', 'round')[number % 3]}" for number in range(40)]
    (folder / "tagged" / "labels.csv").write_text("\n".join(["file,labels", *tags]), encoding="utf-8")
    draw("parts/train/good", 30, 64, 160)
    for split in ("validation", "test"):
        draw(f"parts/{split}/good", 12, 64, 160)
        draw(f"parts/{split}/broken", 12, 245, 255)
    shutil.copy(folder / "photographs" / "ants" / "0.jpg", folder / "new.jpg")

    size = 200
    age, income = rng.integers(18, 90, size), rng.normal(50, 10, size).round(1)
    plan = rng.choice(["basic", "family"], size)
    customers = pd.DataFrame({"age": age, "income": income, "plan": plan})
    customers["churned"] = np.where(age + 10 * (plan == "basic") > 60, "yes", "no")
    customers.to_csv(folder / "customers.csv", index=False)
    customers.tail(40).assign(age=lambda rows: rows["age"] + 1).to_csv(folder / "new.csv", index=False)
    houses = pd.DataFrame({"area": 2.0 * age, "rooms": rng.integers(1, 6, size), "city": plan})
    houses.assign(price=1000 * houses["area"] + income).to_csv(folder / "houses.csv", index=False)
    pd.DataFrame(rng.normal(size=(size, 8)).round(3)).add_prefix("x").to_csv(folder / "table.csv", index=False)
    beats = pd.DataFrame(rng.normal(size=(size, 16)).round(3)).add_prefix("t")
    beats["label"] = np.where(rng.random(size) < 0.2, "ill", "healthy")
    beats.to_csv(folder / "beats.csv", index=False)
    months = pd.date_range("2000-01-01", periods=300, freq="MS")
    sales = 100 + np.arange(300) + 10 * np.sin(np.arange(300) * np.pi / 6)
    pd.DataFrame({"date": months, "sales": sales.round(1)}).to_csv(folder / "sales.csv", index=False)

    waves = [rng.normal(size=(steps, 2)).round(2) for steps in rng.integers(5, 12, 60)]
    names = ["wave", "circle"] * 30
    lines = [
        ":".join(",".join(map(str, column)) for column in wave.T) + f":{name}"
        for wave, name in zip(waves, names, strict=True)
    ]
    header = "@univariate false\n@equalLength false\n@classLabel true wave circle\n@data\n"
    (folder / "gestures.ts").write_text(header + "\n".join(lines), encoding="utf-8")
    rows = [(number, *row, names[number]) for number, wave in enumerate(waves) for row in wave]
    pd.DataFrame(rows, columns=["recording", "x", "y", "gesture"]).to_csv(folder / "gestures.csv", index=False)
    np.savez(folder / "lengths.npz", x=rng.normal(size=(60, 8, 2)), y=rng.normal(size=60))
    hours = pd.date_range("2024-01-01", periods=412, freq="h")
    shop = pd.DataFrame({"date": hours, "price": rng.integers(10, 15, 412), "visits": rng.integers(40, 60, 412)})
    shop["sales"] = (shop["visits"] * 20.0 / shop["price"] + np.sin(np.arange(412) * np.pi / 12)).round(2)
    shop.head(400).to_csv(folder / "shop.csv", index=False)
    shop.loc[400:, ["visits", "sales"]] = np.nan  # only the price is known
    shop.tail(100).to_csv(folder / "plan.csv", index=False)

    write_korean(folder / "reviews.tsv")
    pairs = [(text, text[::-1]) for text, _ in korean()]
    (folder / "translations.tsv").write_text("\n".join(map("\t".join, pairs)), encoding="utf-8")
    (folder / "novel.txt").write_text("Once upon a time there was a small network.\n" * 100, encoding="utf-8")

    keras.utils.set_random_seed(0)
    keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    ).save(folder / "theirs.keras")
    return folder


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if page.name in SLOW else ()) for page in PAGES],
    ids=lambda page: page.name,
)
def test_the_commands_of_a_page_run(page, readers_folder, tmp_path, monkeypatch, in_process):
    folder = tmp_path / "reader"
    shutil.copytree(readers_folder, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(cli, "_silence_native_logs", lambda: None)
    monkeypatch.setattr(in_memory, "load_template", lambda name: load_template(name, small(name)))
    names = {}
    for language, code in code_of(page):
        if language == "python":
            run_python(code, names)
        for command in commands(language, code):
            if not reason(command):
                assert run(command) == REFUSED.get(command, 0), command


def test_each_command_that_is_not_run_is_in_a_page():
    found = [command for page in PAGES for code in code_of(page) for command in commands(*code)]
    for pattern in (*NOT_RUN, *REFUSED):
        assert fnmatch.filter(found, pattern), f"{pattern} is in no page; drop it"
    run_here = {command for command in found if not reason(command)}
    assert len(run_here) > 60
    assert all(command.startswith("dlt ") for command in run_here)


def test_the_korean_readme_has_the_code_of_the_readme():
    """Its commands and its Python run with README.md; only comments differ."""
    english, korean = (code_of(ROOT / name) for name in ("README.md", "README.ko.md"))
    blocks = [[code for language, code in part if language == "python"] for part in (english, korean)]
    assert [ast.dump(ast.parse(code)) for code in blocks[0]] == [ast.dump(ast.parse(code)) for code in blocks[1]] != []
    found = [{command for code in part for command in commands(*code)} for part in (english, korean)]
    assert found[1] <= found[0]
