"""The converter process: `python -m dltemplates.deploy.worker`, with one JSON request and one JSON reply per line.

A converter may crash its process and print anything; in a child process, neither disturbs the caller.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.compat import die_with_parent, end_process, peak_memory
from dltemplates.deploy.converters.conversion_job import ConversionJob, JoinedJob
from dltemplates.deploy.formats.format import load_format
from dltemplates.tasks.serving.contract import Contract

MAX_ERROR = 20_000  # letters; `converters.messages` makes one line of them


def convert(job: ConversionJob, key: str, out: Path) -> dict[str, Any]:
    """Write one format.

    Args:
        job: The serving model, and the files that formats share.
        key: Catalog key of the format.
        out: Path of the file or folder to write.

    Returns:
        For an integer format, `unfolded`: by input, why its scaling could not be folded into the weights.
    """
    format = load_format(key)
    format.convert(job, out)
    if not format.integer:
        return {}
    parts = job.by_signature.values()
    return {"unfolded": {name: reason for part in parts for name, reason in part.byte_folded[1].items()}}


def latency(path: str, example: str) -> dict[str, Any]:
    """Time a SavedModel in this process, where TensorFlow has one thread."""
    from dltemplates.runtimes import load_predictor

    with np.load(example, allow_pickle=False) as arrays:
        return {"latency_ms": load_predictor(path).latency(dict(arrays))}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request; keep no graph for the next one.

    Args:
        request: The arguments of `Converter.ask`.

    Returns:
        The reply; it holds `error` or `os_error` on a failure.
    """
    try:
        if request["do"] == "latency":
            return latency(request["path"], request["example"])
        return convert(_job_of(request), request["format"], Path(request["out"]))
    except OSError as error:
        return {"os_error": [error.errno, error.strerror, error.filename]}
    except Exception as error:  # a converter may raise anything; the caller gets it as text
        return {"error": f"{type(error).__name__}: {str(error).strip() or 'no message'}"[:MAX_ERROR]}


def _job_of(request: dict[str, Any]) -> ConversionJob:
    """Return the job of a request: one serving model, or several, by part, that become one file."""
    work, integer_type = Path(request["work"]), request["integer_type"]
    if "parts" in request:
        parts = {name: _job_of(part | {"integer_type": integer_type}) for name, part in request["parts"].items()}
        return JoinedJob(parts, work, integer_type)
    contract = Contract.model_validate_json(request["contract"])
    return ConversionJob(Path(request["serving"]), work, contract, integer_type)


def _import_tensorflow() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def requests() -> Iterator[str]:
    """Return an iterator over the lines of stdin; at its end, the process ends, even during a conversion.

    The caller keeps stdin open as long as it lives. So a killed caller leaves no converter behind. A thread reads
    stdin on every system; on Linux the kernel also ends the process if a converter blocks Python's threads.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        end_process()

    threading.Thread(target=read, daemon=True).start()
    return iter(lines.get, None)


def main() -> None:
    """Answer requests from stdin; replies go to stdout, and the libraries' prints to stderr."""
    die_with_parent()
    lines = requests()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _import_tensorflow()  # now, while the caller still writes the serving model
    for line in lines:
        reply = answer(json.loads(line)) | {"peak_memory": peak_memory()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
        gc.collect()  # graphs hold reference cycles


if __name__ == "__main__":
    main()
