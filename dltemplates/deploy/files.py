"""The files of an export: their names, digests and sizes, and how they come into place."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dltemplates import runs
from dltemplates.deploy.formats.format import Format


def file_name(name: str, format: Format) -> str:
    """The name of an exported file: `resnet8_digits-int8.tflite`, `resnet8_digits-saved_model`."""
    return f"{name}-{format.key.rpartition(':')[2]}{format.suffix}"


def digest(path: Path) -> str:
    """The SHA-256 of a file; of a folder, that of the sorted list of its files' digests."""
    if path.is_file():
        return runs.sha256(path)
    lines = [f"{runs.sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in _files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size(path: Path) -> int:
    """The bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in (_files(path) if path.is_dir() else [path]))


@contextlib.contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the exports, so that a file can be renamed into place; gone afterwards, whatever happened.

    Args:
        folder: Where the exports go. It is made where it is missing, and gone again if nothing came into it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    try:
        work = Path(tempfile.mkdtemp(prefix=f".partial-{os.getpid()}-", dir=folder))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()


def put_in_place(written: Path, target: Path) -> None:
    """Rename a file or folder to its final name, in place of what an earlier export left there."""
    if target.is_dir():  # a folder cannot be replaced in one step
        os.replace(target, written.with_name(f"earlier-{target.name}"))
    os.replace(written, target)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left in a folder."""
    for path in folder.glob(".partial-*"):
        match = re.match(r"\.partial-(\d+)-", path.name)
        # In a container every process may have the same id: what bears this one's is an earlier one's.
        if match and (int(match[1]) == os.getpid() or not _alive(int(match[1]))):
            remove(path)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
