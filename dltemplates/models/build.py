"""Build a network from the catalog or a user's module, with the sizes and options of a template."""

import difflib
import inspect
from typing import Any, get_type_hints

import keras
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from dltemplates import catalog
from dltemplates.errors import out_of_memory
from dltemplates.models.recursion import LIMIT, deep_networks
from dltemplates.upgrade import RENAMED_KEYS

SIZES = ("input_shape", "num_outputs", "vocabulary_size", "sequence_length", "horizon", "channels")
"""The sizes that a builder may take by name, from a task and its data or from the user."""


@deep_networks()
def build_network(name: str, sizes: dict[str, Any], options: dict[str, Any]) -> keras.Model:
    """Call a builder with the sizes that it takes and the given options.

    Args:
        name: A model of the catalog, or the user's own `package.module:function`.
        sizes: Sizes from the task and the data, such as `input_shape` and `num_outputs`. Sizes that the builder does
            not take are left out.
        options: The builder's own keywords.

    Returns:
        The network, with fresh weights.

    Raises:
        ValueError: If there is no such model, a size is missing, an option is unknown or has the wrong type or value,
            the network is too deep, or the user's function returns no Keras model.
    """
    builder = catalog.load("model", name)
    if not callable(builder):
        raise ValueError(f"A model of your own is a function. Received: {name!r}, a {type(builder).__name__}.")
    parameters = inspect.signature(builder).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = {
        parameter.name: parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    _check_fixed(name, options)
    _check_options(name, options, [key for key in named if key not in sizes and key != "name"], takes_any)
    for key, parameter in named.items():
        if parameter.default is parameter.empty and key not in sizes and key not in options:
            raise ValueError(
                f"Model `{name}` needs the size `{key}`, which this task and data do not give. "
                f"Received: {', '.join(sizes) or 'no sizes'}. Choose a model that fits the task: `dlt list models`; "
                "`dlt build` takes --input-shape, --classes (num_outputs) and --size NAME=VALUE."
            )
    arguments = {key: value for key, value in sizes.items() if key in named} | _converted(name, builder, options)
    try:
        network = builder(**arguments)
    except RecursionError as error:
        received = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        raise ValueError(
            f"A network must be shallow enough for Keras to walk it in {LIMIT:,} nested calls. "
            f"Received: {name} with {received}, which takes more. Put fewer layers in a row."
        ) from error
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError) and "Received:" in str(error) and "\n" not in str(error):
            raise  # the builder's own error; the others are Keras's
        received = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"Model `{name}` cannot be built with these arguments: {reason}. Received: {received}. "
            f"`dlt show {name}` lists the options."
        ) from error
    except out_of_memory() as error:
        received = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ValueError(
            f"The weights of a network must fit into memory. Received: {name} with {received}, for which there is not "
            "enough. Take smaller inputs, or a smaller width or fewer units."
        ) from error
    if not isinstance(network, keras.Model):
        raise ValueError(
            f"A model of your own is a function that returns a `keras.Model`. "
            f"Received: {name!r}, which returned a {type(network).__name__}. End it with `return keras.Model(...)`."
        )
    return network


def _check_fixed(name: str, options: dict[str, Any]) -> None:
    """Raise a `ValueError` for an option that the catalog fixes: it names the models whose option it is."""
    entry = catalog.MODELS.get(name)
    if entry is None or not (fixed := options.keys() & entry.options.keys()):
        return
    key = min(fixed)
    family = {other: it.options for other, it in catalog.MODELS.items() if it.target == entry.target}
    free = [other for other, of_other in family.items() if key not in of_other]
    others = " or ".join(free or [other for other in family if other != name])
    raise ValueError(
        f"`{key}` of model `{name}` is always {entry.options[key]!r}. Received: {key}={options[key]!r}. "
        f"{f'Set it on {others}' if free else f'Try {others}'}."
    )


def _check_options(name: str, options: dict[str, Any], known: list[str], takes_any: bool) -> None:
    for key in options:
        if key not in known and not takes_any:
            now = RENAMED_KEYS.get(f"model.{key}", "").removeprefix("model.")
            if now in known:
                raise ValueError(f"`{key}` of model `{name}` is now `{now}`. Received: {options[key]!r}. Set `{now}`.")
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}? " if near else ""
            every = f"Its options: {', '.join(known)}." if known else "It has no options."
            raise ValueError(f"Unknown option of model `{name}`. Received: {key}={options[key]!r}. {hint}{every}")


def _converted(name: str, builder: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, each converted to the type of its annotation if it has one."""
    try:
        hints = get_type_hints(builder)
    except (NameError, TypeError):  # a user's annotations that cannot be resolved: pass the options on as they are
        hints = {}
    converted = dict(options)
    for key in options.keys() & hints.keys():
        try:
            converted[key] = TypeAdapter(hints[key]).validate_python(options[key])
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            rule = "input should be a list, such as [64, 32]" if found["type"] == "sequence_str" else found["msg"]
            raise ValueError(
                f"Option `{key}` of model `{name}`: {rule[0].lower()}{rule[1:]}. Received: {key}={options[key]!r}. "
                f"`dlt show {name}` lists the options."
            ) from None
        except (PydanticSchemaGenerationError, PydanticUserError):
            continue  # pydantic does not know the type
    return converted
