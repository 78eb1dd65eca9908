"""One part of a system: its conversion to each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dltemplates.compat import flatten_layers, operation_types
from dltemplates.datasets.source import Dataset
from dltemplates.deploy import files
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.converters.convert import Converter
from dltemplates.deploy.formats.format import Format, load_format
from dltemplates.deploy.raw_bytes import check_input
from dltemplates.runtimes import Predictor, SavedModelPredictor, load_predictor
from dltemplates.settings import ExportSettings
from dltemplates.tasks.serving.contract import Contract, ServingModel
from dltemplates.tasks.serving.serving_examples import part_examples

if TYPE_CHECKING:
    import keras

SERVING = "serving"


class Part:
    """One part of the system, with the files that its formats share.

    Attributes:
        name: Name of the part.
        serving: The serving model, with float32 images.
        folder: Folder of the part's exported files.
        layers: The class names of its layers, by name.
    """

    def __init__(self, name: str, serving: ServingModel, converter: Converter, work: Path, folder: Path):
        self.name, self.serving, self.folder = name, serving, folder / name
        self._converter, self._work = converter, work / (name or "whole")
        self._layer_types = layer_types(serving.model)
        self.layers = operation_types(serving.model)
        self._integer_type = ""

    def format_for(self, format: Format) -> Format:
        """Return the part's own format where the system is exported to `format`."""
        key = self.serving.formats.get(format.key)
        return load_format(key) if key else format

    def target(self, format: Format) -> Path:
        """Return the final path of a format's file."""
        return self.folder / files.file_name(self.serving.contract.name, self.format_for(format))

    def not_offered(self, format: Format) -> str | None:
        """Return why a format does not support this part; None if no reason is known."""
        return not_offered(self.format_for(format), self._layer_types)

    def write_jobs(self, formats: Sequence[Format], dataset: Dataset, settings: ExportSettings) -> None:
        """Write the input of the converters: the serving model and the calibration examples."""
        from dltemplates.deploy.converters.saved_model import save_serving

        self._integer_type = settings.input
        part_formats = [self.format_for(format) for format in formats]
        examples = {}
        if any(format.needs_examples for format in part_formats):
            train = part_examples(self.serving, "train", dataset.split("train"))
            examples = calibration(self.serving.contract, train, settings.calibration)
        self._work.mkdir()
        for batch in {batch_of(format, self.serving.contract, self._layer_types) for format in part_formats}:
            contract = self.serving.contract.model_copy(update={"batch": batch})
            job = self._work / f"job-{batch}"
            job.mkdir()
            save_serving(ServingModel(self.serving.model, contract), job / SERVING)
            np.savez(job / "calibration.npz", allow_pickle=False, **examples)

    def convert(self, format: Format) -> tuple[Path, Predictor, tuple[str, ...]]:
        """Convert the part, and open the file.

        Returns:
            The path in the work folder, the file in its own runtime, and remarks.

        Raises:
            ConversionError: If the conversion fails.
            CheckError: If the file does not take raw bytes.
        """
        part_format, contract = self.format_for(format), self.serving.contract
        batch = batch_of(part_format, contract, self._layer_types)
        job = self._work / f"job-{batch}"
        written = self._work / files.file_name(contract.name, part_format)
        reply = self._converter.ask(
            do="convert",
            format=part_format.key,
            serving=str(job / SERVING),
            work=str(job),
            out=str(written),
            contract=contract.model_copy(update={"batch": batch}).model_dump_json(),
            integer_type=self._integer_type,
        )
        predictor = load_predictor(written)
        remarks = check_input(predictor, reply["unfolded"]) if part_format.integer else ()
        if batch != contract.batch:
            remarks += (f"takes {batch} example per call, because of its recurrent layers",)
        return written, predictor, remarks

    def latency(self, written: Path, predictor: Predictor, example: Mapping[str, np.ndarray]) -> float:
        """Return the median time for one example on one thread, in milliseconds."""
        if not isinstance(predictor, SavedModelPredictor):
            return predictor.latency(dict(example))
        np.savez(self._work / "example.npz", allow_pickle=False, **example)
        # The child's TensorFlow has one thread. In this process, the number was fixed when TensorFlow was imported.
        reply = self._converter.ask(do="latency", path=str(written), example=str(self._work / "example.npz"))
        return reply["latency_ms"]


def layer_types(model: keras.Model) -> set[str]:
    """Return the class names of all layers and the names of their activations, as in `Format.unsupported_layers`."""
    names = set()
    for layer in flatten_layers(model, include_self=False):
        names.add(type(layer).__name__)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            names.add(getattr(activation, "__name__", type(activation).__name__))
    return names


def not_offered(format: Format, names: set[str]) -> str | None:
    """Return why a format does not support a model with these layers; None if no reason is known."""
    return next((f"{name}: {reason}" for name, reason in format.unsupported_layers.items() if name in names), None)


def batch_of(format: Format, contract: Contract, names: set[str]) -> str | int:
    """Return the batch size of a format's file: 1 where its layers need that, else the contract's."""
    return 1 if names.intersection(format.single_example_layers) else contract.batch
