"""Finding the files of named datasets: under `$DLT_DATA`, in the user's cache, or by download."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """One file (or folder, or archive) of a named dataset.

    Attributes:
        paths: Possible paths below `$DLT_DATA` and the cache; a download goes to the first.
        urls: Download addresses, tried in turn.
        md5: MD5 digest of a download.
        page: Web page with the file, for people; used if there is no download.
    """

    paths: tuple[str, ...]
    urls: tuple[str, ...] = ()
    md5: str = ""
    page: str = ""


def cache_folder() -> Path:
    """Return the folder for downloads and unpacked archives: `$DLT_CACHE`, or the user's cache folder."""
    if chosen := os.environ.get("DLT_CACHE"):
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("dltemplates"))


def data_folder() -> Path | None:
    """Return the folder `$DLT_DATA`; None if the variable is not set.

    Raises:
        ValueError: If it is set but not a folder.
    """
    chosen = os.environ.get("DLT_DATA")
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        raise ValueError(f"`DLT_DATA` must name a folder. Received: {chosen}. Correct the variable, or unset it.")
    return folder


def locate(name: str, origin: Origin) -> Path:
    """Find a file of dataset `name`; download it if it is missing.

    Raises:
        ValueError: If it is missing and cannot be downloaded; names the file and where to put it.
    """
    for folder in (data_folder(), cache_folder()):
        for path in origin.paths:
            if folder is not None and (folder / path).exists():
                return folder / path
    return _download(name, origin)


def _download(name: str, origin: Origin) -> Path:
    import pooch

    target = cache_folder() / origin.paths[0]
    failure = ""
    for url in origin.urls:
        try:
            pooch.retrieve(url, f"md5:{origin.md5}", fname=target.name, path=target.parent)
            return target
        except (OSError, ValueError) as error:  # no network, no such page, or a file with another digest
            failure = failure or f"{url}: {' '.join(str(error).split())[:200]}"
    tried = f", and the download failed ({failure})" if failure else f"; it is at {origin.page}"
    raise ValueError(
        f"Dataset {name} needs the file {origin.paths[0]}. Received: no such file{tried}. "
        f"Put it at {target}, or at {origin.paths[0]} below the folder that the variable DLT_DATA names."
    )
