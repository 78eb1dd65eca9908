"""Files that the package writes: each in one step, so that readers see the whole old or the whole new content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dltemplates.compat import sync_to_disk

PARTIAL = ".partial-"  # prefix of files and folders that are not complete


def check_folder(path: Path) -> None:
    """Check that a path is a folder or can become one.

    Raises:
        ValueError: If the path or one of its parents is a file.
    """
    if file := next((folder for folder in (path, *path.parents) if folder.exists() and not folder.is_dir()), None):
        where = "which" if file == path else f"but {file}"
        raise ValueError(f"The output must be a folder. Received: {path}, {where} is a file. Choose another name.")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder. On exit it replaces `path`; after an error it is removed.

    The temporary name keeps the suffixes of `path`, which some writers require.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield temporary
        sync_to_disk(temporary)
        os.replace(temporary, path)
        sync_to_disk(path.parent)  # the new name must reach the disk before an old file is deleted
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a file so that readers always see the whole old or the whole new content."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
