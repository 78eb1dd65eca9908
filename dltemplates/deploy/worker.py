"""The child process that converts: `python -m dltemplates.deploy.worker`, one JSON request and reply a line.

A converter may crash the process it runs in, and prints as it likes; here it can do neither to the caller.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.compat import peak_memory
from dltemplates.runtimes import encode
from dltemplates.tasks.contract import Contract


class Job:
    """The formats of one serving model; what they share is made once.

    Attributes:
        serving: The serving model, as a SavedModel with variables.
        work: A folder for files in between.
        contract: What goes in and comes out, in float.
    """

    def __init__(self, serving: Path, work: Path, contract: Contract):
        self.serving = serving
        self.work = work
        self.contract = contract

    @cached_property
    def examples(self) -> dict[str, np.ndarray]:
        """What sets the ranges of integer files: raw inputs by name."""
        with np.load(self.work / "calibration.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    @cached_property
    def encoded_examples(self) -> dict[str, np.ndarray]:
        """The same as integer files take them before they are quantized."""
        return {value.name: encode(value, self.examples[value.name]) for value in self.standardized_contract.inputs}

    @cached_property
    def frozen(self) -> Any:
        """The graph without variables."""
        from dltemplates.deploy.graph import freeze

        return freeze(self.serving)

    @cached_property
    def standardized_contract(self) -> Contract:
        """The contract of files of less than float32, before their dtypes are known.

        Numbers with a mean are standardized by who calls them: 65,504 is the largest that float16 holds, and one scale
        for all columns of a table would leave nothing of the small ones in 8 bits.
        """
        return self._cut[1]

    @cached_property
    def _cut(self) -> tuple[Any, Contract]:
        from dltemplates.deploy.graph import cut_standardization

        return cut_standardization(self.frozen, self.contract)

    @cached_property
    def folded(self) -> tuple[Any, dict[str, str]]:
        """The graph whose first layers take raw values, and why that could not be, by input."""
        from dltemplates.deploy.graph import fold_scale

        return fold_scale(self._cut[0])

    @cached_property
    def frozen_path(self) -> Path:
        """`frozen` on disk."""
        return self._saved(self.frozen, "frozen")

    @cached_property
    def cut_path(self) -> Path:
        """`frozen` on disk, without the standardization of numbers."""
        return self.frozen_path if self._cut[0] is self.frozen else self._saved(self._cut[0], "cut")

    @cached_property
    def folded_path(self) -> Path:
        """`folded` on disk."""
        return self._saved(self.folded[0], "folded")

    @cached_property
    def onnx(self) -> Any:
        """The ONNX float32 model."""
        from dltemplates.deploy.onnx import convert_onnx

        return convert_onnx(self.frozen, self.contract)

    def convert(self, key: str, out: Path, integer: str) -> dict[str, Any]:
        """Write one format.

        Args:
            key: Catalog key of the format.
            out: Where to write.
            integer: What images are in int8 files: `uint8` or `int8`.

        Returns:
            `unfolded`: for each input whose scaling stayed in an integer file, the reason.
        """
        family, _, kind = key.partition(":")
        if family == "saved_model":
            from dltemplates.deploy.saved_model import export_saved_model

            export_saved_model(self.serving, out, self.contract)
        elif family == "tflite":
            from dltemplates.deploy.tflite import convert_tflite

            whole = kind in ("int8", "int16x8")
            contract = self.standardized_contract if whole or kind == "float16" else self.contract
            path = self.folded_path if whole else self.cut_path if kind == "float16" else self.frozen_path
            examples = self.encoded_examples if whole else {}
            convert_tflite(path, out, kind, contract=contract, integer=integer, examples=examples)
        else:
            self._convert_onnx(kind, out, integer)
        return {"unfolded": self.folded[1]} if key.endswith("int8") else {}

    def _convert_onnx(self, kind: str, out: Path, integer: str) -> None:
        from dltemplates.deploy import onnx

        contract = self.contract
        if kind == "float32":
            model = self.onnx
        elif kind == "float16":
            contract = self.standardized_contract
            if self._cut[0] is self.frozen:
                model = type(self.onnx)()
                model.CopyFrom(self.onnx)
            else:
                model = onnx.convert_onnx(self._cut[0], contract)
            model = onnx.to_float16(model)
        else:
            contract = self.standardized_contract
            model = onnx.convert_onnx(self.folded[0], contract)
            model = onnx.to_int8(model, self.work, self.encoded_examples, integer)
            contract = onnx.take_integers(model, contract, integer)
        onnx.write(model, out, contract)

    def _saved(self, frozen: Any, name: str) -> Path:
        path = self.work / name
        frozen.save(path)
        return path


def latency(path: str, example: str) -> dict[str, Any]:
    """Time a SavedModel here, where TensorFlow has one thread."""
    from dltemplates.runtimes import load_predictor

    with np.load(example, allow_pickle=False) as arrays:
        return {"latency_ms": load_predictor(path).latency(dict(arrays))}


def answer(request: dict[str, Any], jobs: dict[str, Job]) -> dict[str, Any]:
    """Do what a request asks for.

    Args:
        request: What `Converter.ask` was given.
        jobs: The jobs so far, by the path of their serving model; a new one is added.

    Returns:
        The reply; `error` or `os_error` where it could not be done.
    """
    try:
        if request["do"] == "latency":
            return latency(request["path"], request["example"])
        serving = request["serving"]
        if serving not in jobs:
            contract = Contract.model_validate_json(request["contract"])
            jobs[serving] = Job(Path(serving), Path(request["work"]), contract)
        return jobs[serving].convert(request["format"], Path(request["out"]), request["integer"])
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
    jobs: dict[str, Job] = {}
    for line in sys.stdin:
        reply = answer(json.loads(line), jobs) | {"peak_memory": peak_memory()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
