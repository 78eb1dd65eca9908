"""The rules that builders share for what they are given."""

from collections.abc import Sequence
from numbers import Integral


def check_image_shape(model: str, input_shape: Sequence[int], *, least: int, most: int | None = None) -> None:
    """Raise a `ValueError` unless `input_shape` is an image that the model can take.

    Args:
        model: Name of the builder.
        input_shape: What it was given.
        least: Least height and width, in pixels.
        most: Greatest height and width, in pixels; None for any.
    """
    received = f"Received: input_shape={tuple(input_shape)}."
    if len(input_shape) != 3 or not all(_is_positive(size) for size in input_shape):
        raise ValueError(f"`{model}` takes images, (height, width, channels). {received} Try (32, 32, 3).")
    *size, channels = input_shape
    if channels not in (1, 3, 4):
        raise ValueError(f"`{model}` takes 1 (grey), 3 (RGB) or 4 (RGBA) channels. {received} Set `channels`.")
    if min(size) < least:
        raise ValueError(f"`{model}` needs images of at least {least}x{least}. {received} Try a larger `image_size`.")
    if most is not None and max(size) > most:
        raise ValueError(
            f"`{model}` takes images of {least}x{least} to {most}x{most}. {received} Try `image_size` {most}, {most}."
        )


def check_num_outputs(num_outputs: int) -> None:
    """Raise a `ValueError` unless there is something to predict."""
    if not _is_positive(num_outputs):
        raise ValueError(
            f"`num_outputs` must be a positive number of classes or values. Received: num_outputs={num_outputs!r}. "
            "Count the classes that the data has."
        )


def check_dropout_rate(dropout_rate: float) -> None:
    """Raise a `ValueError` unless a share of the activations is left."""
    if not 0 <= dropout_rate < 1:
        raise ValueError(
            f"`dropout_rate` must lie in [0, 1). Received: dropout_rate={dropout_rate}. Try 0.5, or 0 for no dropout."
        )


def check_widths(name: str, widths: Sequence[int], example: str) -> None:
    """Raise a `ValueError` unless `widths` are the positive sizes of one or more layers."""
    if not widths or not all(_is_positive(width) for width in widths):
        raise ValueError(
            f"`{name}` must be one or more positive integers. Received: {name}={widths!r}. Try `{name}={example}`."
        )


def _is_positive(size: object) -> bool:
    return isinstance(size, Integral) and not isinstance(size, bool) and int(size) > 0
