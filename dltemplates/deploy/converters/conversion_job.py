"""The conversion job: a serving model, and the graphs that its formats share."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dltemplates.tasks.serving.contract import Contract, join_contracts


class ConversionJob:
    """The conversion of one serving model to one format.

    Files that formats share are written once, into `work`, where the next job finds them. So no graph stays in memory
    after its format is written.

    Attributes:
        serving: The serving model, as a SavedModel with variables.
        work: Folder for intermediate files of this serving model.
        contract: The contract, with float inputs and outputs.
        integer_type: Input dtype of int8 files: `uint8` or `int8`.
    """

    def __init__(self, serving: Path, work: Path, contract: Contract, integer_type: str):
        self.serving = serving
        self.work = work
        self.contract = contract
        self.integer_type = integer_type

    @property
    def by_signature(self) -> dict[str, ConversionJob]:
        """The parts of the file, by their signatures; here the only one."""
        return {self.contract.signature: self}

    @cached_property
    def examples(self) -> dict[str, np.ndarray]:
        """The calibration examples: raw inputs by name."""
        with np.load(self.work / "calibration.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    @cached_property
    def encoded_examples(self) -> dict[str, np.ndarray]:
        """The calibration examples, encoded as the network's float inputs."""
        return self._encode(self.standardized_contract)

    @cached_property
    def byte_examples(self) -> dict[str, np.ndarray]:
        """The calibration examples of a file that takes bytes, encoded as the real numbers of its input tensors."""
        return self._encode(self.byte_contract)

    def _encode(self, contract: Contract) -> dict[str, np.ndarray]:
        return {value.name: value.encode(self.examples[value.name]) for value in contract.inputs}

    @cached_property
    def frozen(self) -> Any:
        """The graph with constants in place of variables."""
        from dltemplates.deploy.converters.graph import freeze, read_frozen

        path = self.work / "graph"
        if path.exists():
            return read_frozen(path)
        frozen = freeze(self.serving)
        self._write_once(path.name, frozen.write)
        return frozen

    @property
    def cut(self) -> Any:
        """The graph without the standardization of numbers; `frozen` if it has none."""
        return self._cut[0]

    @property
    def standardized_contract(self) -> Contract:
        """The contract of float16 and integer files, before their dtypes are known.

        The caller standardizes the numbers of these files: float16 holds at most 65,504, and in 8 bits one scale for
        all columns of a table would round the small columns to 0.
        """
        return self._cut[1]

    @cached_property
    def _cut(self) -> tuple[Any, Contract]:
        from dltemplates.deploy.converters.graph import cut_standardization

        return cut_standardization(self.frozen, self.contract)

    @cached_property
    def folded(self) -> tuple[Any, dict[str, str]]:
        """The graph with input scaling folded into the first layers, and by input the reason if that failed."""
        from dltemplates.deploy.converters.graph import fold_scale

        return fold_scale(self.cut)

    @property
    def byte_contract(self) -> Contract:
        """The contract of files that take bytes, before their dtypes are known."""
        return self._centered[1]

    @cached_property
    def _centered(self) -> tuple[Any, Contract]:
        from dltemplates.deploy.converters.graph import fold_center

        return fold_center(self.cut, self.standardized_contract)

    @cached_property
    def byte_folded(self) -> tuple[Any, dict[str, str]]:
        """As `folded`, for files that take bytes: the quantization of an input tensor holds its center, too."""
        from dltemplates.deploy.converters.graph import fold_scale

        return self.folded if self._centered[0] is self.cut else fold_scale(self._centered[0])

    @cached_property
    def byte_folded_path(self) -> Path:
        """Path of the `byte_folded` graph as a SavedModel."""
        if self._centered[0] is self.cut:
            return self.folded_path
        return self._save("byte_folded", self.byte_folded[0])

    @cached_property
    def frozen_path(self) -> Path:
        """Path of `frozen` as a SavedModel."""
        return self._save("frozen", self.frozen)

    @cached_property
    def cut_path(self) -> Path:
        """Path of `cut` as a SavedModel."""
        return self.frozen_path if self.cut is self.frozen else self._save("cut", self.cut)

    @cached_property
    def folded_path(self) -> Path:
        """Path of the `folded` graph as a SavedModel."""
        return self._save("folded", self.folded[0])

    @cached_property
    def onnx(self) -> Any:
        """The ONNX float32 model."""
        import onnx

        from dltemplates.deploy.converters.onnx import convert_onnx

        path = self.work / "float32.onnx"
        if path.exists():
            return onnx.load(path)
        model = convert_onnx(self.frozen, self.contract)
        self._write_once(path.name, lambda path: onnx.save(model, path))
        return model

    def _save(self, name: str, graph: Any) -> Path:
        from dltemplates.deploy.converters.graph import save_graphs

        return self._write_once(name, lambda path: save_graphs({self.contract.signature: graph}, path))

    def _write_once(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return the path of a file or folder in `work`; write it if it is missing."""
        path = self.work / name
        if not path.exists():
            partial = path.with_name(f"{name}.partial")  # a child that dies leaves no file that looks complete
            write(partial)
            os.replace(partial, path)
            gc.collect()  # TensorFlow's graphs hold reference cycles: twenty times the weights
        return path


class JoinedJob(ConversionJob):
    """The conversion of all parts of a system to one TFLite file, where equal weights are stored once.

    Attributes:
        parts: The conversion of each part, by name.
    """

    def __init__(self, parts: dict[str, ConversionJob], work: Path, integer_type: str):
        self.parts = parts
        super().__init__(work, work, self._join(lambda job: job.contract), integer_type)

    @property
    def by_signature(self) -> dict[str, ConversionJob]:
        return {self.contract.parts[name].signature: job for name, job in self.parts.items()}

    @property
    def standardized_contract(self) -> Contract:
        return self._join(lambda job: job.standardized_contract)

    @property
    def byte_contract(self) -> Contract:
        return self._join(lambda job: job.byte_contract)

    @cached_property
    def frozen_path(self) -> Path:
        return self._save_all("frozen", lambda job: job.frozen)

    @cached_property
    def cut_path(self) -> Path:
        return self._save_all("cut", lambda job: job.cut)

    @cached_property
    def folded_path(self) -> Path:
        return self._save_all("folded", lambda job: job.folded[0])

    @cached_property
    def byte_folded_path(self) -> Path:
        return self._save_all("byte_folded", lambda job: job.byte_folded[0])

    def _join(self, contract_of: Callable[[ConversionJob], Contract]) -> Contract:
        return join_contracts({name: contract_of(job) for name, job in self.parts.items()})

    def _save_all(self, name: str, graph_of: Callable[[ConversionJob], Any]) -> Path:
        from dltemplates.deploy.converters.graph import save_graphs

        graphs = {signature: graph_of(job) for signature, job in self.by_signature.items()}
        return self._write_once(name, lambda path: save_graphs(graphs, path))
