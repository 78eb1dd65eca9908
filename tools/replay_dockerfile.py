"""Dockerfiles without a container engine: run the same instructions in a clean Debian root.

    sudo python tools/replay_dockerfile.py docker/Dockerfile.cpu /tmp/root --then "run resnet8_digits"

It creates the root with debootstrap, or copies the root of an earlier run (`--base`). It runs COPY, ENV, RUN, USER and
WORKDIR in the root, then the health check, then the entry point with each `--then`. Networks, volumes and limits are
left out, because they need the kernel's namespaces or cgroups. pip uses the same index as on this machine.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = "ca-certificates,python3,python3-pip,python3-venv,python-is-python3"
BASE = re.compile(r"python:(?P<python>3\.\d+)-slim-(?P<release>[a-z]+)")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
INHERITED = (*CERTIFICATES, "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "HTTP_PROXY", "HTTPS_PROXY")


@dataclass
class Image:
    """State of the image after the instructions so far.

    Attributes:
        root: The folder that is the `/` of the image.
        context: The folder that COPY reads.
        user: `uid:gid`, or a name.
        workdir: Where commands run.
        env: Variables set by ENV.
        commands: Commands that run later, by the name of their instruction.
    """

    root: Path
    context: Path
    user: str = "0:0"
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)

    def inside(self, path: str) -> Path:
        """Return the path on this machine of a path in the image."""
        return self.root / os.path.normpath(os.path.join(self.workdir, path)).lstrip("/")

    def call(self, command: list[str]) -> int:
        """Run a command in the root, as the image's user, with separate mounts and processes."""
        passwd = (line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines())
        name = self.user.partition(":")[0]
        home = next((row[5] for row in passwd if name in (row[0], row[2])), "/")
        inherited = {key: value for key, value in os.environ.items() if key.upper() in INHERITED}
        environment = {"PATH": PATH, "HOME": home, **inherited, **self.env}
        enter = f'mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" && exec chroot --userspec={self.user} "$@"'
        change = ["env", "-C", self.workdir, *command]
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        whole = [*unshare, "sh", "-c", enter, self.root, self.root, *change]
        return subprocess.run(whole, env=environment, check=False).returncode


