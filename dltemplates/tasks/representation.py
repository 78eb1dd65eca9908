"""Hidden units that stand for what is shown: what restricted Boltzmann machines are trained for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates.datasets.source import Source, batches_of
from dltemplates.datasets.spec import DatasetSpec, Like
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

TURNS = (0, 1, 10, 100, 1000)  # after so many, a chain is drawn
CHAINS = 10


class Representation(Task):
    """Explain images by hidden units that are on or off; `hidden`, float32 between 0 and 1, says how likely each is."""

    name = "representation"
    kind = "any"
    input_kinds = ("image",)  # values between 0 and 1, such as pixels
    target_kinds = ()
    needs_target = False
    direction = "min"
    monitor = "val_loss"
    monitor_direction = "min"

    def __init__(self, spec: Like, *, gibbs_steps: int = 1, persistent: bool = False):
        """Make the task.

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

    def sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {"input_shape": spec.inputs[0].shape}

    def needs(self, spec: DatasetSpec) -> dict[str, Shapes]:
        return {"": Shapes(spec.inputs[0].shape), "hidden": Shapes()}

    def serving(
        self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str
    ) -> dict[str, ServingModel]:
        import keras

        from dltemplates.tasks.assemble import make_contract

        value = Number(name="hidden", dtype="float32", shape=model.output_shape[1:], range=(0, 1))
        served = keras.Model(model.input, {"hidden": model.output}, name=model.name)
        contract = make_contract(spec.model_copy(update={"targets": ()}), template, (value,), name=name)
        return {"": ServingModel(served, contract)}

    def gallery(self, servings: dict[str, ServingModel], source: Source) -> dict[str, Figure]:
        """Draw what each hidden unit looks for, and chains that begin at examples and at noise."""
        from dltemplates.figures.outcomes import chains_figure, filters_figure
        from dltemplates.models.generative.rbm import gibbs_sample

        image = servings[""].contract.inputs[0]
        machine = _machine(servings[""].model)

        def dreams(begun: np.ndarray) -> np.ndarray:
            seen = gibbs_sample(machine, begun.reshape(len(begun), -1), TURNS, seed=0)
            return 255 * seen.reshape(len(begun), len(TURNS), *image.shape)

        filters = np.asarray(machine.kernel).T.reshape(-1, *image.shape)
        examples = source.read(np.arange(min(CHAINS, len(source))))[image.name] / 255
        noise = np.random.default_rng(0).integers(0, 2, (CHAINS, *image.shape))
        chains = {"from examples": dreams(examples), "from noise": dreams(noise)}
        return {"hidden_units": filters_figure(filters), "dreams": chains_figure(chains, TURNS)}

    def evaluate(self, system: System, source: Source) -> Evaluation:
        """Score `share_on`; in Keras also `loss`, the squared error after one Gibbs step, and `free_energy`."""
        evaluation = super().evaluate(system, source)
        if system.model is None:
            return evaluation
        return replace(evaluation, scores=self._errors(system.model, source) | evaluation.scores)

    def _errors(self, model: keras.Model, source: Source) -> dict[str, float]:
        machine, (image,) = _machine(model), model.inputs
        sums = np.zeros(2)
        for arrays in batches_of(source):
            shown = arrays[image.name].reshape(len(arrays[image.name]), -1).astype(np.float32) / 255
            errors = np.square(shown - np.asarray(machine.visible(machine.hidden(shown)))).mean(axis=1)
            sums += errors.sum(), np.asarray(machine.free_energy(shown), np.float64).sum()
        loss, energy = sums / len(source)
        return {"loss": float(loss), "free_energy": float(energy)}

    def compare(self, targets: Arrays, outputs: Arrays) -> Evaluation:
        scores = {"share_on": float(outputs["hidden"].mean())}
        return Evaluation(scores, targets, outputs, is_gate=False)


def _machine(model: keras.Model) -> RestrictedBoltzmann:
    return model.get_layer(model.name).get_layer("hidden")
