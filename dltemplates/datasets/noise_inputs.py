"""The inputs of a generator: noise drawn from a seed or typed as numbers, and perhaps a class."""

from __future__ import annotations

from collections.abc import Sequence

from dltemplates.datasets.source import Arrays
from dltemplates.features import Feature, Noise, classes_of


def read_noise(text: str, values: Sequence[Feature]) -> Arrays:
    """Read a generator's inputs for one example.

    Args:
        text: A seed, such as `7`; or as many comma-separated numbers as the noise has. For a conditional generator, a
            class name may follow a colon: `7:zero`; without one, seeds cycle through the classes.
        values: The generator's inputs: the noise, and for a conditional generator the class.

    Returns:
        The inputs by name, each (1, ...).

    Raises:
        ValueError: If it is neither a seed nor the right count of numbers, or there is no such class.
    """
    noise, *others = values
    if not isinstance(noise, Noise):
        raise TypeError(f"A generator's first input must be noise. Received: `{noise.name}` of kind `{noise.kind}`.")
    noise_text, colon, name = text.partition(":")
    is_seed = noise_text.strip().isdecimal() and (noise.shape != (1,) or not colon)
    arrays = {noise.name: (noise.draw(int(noise_text)) if is_seed else noise.numbers(noise_text))[None]}
    for value in others:
        classes = classes_of(value)
        if not colon and not is_seed:
            raise ValueError(f"The generator needs a class. Received: {text!r}. Add one: {text}:{classes[0]}")
        arrays |= value.read(name if colon else classes[int(noise_text) % len(classes)])
    if colon and not others:
        raise ValueError(f"The generator takes no class. Received: {text!r}. Leave out the colon and what follows.")
    return arrays
