"""TFLite files: built-in operators only, names kept."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from dltemplates.runtimes import SIGNATURE
from dltemplates.tasks.serving.contract import Contract

FIRST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def open_converter(serving: Path) -> Any:
    """Prepare to convert a SavedModel without variables, to built-in operators."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(serving), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def open_quantizer(serving: Path, examples: dict[str, np.ndarray] | None = None) -> Any:
    """Prepare to convert a SavedModel to smaller numbers.

    Args:
        serving: A SavedModel without variables.
        examples: Inputs by name, each (n, ...), that set the ranges of activations; None leaves those float.
    """
    converter = open_converter(serving)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if examples is not None:
        converter.representative_dataset = lambda: _one_by_one(examples)
    return converter


def write(content: bytes, out: Path, contract: Contract) -> None:
    """Write a `.tflite` file that carries its contract.

    Args:
        content: The converted model.
        out: Where to write.
        contract: What goes in and comes out, in float.
    """
    out.write_bytes(content)
    add_files(out, describe(content, contract).files())


def shorten_names(content: bytes) -> bytes:
    """Name each tensor by the first of the layers that were merged into it.

    The converter lists them all, hundreds of letters a tensor: a tenth of the file of a network for small boards.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = tensor.name.partition(b";")[0]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def describe(content: bytes, contract: Contract) -> Contract:
    """The contract with the dtypes and quantization that a TFLite file really has."""
    runner = Interpreter(model_content=content).get_signature_runner(SIGNATURE)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    return contract.model_copy(
        update={
            "inputs": tuple(value.model_copy(update=_tensor(inputs[value.name])) for value in contract.inputs),
            "outputs": tuple(value.model_copy(update=_tensor(outputs[value.name])) for value in contract.outputs),
        }
    )


def add_files(path: Path, files: dict[str, str]) -> None:
    """Append texts as a zip; the runtimes read the network in front of it as before."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, FIRST_ZIP_DATE), text, zipfile.ZIP_DEFLATED)


def _tensor(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    quantization = (float(scale), int(zero_point)) if scale else None
    is_text = details["dtype"] is np.bytes_
    return {"dtype": "string" if is_text else np.dtype(details["dtype"]).name, "quantization": quantization}


def _one_by_one(examples: dict[str, np.ndarray]):
    for index in range(len(next(iter(examples.values())))):
        yield SIGNATURE, {name: array[index : index + 1] for name, array in examples.items()}
