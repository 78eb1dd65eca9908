"""Building without training: a definition file and fresh weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from dltemplates import catalog, catalog_templates
from dltemplates.files import atomic_write
from dltemplates.models.build import SIZES, build_network
from dltemplates.models.summary import Summary, summarize
from dltemplates.new_runs import make_run
from dltemplates.template import load_template
from dltemplates.training.train import prepare


def build(
    name: str,
    *,
    sizes: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    notify: Callable[[str], None] | None = None,
) -> tuple[Path, Summary]:
    """Build a model or a template's network, and write its definition and fresh weights.

        folder, summary = dlt.build("resnet20", sizes={"input_shape": (32, 32, 3), "num_outputs": 10})

    Args:
        name: A model of the catalog, `package.module:function`, a template, or a TOML file.
        sizes: The builder's sizes, such as `{"input_shape": (32, 32, 3), "num_outputs": 10}`; the paper's by default.
            A template takes them from its task and data.
        settings: The builder's options; for a template, values by dotted path.
        output: The folder; by default the first free one of `saved_models/name`.
        overwrite: Replace a build or run in `output`.
        seed: Seed of a model's fresh weights; a template has its own.
        notify: As in `load_template`.

    Returns:
        The folder, and the summary of the network.

    Raises:
        ValueError: If the name, a size or an option is wrong; nothing is left behind.
    """
    if ":" in name or name in catalog.MODELS:
        keras.utils.set_random_seed(seed)
        for size in sizes or {}:
            catalog.check_name("size", size, SIZES)
        paper_sizes = catalog.MODELS[name].sizes if name in catalog.MODELS else {}
        model = build_network(name, paper_sizes | (sizes or {}), settings or {})
        stem = name.rpartition(":")[2]
    elif name in catalog_templates.names() or name.endswith(".toml"):
        if sizes:
            raise ValueError(
                f"A template takes its sizes from its data. Received: {', '.join(sizes)}. "
                "Build the model by its own name, or choose other data with --set dataset.name=..."
            )
        model = prepare(load_template(name, settings, notify=notify)).definition
        stem = Path(name).stem
    else:
        catalog.check_name("model or template", name, [*catalog.MODELS, *catalog_templates.names()])
    run = make_run(stem, output, overwrite=overwrite)
    atomic_write(run.definition_path, model.to_json(indent=2))
    run.save_weights(model)
    return run.path, summarize(model)
