"""One part of a system: its conversion to each format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dltemplates.compat import flatten_layers, operation_types
from dltemplates.datasets.source import Arrays, Dataset, Source
from dltemplates.deploy import files
from dltemplates.deploy.calibration import calibration
from dltemplates.deploy.converters.convert import Converter
from dltemplates.deploy.formats.format import MASKED_RECURRENT, Format, load_format
from dltemplates.deploy.formats.tflite import RECURRENT
from dltemplates.deploy.masked_scores import has_masked_scores, integer_scores
from dltemplates.deploy.raw_bytes import check_input
from dltemplates.deploy.unrolling import MAX_STEPS, MIN_EXAMPLES, count_steps, unrolled
from dltemplates.runtimes import Predictor, SavedModelPredictor
from dltemplates.settings import ExportSettings
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.contract import Contract, ServingModel
from dltemplates.tasks.serving.serving_examples import part_examples

if TYPE_CHECKING:
    import keras

SERVING = "serving"


@dataclass(frozen=True)
class Variant:
    """The form of the serving model that a format is converted from.

    Attributes:
        batch: `dynamic`, or the number of examples per call.
        is_unrolled: Whether its recurrent layers are unrolled.
        has_integer_scores: Whether masked tokens get a score for integer formats.
    """

    batch: str | int
    is_unrolled: bool
    has_integer_scores: bool

    @property
    def folder(self) -> str:
        """The name of the folder with its conversion job."""
        return f"job-{self.batch}{'-unrolled' * self.is_unrolled}{'-integer' * self.has_integer_scores}"

    @contextlib.contextmanager
    def applied_to(self, model: keras.Model) -> Iterator[None]:
        """Give a model this form while it is traced."""
        with contextlib.ExitStack() as stack:
            if self.is_unrolled:
                stack.enter_context(unrolled(model))
            if self.has_integer_scores:
                stack.enter_context(integer_scores(model))
            yield


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
        self._steps = count_steps(serving.model, serving.contract)
        self._calibrated = 0
        self._has_masked_scores = has_masked_scores(serving.model)
        self.layers = operation_types(serving.model)

    def format_for(self, format: Format) -> Format:
        """Return the part's own format where the system is exported to `format`."""
        key = self.serving.formats.get(format.key)
        return load_format(key) if key else format

    def target(self, format: Format) -> Path:
        """Return the final path of a format's file."""
        return self.folder / files.file_name(self.serving.contract.name, self.format_for(format))

    def written(self, format: Format) -> Path:
        """Return the path of a format's new file, in the work folder."""
        return self._work / files.file_name(self.serving.contract.name, format)

    def not_offered(self, format: Format) -> str | None:
        """Return why a format does not support this part; None if no reason is known."""
        part_format = self.format_for(format)
        if self._variant(part_format).is_unrolled and self._steps > MAX_STEPS:
            return (
                f"{part_format.key} writes out each step of a recurrent layer, at most {MAX_STEPS}; this network has "
                f"{self._steps}: export tflite:dynamic, or train on a shorter window"
            )
        return not_offered(part_format, self._layer_types)

    def write_jobs(self, formats: Sequence[Format], dataset: Dataset, settings: ExportSettings) -> None:
        """Write the input of the converters: the serving model and the calibration examples."""
        from dltemplates.deploy.converters.saved_model import save_serving

        part_formats = [self.format_for(format) for format in formats if not self.not_offered(format)]
        self._work.mkdir()
        for variant in dict.fromkeys(map(self._variant, part_formats)):
            contract = self.serving.contract.model_copy(update={"batch": variant.batch})
            job = self._work / variant.folder
            job.mkdir()
            with variant.applied_to(self.serving.model):
                save_serving(ServingModel(self.serving.model, contract), job / SERVING)
            examples = {}
            if any(format.needs_examples and self._variant(format) == variant for format in part_formats):
                count = max(settings.calibration, MIN_EXAMPLES if variant.is_unrolled else 0)
                examples = self._calibration(dataset.split("train"), count)
            np.savez(job / "calibration.npz", allow_pickle=False, **examples)

    def _calibration(self, train: Source, count: int) -> Arrays:
        if self.serving.calibrate is not None:
            return self.serving.calibrate(train, count)
        examples = part_examples(self.serving, "train", train)
        self._calibrated = min(count, len(examples))
        return calibration(self.serving.contract, examples, count)

    def _variant(self, format: Format) -> Variant:
        is_unrolled = bool(self._layer_types.intersection(format.unrolled_layers))
        batch = batch_of(format, self.serving.contract, self._layer_types)
        return Variant(batch, is_unrolled, format.needs_examples and self._has_masked_scores)

    def job(self, format: Format) -> dict[str, Any]:
        """Return the fields of a request to the converter process."""
        variant = self._variant(format)
        job = self._work / variant.folder
        contract = self.serving.contract.model_copy(update={"batch": variant.batch})
        return {"serving": str(job / SERVING), "work": str(job), "contract": contract.model_dump_json()}

    def check_file(self, format: Format, predictor: Predictor, reply: dict[str, Any]) -> tuple[str, ...]:
        """Check the input of a new file.

        Args:
            format: The part's format.
            predictor: The file in its own runtime.
            reply: The converter's reply.

        Returns:
            Remarks on the file.

        Raises:
            CheckError: If an integer file does not take raw bytes.
        """
        variant = self._variant(format)
        remarks = check_input(predictor, reply["unfolded"]) if format.integer else ()
        if variant.batch != self.serving.contract.batch:
            remarks += (f"takes {variant.batch} example per call, because of its recurrent layers",)
        if variant.is_unrolled:
            examples = f"{self._calibrated:,} training example{'' if self._calibrated == 1 else 's'}"
            remarks += (f"unrolled: holds its {self._steps} steps one by one, calibrated on {examples}",)
        return remarks

    def latency(self, written: Path, predictor: Predictor, example: Mapping[str, np.ndarray]) -> float:
        """Return the median time for one example on one thread, in milliseconds."""
        if not isinstance(predictor, SavedModelPredictor):
            return predictor.latency(dict(example))
        np.savez(self._work / "example.npz", allow_pickle=False, **example)
        # The child's TensorFlow has one thread. In this process, the number was fixed when TensorFlow was imported.
        reply = self._converter.ask(do="latency", path=str(written), example=str(self._work / "example.npz"))
        return reply["latency_ms"]


def layer_types(model: keras.Model) -> set[str]:
    """Return the class names of all layers and the names of their activations, as in `Format.unsupported_layers`.

    A recurrent layer behind a mask adds `MASKED_RECURRENT`.
    """
    names = set()
    for layer in flatten_layers(model, include_self=False):
        names.add(type(layer).__name__)
        activation = getattr(layer, "activation", None)
        if activation is not None:
            names.add(getattr(activation, "__name__", type(activation).__name__))
    if "SequenceMask" in names and names.intersection(RECURRENT):
        names.add(MASKED_RECURRENT)
    return names


def not_offered(format: Format, names: set[str]) -> str | None:
    """Return why a format does not support a model with these layers; None if no reason is known."""
    return next((f"{name}: {reason}" for name, reason in format.unsupported_layers.items() if name in names), None)


def batch_of(format: Format, contract: Contract, names: set[str]) -> str | int:
    """Return the batch size of a format's file: 1 where its layers need that, else the contract's."""
    return 1 if names.intersection(format.single_example_layers) else contract.batch


def scored_parts(parts: Mapping[str, Any]) -> list[str]:
    """Return the names of the parts that the system's score needs: the whole network if there is one, else all."""
    return [WHOLE] if WHOLE in parts else list(parts)
