"""Several workers of one training on this machine: started, watched, and started again when one of them dies."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from dltemplates.compat import interrupt, signal_name, start_process
from dltemplates.errors import LOST_WORKERS, WorkerError
from dltemplates.runs import Run, atomic_write, check_resume, latest_run_path, load_run, new_run_path
from dltemplates.template import Template
from dltemplates.training.recording.progress import Reporter, Silent
from dltemplates.training.signals import StopRequest, stop_on_signals
from dltemplates.training.workers.cluster import VARIABLE, read_cluster, tf_config

WATCH_SECONDS = 0.1
REASON_SECONDS = 10.0  # for a worker to end with the reason why others lost it
GRACE_SECONDS = 60.0  # for workers that were asked to stop, which they do after the step and its checkpoint
ERROR = "dlt: "  # how the last line of a command that failed begins


def train_on_workers(
    template: Template,
    workers: int,
    *,
    name: str = "run",
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    fail_on_bad_image: bool = False,
    max_restarts: int = 3,
    reporter: Reporter | None = None,
) -> Run:
    """Train on several workers, each a process of this machine; when one dies, all go on from the last checkpoint.

    Args:
        template: What to train.
        workers: How many; they share the processors.
        name: As in `train`.
        output: As in `train`.
        resume: As in `train`.
        overwrite: As in `train`.
        fail_on_bad_image: As in `train`.
        max_restarts: How often they are started again.
        reporter: Told what the first worker, the chief, says.

    Returns:
        The finished run: the same, bit for bit, however often a worker died.

    Raises:
        ValueError: If a worker finds the template, its data or the folder wrong.
        WorkerError: If a worker fails otherwise, or they die more than `max_restarts` times.
        KeyboardInterrupt: If asked to stop; the run can be resumed.
    """
    if workers < 2:
        raise ValueError(f"There must be at least two workers. Received: {workers}. Leave it out to train alone.")
    if max_restarts < 0:
        raise ValueError(f"`max_restarts` must be at least 0. Received: {max_restarts}.")
    check_resume(resume, overwrite)
    if read_cluster():
        raise ValueError(f"Workers are started here or by others. Received: --workers and {VARIABLE}. Leave one out.")
    reporter = reporter or Silent()
    path = _run_path(name, output, resume=resume, overwrite=overwrite)
    record_before = _identity(Run(path).record_path)
    with tempfile.TemporaryDirectory() as folder, stop_on_signals() as stop:
        file = Path(folder) / f"{name}.toml"
        atomic_write(file, template.to_toml())
        command = [sys.executable, "-m", "dltemplates", "train", str(file), "-o", str(path), "--strategy=multiworker"]
        command += ["--fail-on-bad-image"] if fail_on_bad_image else []
        for restart in range(max_restarts + 1):
            # Until there is a run of this training's own, to start again is to begin again.
            begins = not resume and _identity(Run(path).record_path) == record_before
            options = (["--overwrite"] if overwrite or restart else []) if begins else ["--resume"]
            group = Workers.start(command + options, workers, reporter)
            try:
                failure = group.watch(stop)
            except KeyboardInterrupt:
                hint = f"Go on with `dlt train {Run(path).template_path} --workers {workers} --resume -o {path}`."
                has_begun = _identity(Run(path).record_path) is not None
                raise KeyboardInterrupt(f"interrupted. {hint}" if has_begun else "interrupted as it began") from None
            finally:
                group.end()
            if failure is None:
                return load_run(path)
            if restart < max_restarts:
                reporter.note(f"{failure}; all {workers} start again from the last checkpoint")
    raise WorkerError(f"{failure}, after {max_restarts} restarts. Go on with --resume -o {path}")


def _run_path(name: str, output: str | Path | None, *, resume: bool, overwrite: bool) -> Path:
    """The folder, chosen here once, so that all that are started later mean the same."""
    if not resume:
        return new_run_path(name, output, overwrite=overwrite)
    path = Path(output) if output else latest_run_path(name)
    if not Run(path).record_path.exists():  # a worker would begin it
        raise ValueError(f"There must be a run to resume. Received: {path}, which holds no run.json.")
    return path


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that takes its place; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


@dataclass
class Workers:
    """The processes of one start."""

    processes: list[subprocess.Popen[str]]
    errors: list[str] = field(default_factory=list)
    readers: list[Thread] = field(default_factory=list)

    @classmethod
    def start(cls, command: list[str], count: int, reporter: Reporter) -> Workers:
        """Start `count` processes of one cluster."""
        addresses = [f"localhost:{port}" for port in free_ports(count)]
        threads = str(max(1, (os.cpu_count() or 1) // count))
        group = cls([])
        for rank in range(count):
            environment = {
                VARIABLE: tf_config(addresses, rank),
                "TF_NUM_INTRAOP_THREADS": threads,
                "CUDA_VISIBLE_DEVICES": str(rank),  # a GPU each, where there are some
            }
            process = start_process(
                command,
                env=os.environ | environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                errors="replace",
                dies_with_parent=True,
            )
            group.processes.append(process)
            group.errors.append("")
            reader = Thread(target=group._read, args=(rank, reporter if rank == 0 else Silent()), daemon=True)
            group.readers.append(reader)
            reader.start()
        return group

    def _read(self, rank: int, reporter: Reporter) -> None:
        """Pass on what a worker says, but for the error that it ends with."""
        stream = self.processes[rank].stderr
        for line in stream or ():
            if line.startswith(ERROR):
                self.errors[rank] = line.removeprefix(ERROR).strip()
            else:
                reporter.note(line.rstrip("\n"))

    def watch(self, stop: StopRequest) -> str | None:
        """Wait for all to end well, or for one to fail.

        Returns:
            None if all ended well; what happened, if they should be started again.

        Raises:
            ValueError: If one found its input wrong.
            WorkerError: If one failed for a reason that remains.
            KeyboardInterrupt: If asked to stop, once they have.
        """
        while True:
            codes = self._codes()
            if stop.requested:
                self._stop()
            if any(codes):
                # One that only lost another is seen first sometimes; the other is about to say why.
                deadline = time.monotonic() + REASON_SECONDS
                while not self._reasons() and None in self._codes() and time.monotonic() < deadline:
                    time.sleep(WATCH_SECONDS)
                rank, code = (self._reasons() or [(codes.index(LOST_WORKERS), LOST_WORKERS)])[0]
                return self._explain(rank, code)
            if all(code == 0 for code in codes):
                return None
            time.sleep(WATCH_SECONDS)

    def _codes(self) -> list[int | None]:
        return [process.poll() for process in self.processes]

    def _reasons(self) -> list[tuple[int, int]]:
        """Rank and exit code of those that failed by themselves."""
        return [(rank, code) for rank, code in enumerate(self._codes()) if code and code != LOST_WORKERS]

    def _explain(self, rank: int, code: int) -> str:
        if code == LOST_WORKERS:
            return f"worker {rank} lost another one"
        if code < 0:
            return f"worker {rank} died ({signal_name(code)})"
        self.readers[rank].join(timeout=5)
        error = self.errors[rank] or f"it ended with code {code}"
        error = f"worker {rank}: {error}" if rank else error
        match code:
            case 2:
                raise ValueError(error)
            case 130:
                raise KeyboardInterrupt
            case _:
                raise WorkerError(error)

    def _stop(self) -> None:
        """Ask all to stop as by Ctrl-C, and wait until they have.

        Raises:
            KeyboardInterrupt: Once they have.
        """
        for process in self.processes:
            interrupt(process)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        raise KeyboardInterrupt

    def end(self) -> None:
        """Leave none of them running."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self.readers:
            reader.join(timeout=5)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in bound]
