"""Logic gates: two bits in, one bit out. All four rows are in every split: there is nothing else to be known.

AND, OR and NAND can be told apart by a straight line, XOR can not (Minsky, Papert: "Perceptrons", 1969).
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
    """Load the gate that the name asks for: `gates:and`, `gates:or`, `gates:nand` or `gates:xor`.

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
