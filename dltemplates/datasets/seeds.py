"""Noise that something is made of: drawn of a seed, the same numbers wherever and whenever, or typed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dltemplates.datasets.source import Arrays
from dltemplates.features import Feature, classes_of


def draw(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draw standard normal numbers of a seed: float32 of `shape`, by NumPy, so that every runtime gets the same."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def read_noise(text: str, values: Sequence[Feature]) -> Arrays:
    """Read what a generator is to make one example of.

    Args:
        text: A seed, such as `7`; or as many numbers as the noise has, with commas in between. Where the generator is
            told a class, its name may follow a colon: `7:zero`; a seed without one takes the classes in turn.
        values: The generator's inputs: the noise, and of one that is told a class, that.

    Returns:
        The inputs by name, each (1, ...).

    Raises:
        ValueError: If it is neither, the numbers are too many or too few, or there is no such class.
    """
    noise, *others = values
    given, colon, name = text.partition(":")
    is_seed = given.strip().isdecimal() and (noise.shape != (1,) or not colon)
    arrays = {noise.name: draw(int(given), noise.shape) if is_seed else _numbers(given, noise)}
    for value in others:
        if not colon and not is_seed:
            raise ValueError(
                f"The generator must be told a class. Received: {text!r}. Add one: {text}:{classes_of(value)[0]}"
            )
        chosen = _class(name, value) if colon else int(given) % len(classes_of(value))
        arrays[value.name] = np.array(chosen, value.dtype)
    if colon and not others:
        raise ValueError(f"The generator is not told a class. Received: {text!r}. Leave out what follows the colon.")
    return {name: array[None] for name, array in arrays.items()}


def _numbers(text: str, noise: Feature) -> np.ndarray:
    count = int(np.prod(noise.shape))
    cells = text.split(",")
    try:
        numbers = np.array([float(cell) for cell in cells], np.float32)
    except ValueError:
        raise ValueError(
            f"`{noise.name}` must be a seed, or {count} numbers. Received: {text!r}. Try a seed such as 0."
        ) from None
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(
            f"`{noise.name}` must be {count} finite numbers, with commas in between. Received: {len(numbers)} of them, "
            f"{text!r}. Give as many, or a seed such as 0."
        )
    return numbers.reshape(noise.shape)


def _class(name: str, value: Feature) -> int:
    classes = classes_of(value)
    if name not in classes:
        raise ValueError(
            f"`{value.name}` must be one of {', '.join(classes[:20])}{', ...' if len(classes) > 20 else ''}. "
            f"Received: {name!r}. Choose one of them."
        )
    return classes.index(name)
