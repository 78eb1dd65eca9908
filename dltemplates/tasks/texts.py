"""The form of a served network that takes its categories as text, and looks up their ids by itself."""

from __future__ import annotations

from dltemplates.tasks.contract import ServingModel


def with_texts(serving: ServingModel) -> ServingModel:
    """Put the lookup of categories in front of a served network.

    Args:
        serving: A network that takes ids, int32 (batch, columns).

    Returns:
        The network that takes the text of each category, (batch, columns); one that is not known, or empty, has id 0.

    Raises:
        ValueError: If the network takes no categories.
    """
    import keras

    contract = serving.contract
    value = next((value for value in contract.inputs if value.kind == "category"), None)
    if value is None:
        raise ValueError(
            "`strings` is for networks that take categories. Received: one that takes "
            f"{', '.join(value.kind for value in contract.inputs)}. Leave it out."
        )
    text = value.model_copy(update={"dtype": "string"})
    values = tuple(text if other is value else other for other in contract.inputs)
    inputs = {value.name: keras.Input(value.shape, name=value.name, dtype=value.dtype) for value in values}
    ids = [
        # An adapted lookup does not survive definition and weights, one with its vocabulary does.
        keras.layers.StringLookup(vocabulary=list(column.vocabulary), num_oov_indices=1, name=f"lookup_{place}")(
            inputs[text.name][:, place : place + 1]
        )
        for place, column in enumerate(text.columns or ())
    ]
    looked_up = keras.ops.cast(keras.ops.concatenate(ids, axis=1), value.dtype)  # (batch, columns)
    given = {**inputs, text.name: looked_up}
    outputs = serving.model(given if len(given) > 1 else looked_up)
    model = keras.Model(inputs, outputs, name=serving.model.name)
    return ServingModel(
        model, contract.model_copy(update={"name": f"{contract.name}-strings", "inputs": values}), serving.after
    )
