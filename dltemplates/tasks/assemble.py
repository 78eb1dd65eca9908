"""Join preprocessing, network and presentation into the models that are trained and served."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import keras

from dltemplates.compat import flatten_layers
from dltemplates.datasets.load import is_named
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.splitting.splits import VALIDATION_SHARE
from dltemplates.features import AnyFeature, Category, Feature, Image, Length, Number, Series, Tokens, WithStatistics
from dltemplates.layers import SequenceMask
from dltemplates.settings import AUTO
from dltemplates.tasks.serving.contract import Contract, ServingModel, Split
from dltemplates.tasks.serving.serving_examples import outputs_of
from dltemplates.template import Template

if TYPE_CHECKING:
    from dltemplates.tasks.task import SupervisedTask

PREPROCESSING = "preprocessing"
"""Name of the layer in front of the network."""

LATENT = "code"
"""Name of the latent vector in contracts; files exported earlier use it too."""


def assemble(network: keras.Model, spec: DatasetSpec, *, center: tuple[float, ...] | None = None) -> keras.Model:
    """Put the preprocessing in front of a network.

    Args:
        network: Network with float inputs: pixels in [0, 1], other numbers standardized.
        spec: The dataset's spec. Its inputs are one image of 0..255, the numbers and categories of a table, or
            sequences and their lengths.
        center: The value of each channel that maps to 0; None for black.

    Returns:
        The model to train, from raw inputs to the network's outputs; the network is one nested layer.
    """
    if isinstance(spec.inputs[-1], Length):
        return _assemble_padded(network, spec)
    shapes = {value.name: (None,) if isinstance(value, Tokens) else value.shape for value in spec.inputs}
    inputs = {value.name: keras.Input(shapes[value.name], name=value.name, dtype=value.dtype) for value in spec.inputs}
    parts = [part for value in spec.inputs for part in preprocess(value, inputs[value.name], center=center)]
    x = keras.layers.Concatenate(name="columns")(parts) if len(parts) > 1 else parts[0]
    model_inputs = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return keras.Model(model_inputs, network(x), name=network.name)


def _assemble_padded(network: keras.Model, spec: DatasetSpec) -> keras.Model:
    """Put standardization and a mask of the padding in front of a network for sequences of different lengths."""
    series, length = spec.inputs
    assert isinstance(series, Series)
    raw = keras.Input((None, *series.shape[1:]), name=series.name, dtype=series.dtype)
    steps = keras.Input((), name=length.name, dtype=length.dtype)
    x = SequenceMask(name=PREPROCESSING, dtype="float32")([standardize(series, raw, name="standardize"), steps])
    return keras.Model({series.name: raw, length.name: steps}, network(x), name=network.name)


@functools.singledispatch
def preprocess(feature: Feature, raw: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    """Apply the preprocessing layers of one input.

    Args:
        feature: The input.
        raw: Its raw values, a Keras tensor (batch, *shape).
        center: As for `assemble`, for images.

    Returns:
        Floats of similar scale; several tensors for categories, one per column.

    Raises:
        TypeError: If the kind has no registered layers.
    """
    raise TypeError(
        f"An input must be of a kind with preprocessing layers. Received: `{feature.name}` of kind `{feature.kind}`. "
        "Register its layers with `preprocess.register`."
    )


@preprocess.register
def _(feature: Image, raw: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    # A scale without an offset survives zero padding, so that integer exports can fold it into the first layer.
    offset: Any = [-part for part in center] if center else 0.0
    return [keras.layers.Rescaling(1 / feature.unit, offset=offset, name=PREPROCESSING, dtype="float32")(raw)]


@preprocess.register
def _(feature: Category, raw: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    return [
        keras.layers.Embedding(len(column.vocabulary) + 1, column.width, name=f"embedding_{index}")(raw[:, index])
        for index, column in enumerate(feature.columns or ())
    ]


@preprocess.register
def _(feature: Tokens, raw: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    return [raw]


@preprocess.register
def _(feature: WithStatistics, raw: Any, *, center: tuple[float, ...] | None = None) -> list[Any]:
    return [standardize(feature, raw)]


def standardize(feature: WithStatistics, raw: Any, *, name: str = PREPROCESSING) -> Any:
    """Standardize each column to mean 0 and standard deviation 1 over the training split."""
    mean, std = feature.mean or (), feature.std or ()
    scale = [1 / deviation for deviation in std]
    offset = [-average / deviation for average, deviation in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset=offset, name=name, dtype="float32")(raw)


@functools.singledispatch
def restore(feature: Feature, logits: Any, *, name: str) -> Any:
    """Convert a network's output to the target's own unit: the inverse of `preprocess`.

    Args:
        feature: The target.
        logits: A Keras tensor (batch, *shape).
        name: Name of the last layer.

    Raises:
        TypeError: If the kind has no registered layers.
    """
    raise TypeError(
        f"A target must be of a kind with restoring layers. Received: `{feature.name}` of kind `{feature.kind}`. "
        "Register its layers with `restore.register`."
    )


@restore.register
def _(feature: Image, logits: Any, *, name: str) -> Any:
    pixels = keras.layers.Activation("sigmoid", dtype="float32")(logits)  # 0..1
    return keras.layers.Rescaling(feature.unit, name=name, dtype="float32")(pixels)


@restore.register
def _(feature: WithStatistics, logits: Any, *, name: str) -> Any:
    return keras.layers.Rescaling(feature.std, offset=feature.mean, name=name, dtype="float32")(logits)


AUXILIARY = "auxiliary_"
"""Prefix of the names of auxiliary outputs, which help in training and are not served."""


def logits_of(outputs: Any) -> Any:
    """Return a network's outputs without the auxiliary ones: one tensor, or several by name."""
    if not isinstance(outputs, dict):
        return outputs
    main = {name: output for name, output in outputs.items() if not name.startswith(AUXILIARY)}
    return main if len(main) > 1 else next(iter(main.values()))


