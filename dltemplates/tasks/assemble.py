"""Join preprocessing, network and presentation into the models that are trained and served."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import keras

from dltemplates.compat import flatten_layers
from dltemplates.datasets.load import is_named
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import AnyFeature, Category, Feature, Image, Number, WithStatistics
from dltemplates.tasks.serving.contract import Contract, ServingModel, Split
from dltemplates.tasks.serving.serving_examples import outputs_of
from dltemplates.template import Template

if TYPE_CHECKING:
    from dltemplates.tasks.task import SupervisedTask

PREPROCESSING = "preprocessing"
"""Name of the layer in front of the network."""


def assemble(network: keras.Model, spec: DatasetSpec, *, center: tuple[float, ...] | None = None) -> keras.Model:
    """Put the preprocessing in front of a network.

    Args:
        network: A network of floats: between 0 and 1 for pixels, around 0 and of about 1 for other numbers.
        spec: The dataset's spec, with one image of 0..255 as its input, or the numbers and categories of a table.
        center: What is 0 to the network, for each channel; None where that is black.

    Returns:
        The model that is trained: raw inputs to what the network gives; the network is one nested layer.
    """
    inputs = {value.name: keras.Input(value.shape, name=value.name, dtype=value.dtype) for value in spec.inputs}
    parts = [part for value in spec.inputs for part in preprocess(value, inputs[value.name], center=center)]
    x = keras.layers.Concatenate(name="columns")(parts) if len(parts) > 1 else parts[0]
    given = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return keras.Model(given, network(x), name=network.name)


@functools.singledispatch
def preprocess(feature: Feature, given: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    """Put the layers of one input in front of a network.

    Args:
        feature: The input.
        given: Its raw values, a Keras tensor (batch, *shape).
        center: As for `assemble`, for images.

    Returns:
        Floats of about one size; several tensors where they are the columns of a table.

    Raises:
        TypeError: If no layers are known for the kind.
    """
    raise TypeError(
        f"An input must be of a kind that networks take. Received: `{feature.name}` of kind `{feature.kind}`. "
        "Register its layers with `preprocess.register`."
    )


@preprocess.register
def _(feature: Image, given: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    # A scale without an offset survives zero padding, so that integer exports can fold it into the first layer.
    offset: Any = [-part for part in center] if center else 0.0
    return [keras.layers.Rescaling(1 / feature.unit, offset=offset, name=PREPROCESSING, dtype="float32")(given)]


@preprocess.register
def _(feature: Category, given: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    return [
        keras.layers.Embedding(len(column.vocabulary) + 1, column.width, name=f"embedding_{place}")(given[:, place])
        for place, column in enumerate(feature.columns or ())
    ]


@preprocess.register
def _(feature: WithStatistics, given: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    return [standardize(feature, given)]


def standardize(value: WithStatistics, given: Any) -> Any:
    """Numbers with mean 0 and deviation 1 over the training split, each column by its own."""
    mean, std = value.mean or (), value.std or ()
    scale = [1 / deviation for deviation in std]
    offset = [-average / deviation for average, deviation in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset=offset, name=PREPROCESSING, dtype="float32")(given)


@functools.singledispatch
def restore(feature: Feature, logits: Any, *, name: str) -> Any:
    """Turn what a network gives for a target into the target's own unit: the way back of `preprocess`.

    Args:
        feature: The target.
        logits: A Keras tensor (batch, *shape).
        name: Of the layer that gives the result.

    Raises:
        TypeError: If no layers are known for the kind.
    """
    raise TypeError(
        f"A target must be of a kind that networks give back. Received: `{feature.name}` of kind `{feature.kind}`. "
        "Register its layers with `restore.register`."
    )


@restore.register
def _(feature: Image, logits: Any, *, name: str) -> Any:
    shares = keras.layers.Activation("sigmoid", dtype="float32")(logits)
    return keras.layers.Rescaling(feature.unit, name=name, dtype="float32")(shares)


@restore.register
def _(feature: WithStatistics, logits: Any, *, name: str) -> Any:
    return keras.layers.Rescaling(feature.std, offset=feature.mean, name=name, dtype="float32")(logits)


AUXILIARY = "auxiliary_"
"""How the names of a network's auxiliary outputs begin: they help to train it, and are not served."""


