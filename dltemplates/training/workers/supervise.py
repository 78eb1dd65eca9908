"""Several workers on this machine: start them, wait for them, and restart all when one dies."""

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
from dltemplates.files import atomic_write
from dltemplates.new_runs import check_resume, latest_run_path, new_run_path
from dltemplates.runs import Run, load_run
from dltemplates.template import Template
from dltemplates.training.recording.progress import Reporter, Silent
from dltemplates.training.signals import StopRequest, stop_on_signals
from dltemplates.training.workers.cluster import VARIABLE, read_cluster, tf_config

POLL_SECONDS = 0.1
REASON_SECONDS = 10.0  # time for a failed worker to end with its own error
GRACE_SECONDS = 60.0  # time for workers to stop, after a step and a checkpoint
ERROR = "dlt: "  # prefix of the error line of a failed command


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
    """Train with several worker processes on this machine; if one dies, all restart from the last checkpoint.

    Args:
        template: The template.
        workers: Number of workers; they share the CPU cores.
        name: As in `train`.
        output: As in `train`.
        resume: As in `train`.
        overwrite: As in `train`.
        fail_on_bad_image: As in `train`.
        max_restarts: Largest number of restarts.
        reporter: Receives the messages of the chief.

    Returns:
        The finished run: the same, bit for bit, with or without restarts.

    Raises:
        ValueError: If the template, its data or the folder break a rule.
        WorkerError: If a worker fails otherwise, or after `max_restarts` restarts.
        KeyboardInterrupt: If the user or the machine asks to stop; the run can be resumed.
    """
    if workers < 2:
        raise ValueError(f"`--workers` must be at least 2. Received: {workers}. Leave it out for one worker.")
    if max_restarts < 0:
        raise ValueError(f"`max_restarts` must be at least 0. Received: {max_restarts}. Leave it out for 3.")
    check_resume(resume, overwrite)
    if read_cluster():
        raise ValueError(
            f"`--workers` and {VARIABLE} exclude each other. Received: --workers and {VARIABLE}. Drop one."
        )
    reporter = reporter or Silent()
    path = _run_path(name, output, resume=resume, overwrite=overwrite)
    record_before = _file_id(Run(path).record_path)
    with tempfile.TemporaryDirectory() as folder, stop_on_signals() as stop:
        file = Path(folder) / f"{name}.toml"
        atomic_write(file, template.to_toml())
        command = [sys.executable, "-m", "dltemplates", "train", str(file), "-o", str(path), "--strategy=multiworker"]
        command += ["--fail-on-bad-image"] if fail_on_bad_image else []
        for restart in range(max_restarts + 1):
            # Before this training has its own run, a restart begins at step 0.
            is_new = not resume and _file_id(Run(path).record_path) == record_before
            options = (["--overwrite"] if overwrite or restart else []) if is_new else ["--resume"]
            group = Workers.start(command + options, workers, reporter)
            try:
                failure = group.wait(stop)
            except KeyboardInterrupt:
                hint = f"Continue with `dlt train {Run(path).template_path} --workers {workers} --resume -o {path}`."
                has_begun = _file_id(Run(path).record_path) is not None
                raise KeyboardInterrupt(
                    f"interrupted. {hint}" if has_begun else "interrupted before the run began"
                ) from None
            finally:
                group.end()
            if failure is None:
                return load_run(path)
            if restart < max_restarts:
                reporter.note(f"{failure}; all {workers} start again from the last checkpoint")
    raise WorkerError(f"{failure}, after {max_restarts} restarts. Continue with --resume -o {path}")


def _run_path(name: str, output: str | Path | None, *, resume: bool, overwrite: bool) -> Path:
    """Choose the run's folder once for all workers and restarts."""
    if not resume:
        return new_run_path(name, output, overwrite=overwrite)
    path = Path(output) if output else latest_run_path(name)
    if not Run(path).record_path.exists():  # a worker would start a new run
        raise ValueError(f"There must be a run to resume. Received: {path}, without a run.json. Leave out --resume.")
    return path


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return the inode and time of a file, which change when it is replaced; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


@dataclass
class Workers:
    """The worker processes between two restarts."""

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
                "CUDA_VISIBLE_DEVICES": str(rank),  # one GPU each, if there are GPUs
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
        """Pass a worker's messages to the reporter, and keep its final error."""
        stream = self.processes[rank].stderr
        for line in stream or ():
            if line.startswith(ERROR):
                self.errors[rank] = line.removeprefix(ERROR).strip()
            else:
                reporter.note(line.rstrip("\n"))

    def wait(self, stop: StopRequest) -> str | None:
        """Wait until all workers finish, or one fails.

        Returns:
            None if all finished; the failure, if a restart may help.

        Raises:
            ValueError: If a worker's input breaks a rule.
            WorkerError: If a worker failed for a lasting reason.
            KeyboardInterrupt: After all workers stopped, if `stop` was requested.
        """
        while True:
            codes = self._codes()
            if stop.requested:
                self._stop()
            if any(codes):
                # The first worker to end may only have lost a connection. Wait for the one that failed.
                deadline = time.monotonic() + REASON_SECONDS
                while not self._own_failures() and None in self._codes() and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
                rank, code = (self._own_failures() or [(codes.index(LOST_WORKERS), LOST_WORKERS)])[0]
                return self._explain(rank, code)
            if all(code == 0 for code in codes):
                return None
            time.sleep(POLL_SECONDS)

    def _codes(self) -> list[int | None]:
        return [process.poll() for process in self.processes]

    def _own_failures(self) -> list[tuple[int, int]]:
        """Return rank and exit code of each worker that failed, except those that only lost a connection."""
        return [(rank, code) for rank, code in enumerate(self._codes()) if code and code != LOST_WORKERS]

    def _explain(self, rank: int, code: int) -> str:
        if code == LOST_WORKERS:
            return f"worker {rank} lost the connection to another worker"
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
        """Interrupt all workers like Ctrl-C, and wait until they stop.

        Raises:
            KeyboardInterrupt: After they stopped.
        """
        for process in self.processes:
            interrupt(process)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        raise KeyboardInterrupt

    def end(self) -> None:
        """Kill the workers that still run."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self.readers:
            reader.join(timeout=5)


def free_ports(count: int) -> list[int]:
    """Return free ports of this machine."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free_socket in sockets:
            free_socket.bind(("localhost", 0))
        return [free_socket.getsockname()[1] for free_socket in sockets]
