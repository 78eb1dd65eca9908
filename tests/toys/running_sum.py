"""An encoder and a decoder with one call per step: four numbers in, their running sums out, one number a call.

There is no whole network to export: the encoder returns a state; the step takes a state and the previous number, and
returns the next number and the next state.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from dltemplates.datasets.features import number_value
from dltemplates.datasets.source import Arrays, Dataset, Mapped, Source
from dltemplates.datasets.tables.source import number_table
from dltemplates.features import Feature, Number
from dltemplates.runtimes import KerasPredictor
from dltemplates.tasks.assemble import make_contract, standardize
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.serving.contract import ServingModel, State, SystemContract
from dltemplates.tasks.task import SupervisedTask

LENGTH, UNITS, BATCH = 4, 8, 64


def dataset(settings) -> Dataset:
    """Return rows of four real numbers (irises, in centimetres), and their running sums."""
    from sklearn.datasets import load_iris

    rows = load_iris().data.astype(np.float32)[np.random.default_rng(0).permutation(150)]
    parts = {"train": rows[:90], "validation": rows[90:120], "test": rows[120:]}
    splits = {name: (part, np.cumsum(part, axis=1)) for name, part in parts.items()}
    return number_table([f"n{i}" for i in range(LENGTH)], splits, number_value(LENGTH))


def network(input_shape, num_outputs, *, name="network") -> keras.Model:
    """Return encoder and step as trained: the previous number is the true one."""
    features = keras.Input(input_shape, name="features")
    encoder = keras.Model(features, layers.Dense(UNITS, activation="tanh", name="code")(features), name="encoder")
    before, state = keras.Input((1,), name="before"), keras.Input((UNITS,), name="state")
    x = layers.Dense(16, activation="relu")(layers.Concatenate()([before, state]))
    step = keras.Model(
        [before, state],
        {"value": layers.Dense(1)(x), "next_state": layers.Dense(UNITS, activation="tanh")(x)},
        name="step",
    )
    previous = keras.Input((num_outputs,), name="previous")
    code, outputs = encoder(features), []
    for place in range(num_outputs):
        stepped = step([previous[:, place : place + 1], code])
        outputs.append(stepped["value"])
        code = stepped["next_state"]
    return keras.Model({"features": features, "previous": previous}, layers.Concatenate()(outputs), name=name)


class RunningSum(SupervisedTask):
    """Predict the running sums of four numbers, one after the other."""

    name = "running_sum"
    kind = "number"
    input_kinds = ("number",)
    direction = "min"
    budget = "0.05"  # centimetres
    monitor = "val_loss"
    monitor_direction = "min"

    def model_sizes(self, spec):
        return {"input_shape": spec.inputs[0].shape, "num_outputs": LENGTH}

    def loss(self):
        return keras.losses.MeanSquaredError()

    def metrics(self):
        return []

    def encode(self, target):
        return (target - np.array(self.target.mean, np.float32)) / np.array(self.target.std, np.float32)

    def batch(self, example: dict[str, Any], *, training: bool):
        target = self.encode(example[self.target.name])
        previous = keras.ops.pad(target[:, :-1], [[0, 0], [1, 0]])
        return {"features": example["features"], "previous": previous}, target[..., None], keras.ops.ones_like(target)

    def assemble(self, network, spec, *, center=None):
        features = keras.Input(spec.inputs[0].shape, name="features")
        previous = keras.Input((LENGTH,), name="previous")
        outputs = network({"features": standardize(spec.inputs[0], features), "previous": previous})
        outputs = layers.Reshape((LENGTH, 1))(outputs)  # one weight for each number
        return keras.Model({"features": features, "previous": previous}, outputs, name=network.name)

    def serve(self, model, spec, template, *, name):
        network = model.get_layer(model.name)
        encoder, step = network.get_layer("encoder"), network.get_layer("step")
        features = keras.Input(spec.inputs[0].shape, name="features")
        state = Number(name="state", dtype="float32", shape=(UNITS,), range=(-1, 1))
        before = Number(name="before", dtype="float32", shape=(1,))
        outputs = (before.model_copy(update={"name": "value"}), state.model_copy(update={"name": "next_state"}))
        sums = self.target.model_copy(update={"name": "sums"})
        whole = make_contract(spec, template, (sums,), name=name)
        system = SystemContract(
            task=whole.task, task_options=whole.task_options, inputs=spec.inputs, outputs=(sums,), targets=spec.targets
        )
        parity = {"task": "parity", "task_options": {}, "targets": (), "system": system}
        encoding = ServingModel(
            keras.Model(features, {"state": encoder(standardize(spec.inputs[0], features))}, name="encoder"),
            whole.model_copy(update={**parity, "name": f"{name}-encoder", "outputs": (state,)}),
        )
        tensors = {"before": keras.Input((1,), name="before"), "state": keras.Input((UNITS,), name="state")}
        contract = whole.model_copy(
            update={
                **parity,
                "name": f"{name}-step",
                "inputs": (before, state),
                "outputs": outputs,
                "state": (State(input="state", output="next_state"), State(input="before", output="value")),
            }
        )
        stepping = keras.Model(tensors, dict(step([tensors["before"], tensors["state"]])), name="step")
        predictors = {"encoder": KerasPredictor(encoding.model, encoding.contract)}
        predictors["step"] = KerasPredictor(stepping, contract)

        def states_that_occurred(split: str, source: Source) -> Source:
            def walk(arrays: Arrays, indices: np.ndarray) -> Arrays:
                before, state, _ = self._walk(System(predictors), arrays["features"], indices % LENGTH)
                return {"before": before, "state": state}

            return Mapped(source, walk)

        return {"encoder": encoding, "step": ServingModel(stepping, contract, examples=states_that_occurred)}

    def _walk(self, system: System, features: np.ndarray, turns: np.ndarray):
        """Call the step as often as `turns` (n,) says; return its next inputs, and all values."""
        state = system.parts["encoder"]({"features": features})["state"]
        before, values = np.zeros((len(features), 1), np.float32), []
        for turn in range(LENGTH):
            stepped = system.parts["step"]({"before": before, "state": state})
            goes_on = (turn < turns)[:, None]
            before, state = np.where(goes_on, stepped["value"], before), np.where(goes_on, stepped["next_state"], state)
            values.append(stepped["value"])
        return before, state, np.concatenate(values, axis=1)

    def predict(self, system: System, inputs: Arrays) -> Arrays:
        _, _, values = self._walk(system, inputs["features"], np.full(len(inputs["features"]), LENGTH))
        return {"sums": values * np.array(self.target.std) + np.array(self.target.mean)}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        arrays = source.read(np.arange(len(source)))
        return self.compare(arrays, self.predict(system, {"features": arrays["features"]}))

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        errors = np.abs(outputs["sums"] - targets[self.target.name]).mean(axis=1)
        return Evaluation({"mae": float(errors.mean())}, targets, outputs, errors=errors)

    def present(self, logits):
        raise NotImplementedError("there is no whole network to present")

    def output(self) -> Feature:
        return self.target

    @property
    def labels(self):
        return None
