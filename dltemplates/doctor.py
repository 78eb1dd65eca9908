"""A check of this machine: versions, devices, and whether each runtime works."""

from __future__ import annotations

import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("dltemplates", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy", "pillow")
RUNTIMES = {"Keras": "keras", "TFLite": "ai_edge_litert.interpreter", "ONNX": "onnxruntime", "tf2onnx": "tf2onnx"}
NOT_INSTALLED = "not installed"


def diagnose() -> dict[str, str]:
    """Check this machine.

        dlt.diagnose()["tensorflow"]

    Returns:
        Findings by name, as short texts.
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
            findings[package] = NOT_INSTALLED
    for name, module in RUNTIMES.items():
        try:
            importlib.import_module(module)
            findings[f"{name} loads"] = "yes"
        except Exception as error:  # a broken binary fails in its own way
            findings[f"{name} loads"] = f"no: {type(error).__name__}: {error}"
    if findings["Keras loads"] == "yes":
        import tensorflow as tf

        from dltemplates.devices.explain import describe

        findings["devices"] = ", ".join(device.name for device in tf.config.list_physical_devices())
        findings |= describe()
    return findings


def broken(findings: dict[str, str]) -> list[str]:
    """List the faults that keep the tool from working: missing packages, runtimes that do not load."""
    missing = [f"{package} is not installed" for package in PACKAGES if findings.get(package) == NOT_INSTALLED]
    unloadable = [f"{name} does not load" for name in RUNTIMES if findings.get(f"{name} loads") != "yes"]
    return missing + unloadable


def _data_folder() -> str:
    folder = os.environ.get("DLT_DATA")
    if not folder:
        return "not set"
    return folder if Path(folder).is_dir() else f"{folder}, which is not a folder"
