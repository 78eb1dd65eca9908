"""The child process that converts: `python -m dltemplates.deploy.worker`, one JSON request and reply a line.

A converter may crash the process it runs in, and prints as it likes; here it can do neither to the caller.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.compat import peak_memory
from dltemplates.deploy.converters.conversion_job import Job
from dltemplates.deploy.formats.format import load_format
from dltemplates.tasks.serving.contract import Contract


def convert(job: Job, key: str, out: Path) -> dict[str, Any]:
    """Write one format.

    Args:
        job: What it is converted from.
        key: Catalog key of the format.
        out: Where to write.

    Returns:
        `unfolded`: for each input whose scaling stayed in an integer file, the reason.
    """
    format = load_format(key)
    format.convert(job, out)
    return {"unfolded": job.folded[1]} if format.integer else {}


def latency(path: str, example: str) -> dict[str, Any]:
    """Time a SavedModel here, where TensorFlow has one thread."""
    from dltemplates.runtimes import load_predictor

    with np.load(example, allow_pickle=False) as arrays:
        return {"latency_ms": load_predictor(path).latency(dict(arrays))}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks for; no graph is kept for the next one.

    Args:
        request: What `Converter.ask` was given.

    Returns:
        The reply; `error` or `os_error` where it could not be done.
    """
    try:
        if request["do"] == "latency":
            return latency(request["path"], request["example"])
        contract = Contract.model_validate_json(request["contract"])
        job = Job(Path(request["serving"]), Path(request["work"]), contract, request["integer_type"])
        return convert(job, request["format"], Path(request["out"]))
    except OSError as error:
        return {"os_error": [error.errno, error.strerror, error.filename]}
    except Exception as error:  # whatever a converter raises is the answer
        return {"error": _explain(error)}


def _explain(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"[:500]


def _import_tensorflow() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def main() -> None:
    """Keep the pipe to the caller for replies; what libraries print goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _import_tensorflow()  # while the caller is still writing the serving model
    for line in sys.stdin:
        reply = answer(json.loads(line)) | {"peak_memory": peak_memory()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
        gc.collect()  # graphs refer to themselves


if __name__ == "__main__":
    main()