def logits_of(outputs: Any) -> Any:
    """Return a network's outputs without the auxiliary ones: a tensor, or where several are left, those by name."""
    if not isinstance(outputs, dict):
        return outputs
    main = {name: output for name, output in outputs.items() if not name.startswith(AUXILIARY)}
    return main if len(main) > 1 else next(iter(main.values()))


def auxiliary_of(outputs: Any) -> list[Any]:
    """Return the outputs of the auxiliary classifiers, in the order of their names."""
    names = sorted(outputs) if isinstance(outputs, dict) else []
    return [outputs[name] for name in names if name.startswith(AUXILIARY)]


def without_auxiliary(network: keras.Model) -> keras.Model:
    """The network as it is served: the same layers, less those that lead to auxiliary classifiers alone."""
    if not auxiliary_of(network.output):
        return network
    return keras.Model(network.input, logits_of(network.output), name=network.name)


def without_auxiliary_inside(model: keras.Model) -> keras.Model:
    """The same for a model that `assemble` made: its network is nested in it."""
    if not auxiliary_of(model.output):
        return model
    network = without_auxiliary(model.get_layer(model.name))
    return keras.Model(model.input, network(model.get_layer(PREPROCESSING).output), name=model.name)


def serve(
    model: keras.Model, task: SupervisedTask, spec: DatasetSpec, template: Template, *, name: str
) -> ServingModel:
    """Make what is exported of a trained model: raw inputs in, presented outputs out.

    Args:
        model: The model that was trained.
        task: Its task.
        spec: The spec of the data it was trained on.
        template: What was trained.
        name: Name of the served model.
    """
    output = task.output()
    model = without_auxiliary_inside(model)
    _without_cudnn(model)
    serving = keras.Model(model.input, {output.name: task.present(model.output)}, name=model.name)
    return ServingModel(serving, make_contract(spec, template, (output,), name=name))


def make_contract(spec: DatasetSpec, template: Template, outputs: tuple[AnyFeature, ...], *, name: str) -> Contract:
    """Say what goes into a served model, what comes out, and what it was trained on.

    Args:
        spec: The spec of the data it was trained on.
        template: What was trained.
        outputs: What it gives.
        name: Name of the served model.
    """
    data = template.dataset
    is_known = is_named(data.name)
    return Contract(
        name=name,
        task=template.task.name,
        task_options=template.task.options,
        inputs=spec.inputs,
        outputs=outputs,
        targets=spec.targets,
        data=data if is_known else None,
        split=None if is_known else Split(validation=data.validation, test=data.test, split_seed=data.split_seed),
        reading_rules=spec.reading_rules,
    )


def _without_cudnn(model: keras.Model) -> None:
    """Let recurrent layers compute by plain operations: cuDNN's, which a GPU is given, run and convert nowhere else."""
    for layer in flatten_layers(model):
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False


def serve_parts(whole: ServingModel, task: SupervisedTask, *, code: str = "code") -> dict[str, ServingModel]:
    """Make the two halves of a served autoencoder: raw inputs to the code, and the code to presented outputs.

    Args:
        whole: The served autoencoder; its network is made of an `encoder` and a `decoder`.
        task: Its task.
        code: Name of the code.
    """
    model, contract = whole.model, whole.contract
    network = model.get_layer(model.name)
    encoder, decoder = network.get_layer("encoder"), network.get_layer("decoder")
    encoded = encoder(model.get_layer(PREPROCESSING).output)
    codes = keras.Input(encoded.shape[1:], name=code)
    presented = {task.output().name: task.present(decoder(codes))}
    parity = {"task": "parity", "task_options": {}, "targets": ()}
    value = Number(name=code, dtype="float32", shape=encoded.shape[1:])
    encoding = ServingModel(
        keras.Model(model.input, {code: encoded}, name="encoder"),
        contract.model_copy(update={**parity, "name": f"{contract.name}-encoder", "outputs": (value,)}),
        is_useful_alone=True,
    )
    decoding = ServingModel(
        keras.Model(codes, presented, name="decoder"),
        contract.model_copy(update={**parity, "name": f"{contract.name}-decoder", "inputs": (value,), "data": None}),
        examples=outputs_of(encoding),
        is_useful_alone=True,
    )
    return {"encoder": encoding, "decoder": decoding}
