"""What is here: versions, devices, and whether each runtime works."""

from __future__ import annotations

import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("dltemplates", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")
RUNTIMES = {"Keras": "keras", "TFLite": "ai_edge_litert.interpreter", "ONNX": "onnxruntime", "tf2onnx": "tf2onnx"}


def diagnose() -> dict[str, str]:
    """Look at this machine.

    Returns:
        Findings by name, each a short text.
    """
    findings = {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "DLT_DATA": _data_folder(),
    }
    for package in PACKAGES:
        try:
            findings[package] = version(package)
        except PackageNotFoundError:
            findings[package] = "not installed"
    for name, module in RUNTIMES.items():
        try:
            importlib.import_module(module)
            findings[f"{name} loads"] = "yes"
        except Exception as error:  # a broken binary fails in its own way
            findings[f"{name} loads"] = f"no: {type(error).__name__}: {error}"
    if findings["Keras loads"] == "yes":
        import tensorflow as tf

        findings["devices"] = ", ".join(device.name for device in tf.config.list_physical_devices())
    return findings


def _data_folder() -> str:
    folder = os.environ.get("DLT_DATA")
    if not folder:
        return "not set"
    return folder if Path(folder).is_dir() else f"{folder}, which is no folder"
