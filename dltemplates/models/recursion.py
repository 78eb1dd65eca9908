"""Room for Keras to walk a deep network.

Keras finds the layers of a functional model by following its tensors back from the output, each call within the one
before. A thousand layers, one behind the other, meet Python's own limit of 1,000 calls: a `RecursionError`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

# 1202 layers with batch normalization and no shortcut take 3,606 calls. From 6,000 on, what recurses through C code
# (the key of a sort takes the most of the stack) was seen to crash the process, at the usual 8 MB.
LIMIT = 5_000


@contextmanager
def deep_networks() -> Iterator[None]:
    """Let Keras walk networks of thousands of layers; also a decorator, `@deep_networks()`.

    It is for what builds, loads or copies a network: elsewhere a recursion without end is to end as soon as ever.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
