"""The folder in which a training begins: a new one, or the one of an interrupted run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dltemplates.files import check_folder
from dltemplates.runs import RUNS_FOLDER, Run


def new_run_path(name: str, output: str | Path | None, *, overwrite: bool = False) -> Path:
    """Choose the folder of a new run: `output`, or the first free one of `saved_models/name`, `-2`, `-3`, ...

    A folder is free too if an import in it was killed.

    Raises:
        ValueError: If `output` exists without `overwrite`, or holds other files than a run's.
    """
    if output is None:
        return next(path for path in _numbered(name) if not path.exists() or Run(path).is_abandoned_import())
    path = Path(output)
    check_folder(path)
    if path.exists() and not overwrite and any(path.iterdir()) and not Run(path).is_abandoned_import():
        raise ValueError(f"The output folder must be new. Received: {path}, which exists. Add --overwrite.")
    if path.exists() and not Run(path).is_replaceable():
        raise ValueError(
            f"Only a run can be overwritten. Received: {path}, which holds other files. Choose another folder."
        )
    return path


def make_run(name: str, output: str | Path | None, *, overwrite: bool = False) -> Run:
    """Create the empty folder of a new run. Two processes never get the same folder.

    Args:
        name: Name of the folder in `saved_models/` if `output` is None; a number is added if it is taken.
        output: Path of the folder.
        overwrite: Replace an existing run in `output`.

    Returns:
        The run.

    Raises:
        ValueError: As in `new_run_path`.
    """
    while True:
        run = Run(new_run_path(name, output, overwrite=overwrite))
        if run.path.exists():
            with run.claimed():
                run.clear()
            return run
        try:
            run.path.mkdir(parents=True)
        except FileExistsError:  # another process was faster: try the next number, or fail
            continue
        return run


@contextmanager
def make_import(name: str, output: str | Path | None, *, overwrite: bool = False) -> Iterator[Run]:
    """Create the folder of an imported run. Until the block ends, the run is unfinished.

    The next import may replace the run of a killed process, so the same command can be repeated. An error in the block
    removes the run.

    Args:
        name: As in `make_run`.
        output: As in `make_run`.
        overwrite: As in `make_run`.

    Yields:
        The run.

    Raises:
        ValueError: As in `new_run_path`, or if another process imports into the folder.
    """
    run = make_run(name, output, overwrite=overwrite)
    try:
        with run.claimed():
            run.import_path.touch()
            try:
                yield run
            except BaseException:
                run.clear()
                raise
            run.import_path.unlink()
    finally:
        with suppress(OSError):  # files are left: the run is complete, or another process has taken the folder
            if not any(path != run.lock_path for path in run.path.iterdir()):
                run.lock_path.unlink(missing_ok=True)
                run.path.rmdir()


def check_resume(resume: bool, overwrite: bool) -> None:
    """Check that `resume` and `overwrite` are not both set.

    Raises:
        ValueError: If they are.
    """
    if resume and overwrite:
        raise ValueError("`--resume` and `--overwrite` exclude each other. Received: both. Drop one.")


def latest_run_path(name: str) -> Path:
    """Return the path of a template's newest run in the default folder.

    Raises:
        ValueError: If there is no run.
    """
    latest = None
    for path in _numbered(name):
        if not path.exists():
            break
        latest = path if (path / "run.json").exists() else latest
    if latest is None:
        raise ValueError(
            f"There must be a run to resume. Received: none of {name!r} in {RUNS_FOLDER}. Name it with -o."
        )
    return latest


def _numbered(name: str) -> Iterator[Path]:
    yield RUNS_FOLDER / name
    number = 2
    while True:
        yield RUNS_FOLDER / f"{name}-{number}"
        number += 1
