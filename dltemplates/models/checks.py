"""Relations between a builder's arguments, and the least size of images."""

import math
from collections.abc import Sequence
from numbers import Real

from dltemplates.models.ranges import is_count

SIZE = "`dataset.images.size`, or --input-shape"
"""The setting of the image size in a template, and the option of `dlt build`."""


def check_image_shape(
    model: str,
    input_shape: Sequence[int],
    *,
    min_size: int,
    max_size: int | None = None,
    way_out: str = f"Try a larger image ({SIZE}).",
) -> None:
    """Raise a `ValueError` unless `input_shape` is an image that the model can take.

    Args:
        model: Name of the builder.
        input_shape: Its argument.
        min_size: Least height and width, in pixels. Where they must be multiples of a number, that number.
        max_size: Greatest height and width, in pixels; None for any.
        way_out: The last sentence of the error for an image that is too small.
    """
    received = f"Received: input_shape={tuple(input_shape)}."
    if len(input_shape) != 3 or not all(is_count(size) for size in input_shape):
        side = -(-32 // min_size) * min_size
        raise ValueError(f"`{model}` takes images, (height, width, channels). {received} Try ({side}, {side}, 3).")
    *size, channels = input_shape
    if channels not in (1, 3, 4):
        raise ValueError(
            f"`{model}` takes 1 (grey), 3 (RGB) or 4 (RGBA) channels. {received} "
            "Try 1 or 3 (`channels`, or the last of --input-shape)."
        )
    if min(size) < min_size:
        raise ValueError(f"`{model}` needs images of at least {min_size}x{min_size}. {received} {way_out}")
    if max_size is not None and max(size) > max_size:
        raise ValueError(
            f"`{model}` takes images of {min_size}x{min_size} to {max_size}x{max_size}. {received} "
            f"Try {max_size}x{max_size} ({SIZE})."
        )


def check_sequence_shape(
    model: str, input_shape: Sequence[int | None], *, min_steps: int = 1, any_length: bool = False
) -> None:
    """Raise a `ValueError` unless `input_shape` is (steps, channels) that the model can take.

    Args:
        model: Name of the builder.
        input_shape: Its argument.
        min_steps: Least number of steps.
        any_length: Whether `steps` may be None, for sequences of different lengths.
    """
    received = f"Received: input_shape={tuple(input_shape)}."
    steps, channels = input_shape if len(input_shape) == 2 else (0, 0)
    if steps is None and is_count(channels):
        if any_length:
            return
        raise ValueError(
            f"`{model}` needs sequences of one length. {received} Choose a model for any length, such as lstm, gru, "
            "tcn or inception_time."
        )
    if not (is_count(steps) and is_count(channels)):
        raise ValueError(
            f"`{model}` takes sequences, (steps, channels). {received} "
            "Try (48, 1); `dataset.series.window` cuts a series into such sequences."
        )
    if steps is not None and steps < min_steps:
        raise ValueError(
            f"`{model}` needs sequences of at least {min_steps} steps. {received} Try ({min_steps}, {channels}); "
            "`dataset.series.window` sets the steps of a series."
        )


def check_depth(depth: int, step: int) -> None:
    """Raise a `ValueError` unless `depth` is 2 plus a positive multiple of `step`."""
    if not is_count(depth) or depth <= 2 or (depth - 2) % step:
        received = int(depth) if isinstance(depth, Real) and math.isfinite(depth) else step + 2
        below = max(received - (received - 2) % step, step + 2)
        raise ValueError(
            f"`depth` must be {step}n+2 with n at least 1. Received: depth={depth!r}. "
            f"Try {f'{below} or {below + step}' if below < received else below}."
        )


def check_patches(model: str, input_shape: Sequence[int], patch_size: int) -> None:
    """Raise a `ValueError` unless height and width are multiples of `patch_size`."""
    size = tuple(input_shape[:2])
    if any(pixels % patch_size for pixels in size):
        larger = "x".join(str(-(-pixels // patch_size) * patch_size) for pixels in size)
        dividing = [patch for patch in range(2, patch_size) if not any(pixels % patch for pixels in size)]
        smaller = f", or `patch_size={dividing[-1]}`" if dividing else ""
        raise ValueError(
            f"`{model}` cuts images into patches of {patch_size}x{patch_size}: height and width must be multiples. "
            f"Received: input_shape={tuple(input_shape)}. Try {larger} ({SIZE}){smaller}."
        )


def check_halving(
    model: str,
    input_shape: Sequence[int],
    filters: Sequence[int],
    *,
    verb: str = "halves images",
) -> None:
    """Raise a `ValueError` unless the input is an image that can be halved once per number in `filters`.

    Args:
        model: Name of the builder.
        input_shape: Its argument.
        filters: Filters at each resolution.
        verb: The words for it in the error.
    """
    step = 2 ** len(filters)
    check_image_shape(model, input_shape, min_size=step)
    size = tuple(input_shape[:2])
    if any(pixels % step for pixels in size):
        larger = "x".join(str(-(-pixels // step) * step) for pixels in size)
        raise ValueError(
            f"`{model}` {verb} {len(filters)} times: height and width must be multiples of {step}. "
            f"Received: input_shape={tuple(input_shape)}. Try {larger} ({SIZE})."
        )
