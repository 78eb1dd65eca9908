"""What the formats of one serving model are converted from."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.tasks.serving.contract import Contract


class Job:
    """The conversion of one serving model to one format.

    What formats share is made once and lies in `work`, where the job of the next format finds it: no graph stays in
    memory once its format is written.

    Attributes:
        serving: The serving model, as a SavedModel with variables.
        work: A folder for files in between, of this serving model alone.
        contract: What goes in and comes out, in float.
        integer_type: What int8 files take: `uint8` or `int8`.
    """

    def __init__(self, serving: Path, work: Path, contract: Contract, integer_type: str):
        self.serving = serving
        self.work = work
        self.contract = contract
        self.integer_type = integer_type

    @cached_property
    def examples(self) -> dict[str, np.ndarray]:
        """What sets the ranges of integer files: raw inputs by name."""
        with np.load(self.work / "calibration.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    @cached_property
    def encoded_examples(self) -> dict[str, np.ndarray]:
        """The same as integer files take them before they are quantized."""
        return {value.name: value.encode(self.examples[value.name]) for value in self.standardized_contract.inputs}

    @cached_property
    def frozen(self) -> Any:
        """The graph without variables."""
        from dltemplates.deploy.converters.graph import freeze, read_frozen

        path = self.work / "graph"
        if path.exists():
            return read_frozen(path)
        frozen = freeze(self.serving)
        self._written(path.name, frozen.write)
        return frozen

    @property
    def cut(self) -> Any:
        """The graph without the standardization of numbers; `frozen` where there is none."""
        return self._cut[0]

    @property
    def standardized_contract(self) -> Contract:
        """The contract of files of less than float32, before their dtypes are known.

        Numbers with a mean are standardized by who calls them: 65,504 is the largest that float16 holds, and one scale
        for all columns of a table would leave nothing of the small ones in 8 bits.
        """
        return self._cut[1]

    @cached_property
    def _cut(self) -> tuple[Any, Contract]:
        from dltemplates.deploy.converters.graph import cut_standardization

        return cut_standardization(self.frozen, self.contract)

    @cached_property
    def folded(self) -> tuple[Any, dict[str, str]]:
        """The graph whose first layers take raw values, and why that could not be, by input."""
        from dltemplates.deploy.converters.graph import fold_scale

        return fold_scale(self.cut)

    @cached_property
    def frozen_path(self) -> Path:
        """`frozen` on disk."""
        return self._written("frozen", lambda path: self.frozen.save(path))

    @cached_property
    def cut_path(self) -> Path:
        """`cut` on disk."""
        return self.frozen_path if self.cut is self.frozen else self._written("cut", self.cut.save)

    @cached_property
    def folded_path(self) -> Path:
        """`folded` on disk."""
        return self._written("folded", lambda path: self.folded[0].save(path))

    @cached_property
    def onnx(self) -> Any:
        """The ONNX float32 model."""
        import onnx

        from dltemplates.deploy.converters.onnx import convert_onnx

        path = self.work / "float32.onnx"
        if path.exists():
            return onnx.load(path)
        model = convert_onnx(self.frozen, self.contract)
        self._written(path.name, lambda path: onnx.save(model, path))
        return model

    def _written(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return a file or folder of `work`, written first where it is not there yet."""
        path = self.work / name
        if not path.exists():
            partial = path.with_name(f"{name}.partial")  # what a child that died has left counts for nothing
            write(partial)
            os.replace(partial, path)
            gc.collect()  # what TensorFlow made of the graph refers to itself: twenty times the weights
        return path
