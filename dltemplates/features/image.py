"""Images."""

from __future__ import annotations

from typing import Literal

from dltemplates.features.feature import Feature

Resize = Literal["stretch", "crop", "pad"]


class Image(Feature):
    """An image: (height, width, channels).

    Attributes:
        resize: How an image of another size is brought to `shape`.
        preparation: All that is done to an image file before it is this array, for who does it elsewhere.
    """

    kind: Literal["image"] = "image"
    resize: Resize | None = None
    preparation: str | None = None
