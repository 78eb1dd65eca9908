"""TFLite files with built-in operators only."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from dltemplates.features import Arrays
from dltemplates.tasks.serving.contract import Contract
from dltemplates.tasks.serving.file_digest import sealed_texts

FIRST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def open_converter(serving: Path) -> Any:
    """Return a TFLite converter of a SavedModel without variables, with built-in operators only."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(serving))  # with all its signatures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def open_quantizer(serving: Path, examples: dict[str, Arrays] | None = None) -> Any:
    """Return a TFLite converter that quantizes a SavedModel.

    Args:
        serving: A SavedModel without variables.
        examples: Calibration inputs by signature and name, each (n, ...); None leaves the activations float.
    """
    converter = open_converter(serving)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if examples is not None:
        converter.representative_dataset = lambda: _one_by_one(examples)
    return converter


def write(content: bytes, out: Path, contract: Contract) -> None:
    """Write a `.tflite` file with its contract inside.

    Args:
        content: The converted model.
        out: Path of the file.
        contract: The contract, with float inputs and outputs.
    """
    out.write_bytes(content)
    add_files(out, sealed_texts(describe(content, contract), [content]))


def shorten_names(content: bytes) -> bytes:
    """Name each tensor after the first of its merged layers.

    The converter lists all merged layers, hundreds of letters per tensor: a tenth of the file of a very small network.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = tensor.name.partition(b";")[0]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def describe(content: bytes, contract: Contract) -> Contract:
    """Return the contract with the dtypes and quantization of a TFLite file."""
    interpreter = Interpreter(model_content=content)
    if contract.parts:
        parts = {name: _describe_signature(interpreter, part) for name, part in contract.parts.items()}
        return contract.model_copy(update={"parts": parts})
    return _describe_signature(interpreter, contract)


def _describe_signature(interpreter: Interpreter, contract: Contract) -> Contract:
    runner = interpreter.get_signature_runner(contract.signature)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    return contract.model_copy(
        update={
            "inputs": tuple(value.model_copy(update=_tensor(inputs[value.name])) for value in contract.inputs),
            "outputs": tuple(value.model_copy(update=_tensor(outputs[value.name])) for value in contract.outputs),
        }
    )


def add_files(path: Path, files: dict[str, str]) -> None:
    """Append text files as a zip archive; runtimes ignore it and read the network before it."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, FIRST_ZIP_DATE), text, zipfile.ZIP_DEFLATED)


def _tensor(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    quantization = (float(scale), int(zero_point)) if scale else None
    is_text = details["dtype"] is np.bytes_
    return {"dtype": "string" if is_text else np.dtype(details["dtype"]).name, "quantization": quantization}


def _one_by_one(examples: dict[str, Arrays]) -> Iterator[tuple[str, Arrays]]:
    for signature, arrays in examples.items():
        for index in range(len(next(iter(arrays.values())))):
            yield signature, {name: array[index : index + 1] for name, array in arrays.items()}