def parse(text: str) -> list[tuple[str, str]]:
    """Parse a Dockerfile into names and arguments of its instructions, with continued lines joined.

    Raises:
        ValueError: If an instruction is not supported here.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    instructions = []
    for line in re.sub(r"\\\s*\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, arguments = line.strip().partition(" ")
        if name.upper() not in (*STEPS, "FROM") or "<<" in arguments:
            raise ValueError(f"An instruction must be one of FROM, {', '.join(STEPS)}, without <<. Received: {line}.")
        if name.upper() not in RUNNING and "$" in arguments:
            raise ValueError(f"Variables are only known to commands. Received: {line}. Write out its value.")
        instructions.append((name.upper(), arguments.strip()))
    names = [name for name, _ in instructions]
    if names.count("FROM") != 1 or names[0] != "FROM":
        raise ValueError(
            f"A Dockerfile must have one FROM, in its first line. Received: {', '.join(names)}. Use one stage."
        )
    return instructions


def make_root(base: str, root: Path) -> None:
    """Create a Debian root in place of an official Python image, with the same version of Python.

    Raises:
        ValueError: If the image is not an official one, or Debian has another Python.
    """
    found = BASE.fullmatch(base)
    if not found:
        raise ValueError(f"The base must be an image python:3.x-slim-RELEASE. Received: {base}. Use one of these.")
    if not shutil.which("debootstrap") or os.geteuid() != 0:
        raise ValueError(
            "A new root needs debootstrap and root rights. Received: not both. `sudo apt install debootstrap`."
        )
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", found["release"], str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if not (root / "usr/bin" / f"python{found['python']}").exists():
        raise ValueError(f"Debian's Python must be the image's Python. Received: {base}. Use the release that has it.")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()  # the official images do not have it, because pip owns Python there


def connect(root: Path) -> None:
    """Let the root resolve names, trust certificates and find packages as this machine does."""
    files = {"/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", *(os.environ.get(key, "") for key in CERTIFICATES)}
    for path in filter(os.path.isfile, files):
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def ignored(path: str, patterns: list[str]) -> bool:
    """Return whether `.dockerignore` excludes a path: the last pattern that matches it or its folder decides."""
    parts = path.split("/")
    above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    excluded = False
    for pattern in patterns:
        bare = pattern.removeprefix("!").strip("/")
        forms = (bare, bare.removeprefix("**/"))
        if any(fnmatch.fnmatch(place, form) for place in above for form in forms):
            excluded = not pattern.startswith("!")
    return excluded


def copy(image: Image, arguments: str) -> None:
    """Run COPY: files into a folder or to a name, the contents of folders into a folder.

    Raises:
        ValueError: If a source is not in the context, or an option is given.
    """
    *sources, target = shlex.split(arguments)
    if not sources or any(source.startswith("-") for source in sources):
        raise ValueError(f"COPY must have sources and a target, no options. Received: {arguments}. Remove the options.")
    rules = image.context / ".dockerignore"
    lines = rules.read_text().splitlines() if rules.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for source in sources:
        origin = image.context / source
        folder = origin if origin.is_dir() else origin.parent
        files = [path for path in ([*origin.rglob("*")] if origin.is_dir() else [origin]) if path.is_file()]
        files = [path for path in files if not ignored(str(path.relative_to(image.context)), patterns)]
        if not files:
            raise ValueError(
                f"COPY must find its source. Received: {source}. Check that it exists and is not in .dockerignore."
            )
        for path in files:
            goal = image.inside(target)
            if origin.is_dir() or len(sources) > 1 or target.endswith("/"):
                goal /= path.relative_to(folder)
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, goal)


def run(image: Image, arguments: str) -> None:
    """Run RUN.

    Raises:
        ValueError: If the command fails.
    """
    code = image.call(_words(arguments))
    if code:
        raise ValueError(f"RUN must end with 0. Received: {code} from {arguments}. See its output above.")


def set_environment(image: Image, arguments: str) -> None:
    """Run ENV.

    Raises:
        ValueError: If it has the form without `=`.
    """
    pairs = [pair.partition("=") for pair in shlex.split(arguments)]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError(f"ENV must be NAME=VALUE. Received: {arguments}. Add the equals sign.")
    image.env |= {name: value for name, _, value in pairs}


def change_folder(image: Image, arguments: str) -> None:
    image.workdir = os.path.normpath(os.path.join(image.workdir, arguments))
    image.inside("").mkdir(parents=True, exist_ok=True)  # owned by root, as with an engine


def _words(arguments: str) -> list[str]:
    return json.loads(arguments) if arguments.startswith("[") else ["/bin/sh", "-c", arguments]


def _later(name: str):
    def store(image: Image, arguments: str) -> None:
        image.commands[name] = _words(arguments.partition("CMD ")[2] if name == "HEALTHCHECK" else arguments)

    return store


STEPS = {
    "COPY": copy,
    "RUN": run,
    "ENV": set_environment,
    "WORKDIR": change_folder,
    "USER": lambda image, arguments: setattr(image, "user", arguments),
    **{name: _later(name) for name in ("HEALTHCHECK", "ENTRYPOINT", "CMD")},
}
RUNNING = ("RUN", "HEALTHCHECK", "ENTRYPOINT", "CMD")


def replay(file: Path, context: Path, root: Path, *, base: Path | None = None) -> Image:
    """Run a Dockerfile in a new root; print each instruction and its seconds on stderr."""
    (_, image_name), *instructions = parse(file.read_text(encoding="utf-8"))
    if root.exists():
        raise ValueError(
            f"The root must be a new folder. Received: {root}, which exists. Remove it, or choose another."
        )
    if base:
        shutil.copytree(base, root, symlinks=True)
    else:
        make_root(image_name, root)
    connect(root)
    image = Image(root, context)
    for name, arguments in instructions:
        started = time.monotonic()
        STEPS[name](image, arguments)
        print(f"{time.monotonic() - started:6.1f} s  {name} {arguments}", file=sys.stderr)
    return image


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("root", type=Path, help="a new folder for the image's /")
    parser.add_argument(
        "--context", type=Path, default=Path("."), help="the folder that COPY reads (default: the current one)"
    )
    parser.add_argument("--base", type=Path, help="a clean root to copy instead of debootstrap")
    parser.add_argument("--then", action="append", default=[], help="arguments for the entry point, after the build")
    options = parser.parse_args()
    try:
        image = replay(options.file, options.context, options.root.absolute(), base=options.base)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"replay_dockerfile: {error}", file=sys.stderr)
        return 1
    entry = image.commands.get("ENTRYPOINT", [])
    later = [image.commands["HEALTHCHECK"]] if "HEALTHCHECK" in image.commands else []
    for command in [*later, *([*entry, *shlex.split(text)] for text in options.then)]:
        code = image.call(command)
        print(f"exit {code}  {shlex.join(command)}", file=sys.stderr)
        if code:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
