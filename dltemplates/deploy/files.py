"""The files of an export: their names and sizes, and the move into their final place."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dltemplates.compat import is_alive
from dltemplates.deploy.formats.format import Format


def file_name(name: str, format: Format) -> str:
    """Return the name of an exported file, such as `resnet8_digits-int8.tflite` or `resnet8_digits-saved_model`."""
    return f"{name}-{format.key.rpartition(':')[2]}{format.suffix}"


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (_files(path) if path.is_dir() else [path]))


@contextlib.contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """Create a work folder inside the exports folder, so that a file can be renamed into place; always remove it.

    Args:
        folder: The exports folder. It is created if missing, and removed again if it stays empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
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
    """Rename a file or folder to its final name, and replace the one of an earlier export."""
    if target.is_dir():  # a folder cannot be replaced in one step
        os.replace(target, written.with_name(f"earlier-{target.name}"))
    os.replace(written, target)


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove the work folders of processes that were killed."""
    for path in folder.glob(".partial-*"):
        match = re.match(r"\.partial-(\d+)-", path.name)
        # In a container, every export may have the same process id: a folder with our id belongs to an earlier one.
        if match and (int(match[1]) == os.getpid() or not is_alive(int(match[1]))):
            remove(path)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
