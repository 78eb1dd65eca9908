"""Noise that something is made of: drawn of a seed, the same numbers wherever and whenever, or typed."""

from __future__ import annotations

from collections.abc import Sequence

from dltemplates.datasets.source import Arrays
from dltemplates.features import Feature, Noise, classes_of


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
    if not isinstance(noise, Noise):
        raise TypeError(f"A generator's first input must be noise. Received: `{noise.name}` of kind `{noise.kind}`.")
    given, colon, name = text.partition(":")
    is_seed = given.strip().isdecimal() and (noise.shape != (1,) or not colon)
    arrays = {noise.name: (noise.draw(int(given)) if is_seed else noise.numbers(given))[None]}
    for value in others:
        classes = classes_of(value)
        if not colon and not is_seed:
            raise ValueError(f"The generator must be told a class. Received: {text!r}. Add one: {text}:{classes[0]}")
        arrays |= value.read(name if colon else classes[int(given) % len(classes)])
    if colon and not others:
        raise ValueError(f"The generator is not told a class. Received: {text!r}. Leave out what follows the colon.")
    return arrays
