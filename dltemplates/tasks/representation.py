"""Hidden units that stand for what is shown: what restricted Boltzmann machines are trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dltemplates.datasets.spec import DatasetSpec, Value, network_shape
from dltemplates.tasks.task import Arrays, Task

if TYPE_CHECKING:
    import keras

    from dltemplates.tasks.contract import ServingModel
    from dltemplates.template import Template


class Representation(Task):
    """Explain images by hidden units that are on or off; `hidden`, float32 between 0 and 1, says how likely each is."""

    name = "representation"
    kind = "any"
    direction = "min"
    monitor = "val_loss"
    monitor_direction = "min"
    by_parity = True
    algorithm = "contrastive_divergence"

    def __init__(self, targets: tuple[Value, ...], *, steps: int = 1, persistent: bool = False):
        """Make the task.

        Args:
            targets: What the data says of each image; it is not looked at.
            steps: How often it goes back and forth before it is compared with what it was shown; the k of CD-k.
            persistent: Whether it goes on dreaming from step to step, rather than to begin at what it is shown.

        Raises:
            ValueError: If an option is out of range.
        """
        if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= 50:
            raise ValueError(f"`steps` must be an integer of 1 to 50. Received: {steps!r}. Try 1.")
        if not isinstance(persistent, bool):
            raise ValueError(f"`persistent` must be true or false. Received: {persistent!r}. Leave it out.")
        self.divergence = {"steps": steps, "persistent": persistent}

    def sizes(self, spec: DatasetSpec) -> dict[str, Any]:
        return {"input_shape": network_shape(spec)}

    def serving(
        self, model: keras.Model, spec: DatasetSpec, template: Template, *, name: str
    ) -> dict[str, ServingModel]:
        import keras

        from dltemplates.tasks.contract import Contract, ServingModel

        value = Value(name="hidden", kind="number", dtype="float32", shape=model.output_shape[1:], range=(0, 1))
        served = keras.Model(model.input, {"hidden": model.output}, name=model.name)
        contract = Contract(
            name=name,
            task=template.task.name,
            task_options=template.task.options,
            inputs=spec.inputs,
            outputs=(value,),
            targets=(),
        )
        return {"": ServingModel(served, contract)}

    def score(self, targets: Arrays, outputs: Arrays) -> dict[str, float]:
        return {"share on": float(outputs["hidden"].mean())}