def auxiliary_of(outputs: Any) -> list[Any]:
    """Return the outputs of the auxiliary classifiers, in the order of their names."""
    names = sorted(outputs) if isinstance(outputs, dict) else []
    return [outputs[name] for name in names if name.startswith(AUXILIARY)]


def without_auxiliary(network: keras.Model) -> keras.Model:
    """Return the network to serve: the same layers without the auxiliary classifiers."""
    if not auxiliary_of(network.output):
        return network
    return keras.Model(network.input, logits_of(network.output), name=network.name)


def without_auxiliary_inside(model: keras.Model) -> keras.Model:
    """Apply `without_auxiliary` to the network nested in a model from `assemble`."""
    if not auxiliary_of(model.output):
        return model
    network = without_auxiliary(model.get_layer(model.name))
    return keras.Model(model.input, network(model.get_layer(PREPROCESSING).output), name=model.name)


def serve(
    model: keras.Model, task: SupervisedTask, spec: DatasetSpec, template: Template, *, name: str
) -> ServingModel:
    """Build the serving model of a trained model: raw inputs to presented outputs.

    Args:
        model: The trained model.
        task: Its task.
        spec: The spec of its training data.
        template: Its template.
        name: Name of the serving model.
    """
    output = task.output()
    model = without_auxiliary_inside(model)
    _without_cudnn(model)
    serving = keras.Model(model.input, {output.name: task.present(model.output)}, name=model.name)
    return ServingModel(serving, make_contract(spec, template, (output,), name=name))


def make_contract(spec: DatasetSpec, template: Template, outputs: tuple[AnyFeature, ...], *, name: str) -> Contract:
    """Write the contract of a serving model: its inputs, outputs and training data.

    Args:
        spec: The spec of its training data.
        template: Its template.
        outputs: Its outputs.
        name: Name of the serving model.
    """
    data = template.dataset
    if data.validation == AUTO:  # a file holds the share, which earlier versions read too
        share = VALIDATION_SHARE if spec.validation_share is None else spec.validation_share
        data = data.model_copy(update={"validation": share})
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
        encoding=spec.encoding,
    )


def _without_cudnn(model: keras.Model) -> None:
    """Turn off cuDNN in recurrent layers: its operations run on GPUs alone and cannot be converted."""
    for layer in flatten_layers(model):
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False


def serve_parts(whole: ServingModel, task: SupervisedTask) -> dict[str, ServingModel]:
    """Split a served autoencoder: raw inputs to the latent vector, and the latent vector to presented outputs.

    Args:
        whole: The served autoencoder; its network consists of an `encoder` and a `decoder`.
        task: Its task.
    """
    model, contract = whole.model, whole.contract
    network = model.get_layer(model.name)
    encoder, decoder = network.get_layer("encoder"), network.get_layer("decoder")
    encoded = encoder(model.get_layer(PREPROCESSING).output)
    latent = keras.Input(encoded.shape[1:], name=LATENT)
    presented = {task.output().name: task.present(decoder(latent))}
    parity = {"task": "parity", "task_options": {}, "targets": ()}
    feature = Number(name=LATENT, dtype="float32", shape=encoded.shape[1:])
    served_encoder = ServingModel(
        keras.Model(model.input, {LATENT: encoded}, name="encoder"),
        contract.model_copy(update={**parity, "name": f"{contract.name}-encoder", "outputs": (feature,)}),
        is_useful_alone=True,
    )
    served_decoder = ServingModel(
        keras.Model(latent, presented, name="decoder"),
        contract.model_copy(update={**parity, "name": f"{contract.name}-decoder", "inputs": (feature,), "data": None}),
        examples=outputs_of(served_encoder),
        is_useful_alone=True,
    )
    return {"encoder": served_encoder, "decoder": served_decoder}
