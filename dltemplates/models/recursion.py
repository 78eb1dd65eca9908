"""Recursion limit for deep networks.

Keras finds the layers of a functional model by following its tensors back from the output, one nested call per layer.
A thousand layers in a row exceed Python's limit of 1,000 nested calls and raise a `RecursionError`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# 1202 layers with batch normalization and no shortcut take 3,606 nested calls. From 6,000 on, recursion through C code
# (a sort's key function takes the most stack) crashed the process at the usual stack of 8 MB.
LIMIT = 5_000


@contextmanager
def deep_networks() -> Iterator[None]:
    """Raise the recursion limit for networks with thousands of layers; also a decorator, `@deep_networks()`.

    Use it only to build, load or copy a network. Elsewhere an endless recursion should still stop early.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
