"""Representation: describe the input with hidden units, as a restricted Boltzmann machine (RBM) does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates.datasets.source import Source, batches_of
from dltemplates.datasets.spec import DatasetSpec, IOSpec
from dltemplates.features import Number
from dltemplates.tasks.model_signature import Shapes
from dltemplates.tasks.scoring.evaluation import Evaluation, System
from dltemplates.tasks.serving.contract import ServingModel
from dltemplates.tasks.stage_plan import ALGORITHMS, StagePlan, refuse_supervised_settings
from dltemplates.tasks.task import Arrays, Task
from dltemplates.template import Template

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

    from dltemplates.layers import RestrictedBoltzmann

GIBBS_STEPS = (0, 1, 10, 100, 1000)  # the steps at which a chain is drawn
CHAINS = 10


class Representation(Task):
    """Describe images with binary hidden units; `hidden`, float32 in [0, 1], holds their probabilities of being on."""

    name = "representation"
    kind = "any"
    input_kinds = ("image",)  # values between 0 and 1, such as pixels
    target_kinds = ()
    needs_target = False
    direction = "min"
    monitor = "val_loss"
    monitor_direction = "min"

    def __init__(self, spec: IOSpec, *, gibbs_steps: int = 1, persistent: bool = False):
        """Create the task.

        Args:
            spec: The data; its targets are not used.
            gibbs_steps: Steps of Gibbs sampling per update, 1 to 25; the k of CD-k.
            persistent: Whether the chains continue from update to update. Otherwise each starts at an example.

        Raises:
            ValueError: If an option is out of range.
        """
        if not isinstance(gibbs_steps, int) or isinstance(gibbs_steps, bool) or not 1 <= gibbs_steps <= 25:
            raise ValueError(f"`gibbs_steps` must be an integer of 1 to 25. Received: {gibbs_steps!r}. Try 1.")
        if not isinstance(persistent, bool):
            raise ValueError(f"`persistent` must be true or false. Received: {persistent!r}. Leave it out.")
        self.inputs = spec.inputs
        self.gibbs_steps, self.persistent = gibbs_steps, persistent

    def batch(self, example: dict[str, Any], *, training: bool) -> tuple[Any, Any, Any]:
        return self.model_inputs(example), (), None

    def stages(self, model: keras.Model, template: Template) -> list[StagePlan]:
        refuse_supervised_settings(template)
        options = {
            "machine": "hidden",
            "gibbs_steps": self.gibbs_steps,
            "weight_decay": template.train.weight_decay,
            "persistent": self.persistent,
        }
        algorithm = f"{ALGORITHMS}.contrastive_divergence:ContrastiveDivergence"
        return [StagePlan(algorithm, template.train.epochs, options)]

    def model_sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {"input_shape": spec.inputs[0].shape}

    def model_signature(self, spec: DatasetSpec) -> dict[str, Shapes]:
        return {"": Shapes(spec.inputs[0].shape), "hidden": Shapes()}

    def serve(self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str) -> dict[str, ServingModel]:
        import keras

        from dltemplates.tasks.assemble import make_contract

        hidden = Number(name="hidden", dtype="float32", shape=model.output_shape[1:], range=(0, 1))
        served = keras.Model(model.input, {"hidden": model.output}, name=model.name)
        contract = make_contract(spec.model_copy(update={"targets": ()}), template, (hidden,), name=name)
        return {"": ServingModel(served, contract)}

    def model_figures(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        """Draw the weights of each hidden unit, and Gibbs chains from examples and from noise."""
        from dltemplates.figures.outcomes import chains_figure, filters_figure
        from dltemplates.models.generative.rbm import gibbs_sample

        image = servings[""].contract.inputs[0]
        machine = _machine(servings[""].model)

        def chain(start: np.ndarray) -> np.ndarray:
            images = gibbs_sample(machine, start.reshape(len(start), -1), GIBBS_STEPS, seed=0)
            return 255 * images.reshape(len(start), len(GIBBS_STEPS), *image.shape)

        filters = np.asarray(machine.kernel).T.reshape(-1, *image.shape)
        examples = source.read(np.arange(min(CHAINS, len(source))))[image.name] / 255
        noise = np.random.default_rng(0).integers(0, 2, (CHAINS, *image.shape))
        chains = {"from examples": chain(examples), "from noise": chain(noise)}
        return {"hidden_units": filters_figure(filters), "dreams": chains_figure(chains, GIBBS_STEPS)}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score `mean_activation`; in Keras also `loss`, the squared error after one Gibbs step, and `free_energy`."""
        evaluation = super().evaluate(system, source)
        if system.model is None:
            return evaluation
        return replace(evaluation, scores=self._errors(system.model, source) | evaluation.scores)

    def _errors(self, model: keras.Model, source: Source) -> dict[str, float]:
        machine, (image,) = _machine(model), model.inputs
        sums = np.zeros(2)
        for arrays in batches_of(source):
            visible = arrays[image.name].reshape(len(arrays[image.name]), -1).astype(np.float32) / 255
            errors = np.square(visible - np.asarray(machine.visible(machine.hidden(visible)))).mean(axis=1)
            sums += errors.sum(), np.asarray(machine.free_energy(visible), np.float64).sum()
        loss, energy = sums / len(source)
        return {"loss": float(loss), "free_energy": float(energy)}

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        scores = {"mean_activation": float(outputs["hidden"].mean())}
        return Evaluation(scores, targets, outputs, is_gate=False)


def _machine(model: keras.Model) -> RestrictedBoltzmann:
    return model.get_layer(model.name).get_layer("hidden")
