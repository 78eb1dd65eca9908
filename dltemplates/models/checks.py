"""The rules that builders share for what they are given."""

import math
from collections.abc import Sequence
from numbers import Real

from dltemplates.models.ranges import is_count

SIZE = "`dataset.images.size`, or --input-shape"
"""Where a user says how large an image is: in a template, or to `dlt build`."""


def check_image_shape(
    model: str,
    input_shape: Sequence[int],
    *,
    least: int,
    most: int | None = None,
    way_out: str = f"Try a larger image ({SIZE}).",
) -> None:
    """Raise a `ValueError` unless `input_shape` is an image that the model can take.

    Args:
        model: Name of the builder.
        input_shape: What it was given.
        least: Least height and width, in pixels; what the model takes multiples of, where it does.
        most: Greatest height and width, in pixels; None for any.
        way_out: What to do where the image is too small.
    """
    received = f"Received: input_shape={tuple(input_shape)}."
    if len(input_shape) != 3 or not all(is_count(size) for size in input_shape):
        side = -(-32 // least) * least
        raise ValueError(f"`{model}` takes images, (height, width, channels). {received} Try ({side}, {side}, 3).")
    *size, channels = input_shape
    if channels not in (1, 3, 4):
        raise ValueError(
            f"`{model}` takes 1 (grey), 3 (RGB) or 4 (RGBA) channels. {received} "
            "Try 1 or 3 (`channels`, or the last of --input-shape)."
        )
    if min(size) < least:
        raise ValueError(f"`{model}` needs images of at least {least}x{least}. {received} {way_out}")
    if most is not None and max(size) > most:
        raise ValueError(
            f"`{model}` takes images of {least}x{least} to {most}x{most}. {received} Try {most}x{most} ({SIZE})."
        )


def check_sequence_shape(model: str, input_shape: Sequence[int]) -> None:
    """Raise a `ValueError` unless `input_shape` is that of rows in the order of time."""
    if len(input_shape) != 2 or not all(is_count(size) for size in input_shape):
        raise ValueError(
            f"`{model}` takes sequences, (rows, channels). Received: input_shape={tuple(input_shape)}. "
            "Try (48, 1); a series is one by `dataset.series.window`."
        )


def check_depth(depth: int, step: int) -> None:
    """Raise a `ValueError` unless a network can have `depth` layers: two, and `step` more once or more often."""
    if not is_count(depth) or depth <= 2 or (depth - 2) % step:
        received = int(depth) if isinstance(depth, Real) and math.isfinite(depth) else step + 2
        below = max(received - (received - 2) % step, step + 2)
        raise ValueError(
            f"`depth` must be {step}n+2 with n at least 1. Received: depth={depth!r}. "
            f"Try {f'{below} or {below + step}' if below < received else below}."
        )


def check_patches(model: str, input_shape: Sequence[int], patch_size: int) -> None:
    """Raise a `ValueError` unless square patches of `patch_size` pixels cover the image and nothing is left over."""
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
    does: str = "halves images",
) -> None:
    """Raise a `ValueError` unless the input is an image that can be halved once for each of `filters`.

    Args:
        model: Name of the builder.
        input_shape: What it was given.
        filters: Those of each resolution.
        does: What the model does once for each of `filters`.
    """
    step = 2 ** len(filters)
    check_image_shape(model, input_shape, least=step)
    size = tuple(input_shape[:2])
    if any(pixels % step for pixels in size):
        larger = "x".join(str(-(-pixels // step) * step) for pixels in size)
        raise ValueError(
            f"`{model}` {does} {len(filters)} times: height and width must be multiples of {step}. "
            f"Received: input_shape={tuple(input_shape)}. Try {larger} ({SIZE})."
        )
