"""What every kind of feature shares, and what several kinds do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from dltemplates.features.column import Column

Arrays = dict[str, np.ndarray]
DRAWN = 16  # examples of noise in `stress`


class Feature(BaseModel):
    """One named array of an example, a target or an output; its kinds are the subclasses.

    Attributes:
        name: The name that survives into every exported format.
        kind: The word for the subclass in files; the union of all kinds is read by it.
        dtype: The NumPy dtype it has at the boundary; `string` for text in UTF-8.
        shape: Its shape, without the batch.
        range: Least and greatest value at the boundary, where it is known.
        quantization: `(scale, zero_point)` of an integer tensor that stands for real numbers.
        suffix: Of the file that `write` writes; empty where it writes none.
        takes_bytes: Whether it holds bytes, 0 to 255, which an integer file takes as they are.
        is_decision: Whether an output of this kind is right or wrong, and never close.
        spread: What an error of an output of this kind is divided by; None for the spread of Keras's outputs.
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

    def read(self, given: Any) -> Arrays:
        """Read one example from what a user gives.

        Args:
            given: A file, a text, a seed: what the kind says.

        Returns:
            (1, *shape) by name.

        Raises:
            ValueError: If it cannot be read.
        """
        raise ValueError(
            f"An input must be of a kind that can be read by itself. Received: `{self.name}` of kind `{self.kind}`. "
            "Call the network by its runtime, with arrays."
        )

    def write(self, path: Path, array: np.ndarray) -> None:
        """Write one example (*shape) into a file, for the kinds that have a `suffix`."""
        raise ValueError(
            f"An output must be of a kind that is written into a file. Received: `{self.name}` of kind `{self.kind}`. "
            "Take its numbers."
        )

    @property
    def limits(self) -> tuple[float, float] | None:
        """The least and the greatest value that it can hold; None where that is not known."""
        return self.range

    @property
    def unit(self) -> Any:
        """What is about 1 to a network: a number, or one for each place."""
        return 1.0

    def clip(self, array: np.ndarray) -> np.ndarray:
        """Bring values (n, *shape) into the range that they can have."""
        return array

    def encode(self, array: np.ndarray) -> np.ndarray:
        """Return raw values (n, *shape) as a file takes them, `round(x / scale) + zero_point` where it is quantized."""
        dtype = np.dtype(self.dtype)
        if array.dtype == dtype and self.quantization in (None, (1.0, 0)):
            return np.ascontiguousarray(array)
        if self.quantization is None:
            return np.ascontiguousarray(array, dtype)
        scale, zero_point = self.quantization
        least = np.iinfo(dtype)
        return np.clip(np.rint(array / np.float32(scale)) + zero_point, least.min, least.max).astype(dtype)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """Return float32 of what a file gives, (n, *shape): `(q - zero_point) * scale` where it is quantized."""
        array = np.asarray(array, np.float32)
        if self.quantization is None:
            return array
        scale, zero_point = self.quantization
        return (array - zero_point) * np.float32(scale)

    def calibrate(self, array: np.ndarray) -> None:
        """Change the examples (n, *shape) that set the ranges of an integer file, in place, to set them right.

        The last two are there to be changed: they are the first and the last example once more.
        """

    def stress(self, example: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return inputs unlike an example, and each other, as a check feeds them.

        Args:
            example: (1, *shape).
            random: Draws the noise.

        Returns:
            (19, *shape): the example inverted, all places at the least, all at the greatest, and noise in between.
        """
        low, high = self.limits or (example.min() - 1.0, example.max() + 1.0)
        noise = random.uniform(low, high, (DRAWN, *self.shape))
        parts = [low + high - example.astype(np.float64), np.full(example.shape, low), np.full(example.shape, high)]
        return np.concatenate([*parts, noise]).astype(example.dtype)

    def differences(self, expected: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Return how far a file's output is from Keras's at each place, each (n, ...): at least 0, float64."""
        return np.abs(given.astype(np.float64) - expected)

    def compare(self, expected: np.ndarray, given: np.ndarray) -> float:
        """Return how far a file's outputs (n, ...) are from Keras's: the greatest difference."""
        return float(self.differences(expected, given).max())


class WithClasses(Feature):
    """A feature of classes.

    Attributes:
        classes: The class names by id.
    """

    classes: tuple[str, ...]


class WithColumns(Feature):
    """A feature that may come from columns of a table.

    Attributes:
        columns: Those columns, in order; None where it comes from no table.
    """

    columns: tuple[Column, ...] | None = None


class WithStatistics(Feature):
    """A feature of numbers, of which each has a mean and a deviation.

    Attributes:
        mean: Mean of each number over the training split; of an output, that of its target.
        std: Standard deviation over the training split, likewise; greater than 0.
        standardized: Whether a file takes, or gives, `(x - mean) / std` in place of x, each number by its own: float16
            holds none above 65,504, and in 8 bits one scale for all columns would leave nothing of the small ones.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    standardized: bool = False

    @property
    def unit(self) -> np.ndarray:
        """The deviation of each number."""
        return np.array(self.std)

    def encode(self, array: np.ndarray) -> np.ndarray:
        """As for any feature; before that `(x - mean) / std` where the file takes that."""
        if self.standardized:
            array = ((array - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        return super().encode(array)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """As for any feature; after that `x * std + mean` where the file gives `(x - mean) / std`."""
        array = super().decode(array)
        if self.standardized:
            array = (array * np.array(self.std) + np.array(self.mean)).astype(np.float32)
        return array

    def standardize(self, numbers: Any) -> Any:
        """Return numbers, an array or a tensor (..., *shape), with mean 0 and deviation 1 over the training split."""
        return (numbers - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)


def classes_of(feature: Feature) -> tuple[str, ...]:
    """Return the class names of a feature; none where its kind has none."""
    return feature.classes if isinstance(feature, WithClasses) else ()


def columns_of(feature: Feature) -> tuple[Column, ...]:
    """Return the columns that a feature comes from; none where it comes from no table."""
    return (feature.columns or ()) if isinstance(feature, WithColumns) else ()
