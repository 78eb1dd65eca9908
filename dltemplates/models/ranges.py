"""Ranges of a builder's arguments: they stand in its annotations, and `checked` checks them at each call.

A range holds for one argument. Relations between arguments, and the least size of an image, are in `checks.py`.
"""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Range:
    """A rule for the value of one argument.

    Attributes:
        holds: Returns whether a value follows the rule.
        rule: The rule, the words after "must".
        way_out: A sentence with a valid value; `{name}` and `{default}` are the argument's.
    """

    holds: Callable[[Any], bool]
    rule: str
    way_out: str = "Try `{name}={default}`."


def is_count(value: object) -> bool:
    """Return whether a value is a positive integer, NumPy's included."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _are_counts(values: Sequence[object]) -> bool:
    return len(values) > 0 and all(map(is_count, values))


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


_COUNTS = "be one or more positive integers"
_IN_0_1 = "lie in [0, 1)"
_NO_DROPOUT = "Try 0.5, or 0 for no dropout."

Shape = Annotated[
    tuple[int, ...],
    Range(_are_counts, _COUNTS, "Try `{name}=(28, 28, 1)` for images, `{name}=(13,)` for rows of 13 numbers."),
]
NumOutputs = Annotated[
    int, Range(is_count, "be a positive number of classes or values", "Count the classes that the data has.")
]
Horizon = Annotated[int, Range(is_count, "be a positive number of steps to forecast", "Try `{name}=12`.")]
VocabularySize = Annotated[
    int,
    Range(is_count, "be a positive number of token ids", "Count the tokens that the data has, and four special ones."),
]
SequenceLength = Annotated[int, Range(is_count, "be a positive number of tokens", "Try `{name}=128`.")]
Count = Annotated[int, Range(is_count, "be a positive integer")]
Counts = Annotated[Sequence[int], Range(_are_counts, _COUNTS)]
Share = Annotated[float, Range(_is_share, _IN_0_1, _NO_DROPOUT)]
Shares = Annotated[Sequence[float], Range(lambda values: all(map(_is_share, values)), _IN_0_1, _NO_DROPOUT)]
Multiplier = Annotated[
    float,
    Range(
        lambda value: _is_number(value) and value > 0,
        "be a positive number",
        "Try `{name}=1.0`, the paper's network, or 0.5 for half of it.",
    ),
]
NonNegative = Annotated[float, Range(lambda value: _is_number(value) and value >= 0, "be at least 0")]


def checked(builder: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a builder by its annotations, `Annotated[..., Range(...)]` or `Literal[...]`.

    Returns:
        The builder; it raises a `ValueError` for a value out of range.
    """
    signature = inspect.signature(builder)
    ranges = {name: _range_of(hint) for name, hint in get_type_hints(builder, include_extras=True).items()}

    @functools.wraps(builder)
    def build(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            rule = ranges.get(name)
            if rule and not rule.holds(value):
                default = signature.parameters[name].default
                written = list(default) if isinstance(default, tuple) else default
                way_out = rule.way_out.format(name=name, default=repr(written))
                raise ValueError(f"`{name}` must {rule.rule}. Received: {name}={value!r}. {way_out}")
        return builder(*args, **kwargs)

    return build


def _range_of(hint: Any) -> Range | None:
    """Return the range in an annotation; `Share | None` takes None too."""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return Range(lambda value: value in choices, f"be one of {', '.join(map(repr, choices))}")
    if NoneType in get_args(hint):
        inner = next(part for part in get_args(hint) if part is not NoneType)
        rule = _range_of(inner)
        return rule and Range(lambda value: value is None or rule.holds(value), rule.rule, rule.way_out)
    return next((part for part in get_args(hint) if isinstance(part, Range)), None)
