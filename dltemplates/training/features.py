"""A stage that trains the last layers of a network on features, which its frozen layers compute once.

The frozen layers see each example once, without augmentation, and with the statistics of batch normalization that they
were pretrained with. So an epoch of the last layers takes milliseconds, where the frozen layers take minutes.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from dltemplates.compat import flatten_layers, graph_nodes
from dltemplates.datasets.pipeline import TrainingOrder, evaluation_batches
from dltemplates.datasets.source import Arrays, ArraySource, Dataset
from dltemplates.datasets.storage.cache import Stored, hold_arrays, write_arrays
from dltemplates.datasets.storage.locate import cache_folder
from dltemplates.features import Number
from dltemplates.models.split import Part, layers_before, layers_of
from dltemplates.models.weights import set_weights
from dltemplates.tasks.assemble import without_auxiliary
from dltemplates.training.algorithms.algorithm import Algorithm
from dltemplates.training.data import TrainingData
from dltemplates.training.stages import DatasetStage, Tick, no_tick
from dltemplates.training.strategy import Distribution

FEATURE_BATCH = 32  # examples per call of the frozen layers
MAX_MEMORY_BYTES = 2**28  # features of a split in memory; larger ones are mapped from a file in the cache folder
SPLITS = ("train", "validation")
Compute: TypeAlias = tf.types.experimental.PolymorphicFunction  # from inputs (n, ...) to features (n, ...)
DESCRIPTIONS = {
    "head": "the head on the features of frozen layers",
    "last_blocks": "the last blocks on the features of frozen layers",
}


class FeatureStage(DatasetStage):
    """A stage that trains the last layers of a model on the outputs of the frozen layers before them.

    Its weights may be those of the run even if another stage follows: both have the same loss.

    Attributes:
        part: The last layers.
        compute: Function from the inputs (n, ...) to the features (n, ...).
    """

    keeps_weights = True

    def __init__(
        self,
        algorithm: Algorithm,
        data: TrainingData,
        order: TrainingOrder,
        distribution: Distribution,
        *,
        model: keras.Model,
        definition: keras.Model,
        part: Part,
        steps: int,
        epochs_per_validation: int = 1,
    ):
        """Prepare the stage.

        Args:
            algorithm: The algorithm, on the last layers alone.
            data: The batches of examples.
            order: The order of the training examples.
            distribution: The devices.
            model: The whole model, to save and export.
            definition: A model in float32, with the same weights in the frozen layers.
            part: The last layers.
            steps: Number of steps.
            epochs_per_validation: Number of epochs from one validation to the next.
        """
        super().__init__(algorithm, data, order, distribution, steps=steps, epochs_per_validation=epochs_per_validation)
        self.model = model
        self.part = part
        self.compute = frozen_layers(definition, part)
        self._definition = definition

    @property
    def variables(self) -> dict[str, list[Any]]:
        return super().variables | {"model": self.model.variables}

    @property
    def description(self) -> str:
        return DESCRIPTIONS[self.part]

    def open(self, step: int, tick: Tick = no_tick) -> None:
        # A resumed model has the weights of its checkpoint, even if those in `model.weights` changed since.
        set_weights(self._definition, self.model.get_weights())
        self.data = with_features(self.data, self.compute, tick)
        super().open(step, tick)


def last_layers(model: keras.Model, part: Part) -> keras.Model:
    """Return the layers of an assembled model to train; batch normalization in them stays as it is."""
    rest = layers_of(without_auxiliary(model.get_layer(model.name)), part)
    for layer in flatten_layers(rest):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return rest


def frozen_layers(model: keras.Model, part: Part) -> Compute:
    """Return the function from the inputs of an assembled model (n, ...) to the features for its last layers."""
    network = model.get_layer(model.name)
    body = layers_before(without_auxiliary(network), part)
    ((inputs,),) = [inputs for operation, inputs, _ in graph_nodes(model) if operation is network]
    preprocessing = keras.Model(model.input, inputs)
    return tf.function(lambda raw: body(preprocessing(raw, training=False), training=False))


def with_features(data: TrainingData, compute: Compute, tick: Tick = no_tick) -> TrainingData:
    """Return the same training and validation examples, with features in place of the inputs.

    Args:
        data: The batches of examples; its task has one input.
        compute: Function from inputs (n, ...) to features (n, ...).
        tick: Called after each batch.
    """
    spec = data.dataset.spec
    name = spec.inputs[0].name
    total = sum(len(data.dataset.split(split)) for split in SPLITS)
    sources, done = {}, 0
    for split in SPLITS:
        sources[split] = _source_of(data, split, compute, lambda count: tick(count, total), done)
        done += len(data.dataset.split(split))
    shape = sources["train"].arrays[name].shape[1:]
    features = Number(name=name, dtype="float32", shape=shape)
    dataset = Dataset(spec.model_copy(update={"inputs": (features,)}), dict(sources))
    return dataclasses.replace(data, dataset=dataset)


def _source_of(data: TrainingData, split: str, compute: Compute, tick: Callable[[int], None], done: int) -> ArraySource:
    """Compute the features of a split."""
    source, spec = data.dataset.split(split), data.dataset.spec
    name, examples = spec.inputs[0].name, len(source)

    def batch(example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        return data.task.model_inputs(example), {value.name: example[value.name] for value in spec.targets}, None

    batches = evaluation_batches(source, spec, batch_size=FEATURE_BATCH, batch=batch)
    inputs, targets, _ = batches.element_spec
    shape = compute.get_concrete_function(inputs).output_shapes[1:]

    def computed() -> Iterator[Arrays]:
        start = 0
        tick(done)
        for inputs, targets, _ in batches:
            count = min(len(inputs), examples - start)  # copies of the last example fill up the last batch
            arrays = {name: compute(inputs), **targets}
            yield {key: np.asarray(array)[:count] for key, array in arrays.items()}
            start += count
            tick(done + start)

    layout = {name: Stored("float32", tuple(shape))}
    layout |= {key: Stored(value.dtype.name, tuple(value.shape[1:])) for key, value in targets.items()}
    if 4 * math.prod(shape) * examples <= MAX_MEMORY_BYTES:
        return hold_arrays(layout, computed(), examples)
    path = cache_folder() / "features" / uuid.uuid4().hex
    return write_arrays(path, layout, computed(), examples=examples, is_kept=lambda: False)
