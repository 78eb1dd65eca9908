"""The base class of features, and the attributes that several kinds share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from dltemplates.features.column import Column

Arrays = dict[str, np.ndarray]
BYTE_OFFSETS = {"uint8": 0, "int8": -128}  # from a byte to the integer of a file
DRAWN = 16  # examples of noise in `stress`


class Feature(BaseModel):
    """One named array of an example, a target or an output. The subclasses are its kinds.

    Attributes:
        name: Name in every exported format.
        kind: Name of the subclass in files; pydantic selects the subclass by it.
        dtype: NumPy dtype of the array that the network takes or returns; `string` for UTF-8 text.
        shape: Shape without the batch axis.
        range: Least and greatest value of that array, if known.
        quantization: `(scale, zero_point)` of an integer tensor that encodes real numbers.
        suffix: Suffix of the file that `write` writes; empty if it writes none.
        takes_bytes: Whether it holds bytes, 0 to 255, which an integer file takes unchanged.
        is_decision: Whether an output of this kind is either right or wrong, never close.
        spread: Divisor of an output's error; None for the range (maximum - minimum) of Keras's outputs.
    """

    suffix: ClassVar[str] = ""
    takes_bytes: ClassVar[bool] = False
    is_decision: ClassVar[bool] = False
    spread: ClassVar[float | None] = None

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    range: tuple[float, float] | None = None
    quantization: tuple[float, int] | None = None

    def read(self, user_input: Any) -> Arrays:
        """Read one example from a user's input.

        Args:
            user_input: A file, a text or a seed, depending on the kind.

        Returns:
            (1, *shape), keyed by name.

        Raises:
            ValueError: If it cannot be read.
        """
        raise ValueError(
            f"An input must be readable from a file, a text or a seed. Received: `{self.name}` of kind `{self.kind}`. "
            "Call the network through its runtime, with arrays."
        )

    def write(self, path: Path, array: np.ndarray) -> None:
        """Write one example (*shape) to a file, for the kinds that have a `suffix`."""
        raise ValueError(
            f"An output must be of a kind that can be written to a file. Received: `{self.name}` of kind "
            f"`{self.kind}`. Take its numbers."
        )

    @property
    def limits(self) -> tuple[float, float] | None:
        """Least and greatest possible value; None if unknown."""
        return self.range

    @property
    def unit(self) -> Any:
        """Size of one unit for a network, about 1 after preprocessing: one number, or one per position."""
        return 1.0

    def clip(self, array: np.ndarray) -> np.ndarray:
        """Clip values (n, *shape) to their possible range."""
        return array

    def encode(self, array: np.ndarray) -> np.ndarray:
        """Convert raw values (n, *shape) to a file's input; if quantized, `round(x / scale) + zero_point`."""
        dtype = np.dtype(self.dtype)
        if array.dtype == dtype and self.quantization in (None, (1.0, 0)):
            return np.ascontiguousarray(array)
        if self.quantization is None:
            return np.ascontiguousarray(array, dtype)
        scale, zero_point = self.quantization
        limits = np.iinfo(dtype)
        return np.clip(np.rint(array / np.float32(scale)) + zero_point, limits.min, limits.max).astype(dtype)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """Convert a file's output (n, *shape) to float32; if quantized, `(q - zero_point) * scale`."""
        array = np.asarray(array, np.float32)
        if self.quantization is None:
            return array
        scale, zero_point = self.quantization
        return (array - zero_point) * np.float32(scale)

    def byte_quantization(self, dtype: str) -> tuple[float, int]:
        """Return the quantization of an integer file's input that takes bytes as they are: `uint8`, or 128 less."""
        return 1.0, BYTE_OFFSETS[dtype]

    def calibrate(self, array: np.ndarray) -> None:
        """Adjust, in place, the examples (n, *shape) that calibrate the ranges of an integer file.

        The last two examples repeat the first and the last one, and are there to be changed.
        """

    def stress(self, example: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return inputs that differ from an example and from each other, for a check.

        Args:
            example: (1, *shape).
            random: Source of the noise.

        Returns:
            (19, *shape): the inverted example, one filled with the least value, one with the greatest, and 16 of noise.
        """
        low, high = self.limits or (example.min() - 1.0, example.max() + 1.0)
        noise = random.uniform(low, high, (DRAWN, *self.shape))
        parts = [low + high - example.astype(np.float64), np.full(example.shape, low), np.full(example.shape, high)]
        return np.concatenate([*parts, noise]).astype(example.dtype)

    def differences(self, expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Return the absolute difference between a file's output and Keras's, each (n, ...): float64."""
        return np.abs(actual.astype(np.float64) - expected)

    def compare(self, expected: np.ndarray, actual: np.ndarray) -> float:
        """Return the greatest difference between a file's outputs (n, ...) and Keras's."""
        return float(self.differences(expected, actual).max())


class WithClasses(Feature):
    """A feature with class names.

    Attributes:
        classes: Class names, indexed by id.
    """

    classes: tuple[str, ...]


class WithColumns(Feature):
    """A feature that may come from table columns.

    Attributes:
        columns: The columns, in order; None if it comes from no table.
    """

    columns: tuple[Column, ...] | None = None


class WithStatistics(Feature):
    """A feature of numbers with a mean and a standard deviation each.

    Attributes:
        mean: Mean of each number over the training split; for an output, of its target.
        std: Standard deviation over the training split, likewise; greater than 0.
        standardized: Whether a file's inputs or outputs are `(x - mean) / std` instead of x. float16 holds no number
            above 65,504, and one 8-bit scale for all columns would erase the small ones.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    standardized: bool = False

    @property
    def unit(self) -> np.ndarray:
        """Standard deviation of each number."""
        return np.array(self.std)

    def encode(self, array: np.ndarray) -> np.ndarray:
        """Encode as any feature does; first standardize if the file's inputs are standardized."""
        if self.standardized:
            array = ((array - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        return super().encode(array)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """Decode as any feature does; then undo the standardization if the file's outputs are standardized."""
        array = super().decode(array)
        if self.standardized:
            array = (array * np.array(self.std) + np.array(self.mean)).astype(np.float32)
        return array

    def standardize(self, numbers: Any) -> Any:
        """Scale numbers, an array or a tensor (..., *shape), to mean 0 and deviation 1 over the training split."""
        return (numbers - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)


def classes_of(feature: Feature) -> tuple[str, ...]:
    """Return the class names of a feature; empty if its kind has none."""
    return feature.classes if isinstance(feature, WithClasses) else ()


def columns_of(feature: Feature) -> tuple[Column, ...]:
    """Return the table columns of a feature; empty if it comes from no table."""
    return (feature.columns or ()) if isinstance(feature, WithColumns) else ()
