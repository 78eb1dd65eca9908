"""Logic gates: two bits in, one bit out. Every split holds all four rows, which is all the data there is.

A straight line separates the classes of AND, OR and NAND, but not of XOR (Minsky, Papert: "Perceptrons", 1969).
"""

from __future__ import annotations

import numpy as np

from dltemplates.datasets.features import class_value
from dltemplates.datasets.source import SPLITS, Dataset
from dltemplates.datasets.tables.source import number_table
from dltemplates.settings import DatasetSettings

BITS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
GATES = {"and": (0, 0, 0, 1), "or": (0, 1, 1, 1), "nand": (1, 1, 1, 0), "xor": (0, 1, 1, 0)}


def gates(settings: DatasetSettings) -> Dataset:
    """Load the gate in the dataset's name: `gates:and`, `gates:or`, `gates:nand` or `gates:xor`.

    Raises:
        ValueError: If there is no such gate.
    """
    _, _, name = settings.name.partition(":")
    if name not in GATES:
        raise ValueError(
            f"A gate must be one of {', '.join(GATES)}. Received: {settings.name!r}. Name it, as in `gates:xor`."
        )
    table = (BITS, np.array(GATES[name]))
    return number_table(("a", "b"), dict.fromkeys(SPLITS, table), class_value(("0", "1")))
