"""Archives of data, each unpacked once into the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

from dltemplates.datasets.storage.locate import cache_folder


def unpack(path: Path) -> Path:
    """Unpack a tar archive into the cache, unless it is there already.

    Write only folders and plain files, and only below the new folder, which appears once it is complete.

    Returns:
        The folder.

    Raises:
        ValueError: If it is broken, not an archive, or reaches outside its folder.
    """
    state = path.stat()
    identity = hashlib.sha256(f"{path.name} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:12]
    target = cache_folder() / "unpacked" / f"{path.name.split('.')[0]}-{identity}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        _extract(path, unfinished)
        unfinished.chmod(0o755)
        try:
            os.replace(unfinished, target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(
            f"An archive must be a valid tar file. Received: {path} ({error}). Download it again."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _extract(path: Path, folder: Path) -> None:
    # `extractall(filter="data")` does this too, but some releases of Python 3.11 lack it.
    created: set[str] = set()
    with tarfile.open(path) as archive:
        for member in archive:
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            is_below = not member.name.startswith("/") and ".." not in parts and "\\" not in member.name
            if not is_below or not (member.isfile() or member.isdir()):
                raise ValueError(
                    f"An archive must hold plain files below one folder. Received: {member.name!r} in {path}. "
                    "Do not trust it; get it from its source."
                )
            where = os.path.join(folder, *(parts if member.isdir() else parts[:-1]))
            if where not in created:
                os.makedirs(where, exist_ok=True)
                created.add(where)
            content = archive.extractfile(member)  # None for a folder
            if content is not None:
                with open(os.path.join(where, parts[-1]), "wb") as file:
                    shutil.copyfileobj(content, file)
