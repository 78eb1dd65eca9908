"""Features: the named arrays of examples and outputs, one class per kind.

Each class uses NumPy and Pillow alone. Code that needs Keras, TensorFlow, pandas or Matplotlib is a
`functools.singledispatch` function on the class, where that library is used.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from dltemplates.features.binary import Binary
from dltemplates.features.boxes import Boxes
from dltemplates.features.category import Category
from dltemplates.features.class_id import ClassId
from dltemplates.features.column import Column
from dltemplates.features.feature import (
    Arrays,
    Feature,
    WithClasses,
    WithColumns,
    WithStatistics,
    classes_of,
    columns_of,
)
from dltemplates.features.history import History
from dltemplates.features.horizon import Horizon
from dltemplates.features.image import Image
from dltemplates.features.labels import Labels
from dltemplates.features.length import Length
from dltemplates.features.noise import Noise
from dltemplates.features.number import Number
from dltemplates.features.pixels import Resize
from dltemplates.features.probabilities import Probabilities
from dltemplates.features.series import Series
from dltemplates.features.time import Time
from dltemplates.features.tokens import Tokens

AnyFeature: TypeAlias = Annotated[
    Image
    | ClassId
    | Labels
    | Number
    | Category
    | Noise
    | Series
    | Horizon
    | History
    | Time
    | Probabilities
    | Binary
    | Boxes
    | Length
    | Tokens,
    Field(discriminator="kind"),
]
"""A feature of any kind, for fields of pydantic models."""

__all__ = [
    "AnyFeature",
    "Arrays",
    "Binary",
    "Boxes",
    "Category",
    "ClassId",
    "Column",
    "Feature",
    "History",
    "Horizon",
    "Image",
    "Labels",
    "Length",
    "Noise",
    "Number",
    "Probabilities",
    "Resize",
    "Series",
    "Time",
    "Tokens",
    "WithClasses",
    "WithColumns",
    "WithStatistics",
    "classes_of",
    "columns_of",
]
