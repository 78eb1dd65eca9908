import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "replay_dockerfile.py"


@pytest.fixture
def image(tool, tmp_path):
    (tmp_path / "context" / "package" / "__pycache__").mkdir(parents=True)
    for name in ("setup.cfg", "secret", "package/a.py", "package/__pycache__/a.pyc"):
        (tmp_path / "context" / name).write_text(name)
    (tmp_path / "context" / ".dockerignore").write_text("# all but\n*\n!setup.cfg\n!package\n**/__pycache__\n")
    return tool.Image(tmp_path / "root", tmp_path / "context", workdir="/source")


def test_lines_are_joined_and_comments_dropped(tool):
    text = "# how\nFROM python:3.11-slim-bookworm\n\nRUN one \\\n  # why\n    && two\nuser 1000\n"
    assert tool.parse(text) == [
        ("FROM", "python:3.11-slim-bookworm"),
        ("RUN", "one      && two"),
        ("USER", "1000"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM a\nADD b c", "must be one of FROM, COPY, RUN.*Received: ADD b c"),
        ("FROM a\nRUN <<END\nb\nEND", "without <<"),
        ("FROM a\nCOPY $b c", "Variables .* Received: COPY"),
        ("FROM a\nFROM b", "one FROM.*Received: FROM, FROM"),
        ("RUN a\nFROM b", "one FROM"),
        ("", "one FROM"),
    ],
)
def test_unsupported_instructions_are_refused(tool, text, message):
    with pytest.raises(ValueError, match=message):
        tool.parse(text)


def test_files_are_copied_as_an_engine_would(tool, image):
    tool.copy(image, "setup.cfg package/a.py ./")
    tool.copy(image, "package package")
    tool.copy(image, "setup.cfg /etc/renamed")
    copied = {str(path.relative_to(image.root)) for path in image.root.rglob("*") if path.is_file()}
    assert copied == {"source/setup.cfg", "source/a.py", "source/package/a.py", "etc/renamed"}


@pytest.mark.parametrize("arguments", ["secret ./", "none ./"])
def test_files_outside_the_context_are_not_copied(tool, image, arguments):
    with pytest.raises(ValueError, match="COPY must find its source"):
        tool.copy(image, arguments)


@pytest.mark.parametrize("arguments", ["--chown=1000 setup.cfg ./", "setup.cfg"])
def test_copy_takes_no_options(tool, image, arguments):
    with pytest.raises(ValueError, match="COPY must have sources and a target, no options"):
        tool.copy(image, arguments)


def test_commands_for_later_are_stored(tool, image):
    tool.STEPS["ENV"](image, 'A=1 B="two words"')
    tool.STEPS["USER"](image, "1000:1000")
    tool.STEPS["WORKDIR"](image, "below")
    tool.STEPS["HEALTHCHECK"](image, '--interval=5m CMD ["dlt", "doctor"]')
    tool.STEPS["ENTRYPOINT"](image, "dlt")
    assert image.env == {"A": "1", "B": "two words"}
    assert (image.user, image.workdir) == ("1000:1000", "/source/below")
    assert image.commands == {"HEALTHCHECK": ["dlt", "doctor"], "ENTRYPOINT": ["/bin/sh", "-c", "dlt"]}
    with pytest.raises(ValueError, match="ENV must be NAME=VALUE"):
        tool.STEPS["ENV"](image, "A 1")


def test_only_an_official_image_has_a_root(tool, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="base must be an image python:3.x-slim-RELEASE. Received: ubuntu"):
        tool.make_root("ubuntu", tmp_path)
    monkeypatch.setattr(tool.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="needs debootstrap and root rights"):
        tool.make_root("python:3.11-slim-bookworm", tmp_path)


def test_the_root_must_have_the_python_of_the_image(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool.shutil, "which", lambda name: name)
    monkeypatch.setattr(tool.os, "geteuid", lambda: 0)
    monkeypatch.setattr(tool.subprocess, "run", lambda *arguments, **options: None)
    with pytest.raises(ValueError, match="Debian's Python must be the image's Python"):
        tool.make_root("python:3.11-slim-bookworm", tmp_path)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.11").touch()
    marker = tmp_path / "usr/lib/python3.11/EXTERNALLY-MANAGED"
    marker.parent.mkdir(parents=True)
    marker.touch()
    tool.make_root("python:3.11-slim-bookworm", tmp_path)
    assert not marker.exists()


def may_unshare() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False).returncode == 0


@pytest.fixture
def base(tmp_path):
    """Create a root with a shell and its shared libraries, in place of a whole Debian."""
    if not may_unshare():
        pytest.skip("needs root rights and separate namespaces")
    root = tmp_path / "base"
    for program in map(shutil.which, ("sh", "env", "id", "mkdir")):
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in [f"/bin/{Path(program).name}", *re.findall(r"/\S+", linked)]:
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(program if path.startswith("/bin/") else path, target)
    for folder in ("dev", "proc", "sys", "etc", "home/dlt"):
        (root / folder).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\ndlt:x:1000:1000::/home/dlt:/bin/sh\n")
    return root


def replay(base, text, tmp_path, *options):
    file = tmp_path / "Dockerfile"
    file.write_text(f"FROM python:3.11-slim-bookworm\n{text}\n")
    command = [sys.executable, TOOL, file, tmp_path / "root", "--context", tmp_path, "--base", base, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_dockerfile_is_replayed(base, tmp_path):
    text = """ENV GREETING=hello
WORKDIR /source
COPY Dockerfile ./
RUN mkdir /new && echo $GREETING > /new/greeting
USER 1000:1000
WORKDIR /home/dlt
HEALTHCHECK CMD ["sh", "-c", "echo health of $(id -u) in $HOME"]
ENTRYPOINT ["echo", "entry"]"""
    text = text.replace('["echo", "entry"]', '["sh", "-c", "echo entry $0"]')
    done = replay(base, text, tmp_path, "--then", "words")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "root/new/greeting").read_text() == "hello\n"
    assert (tmp_path / "root/source/Dockerfile").exists()
    assert "health of 1000 in /home/dlt\n" in done.stdout
    assert "entry words\n" in done.stdout
    assert not Path(base, "new").exists()
    assert not any((tmp_path / "root/proc").iterdir())  # nothing stays mounted


def test_a_failing_line_ends_it(base, tmp_path):
    done = replay(base, "RUN exit 3", tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "replay_dockerfile: RUN must end with 0. Received: 3 from exit 3. See its output above.\n"
    )


def test_a_failing_health_check_ends_it(base, tmp_path):
    done = replay(base, 'HEALTHCHECK CMD ["sh", "-c", "exit 1"]', tmp_path, "--then", "never")
    assert done.returncode == 1
    assert "exit 1" in done.stderr
    assert "never" not in done.stderr


def test_an_existing_root_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    done = replay(tmp_path, "RUN true", tmp_path)
    assert done.returncode == 1
    assert "The root must be a new folder" in done.stderr
