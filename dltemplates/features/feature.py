"""What every kind of feature shares, and what several kinds do."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from dltemplates.features.column import Column


class Feature(BaseModel):
    """One named array of an example, a target or an output; its kinds are the subclasses.

    Attributes:
        name: The name that survives into every exported format.
        kind: The word for the subclass in files; the union of all kinds is read by it.
        dtype: The NumPy dtype it has at the boundary; `string` for text in UTF-8.
        shape: Its shape, without the batch.
        range: Least and greatest value at the boundary, where it is known.
        quantization: `(scale, zero_point)` of an integer tensor that stands for real numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    range: tuple[float, float] | None = None
    quantization: tuple[float, int] | None = None


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

    def standardize(self, numbers: Any) -> Any:
        """Return numbers, an array or a tensor (..., *shape), with mean 0 and deviation 1 over the training split."""
        return (numbers - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)


def classes_of(feature: Feature) -> tuple[str, ...]:
    """Return the class names of a feature; none where its kind has none."""
    return feature.classes if isinstance(feature, WithClasses) else ()


def columns_of(feature: Feature) -> tuple[Column, ...]:
    """Return the columns that a feature comes from; none where it comes from no table."""
    return (feature.columns or ()) if isinstance(feature, WithColumns) else ()
