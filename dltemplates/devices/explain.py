"""Which GPUs TensorFlow sees; where it sees none though one is there, why, and the way out, in one line."""

from __future__ import annotations

from dltemplates.devices.facts import Facts, gather, visible_gpus

# NVIDIA's CUDA Compatibility guide, table 1: one driver runs every CUDA of its generation.
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
MINIMUM_DRIVER = {12: "525.60.13", 13: "580"}
NO_DEVICE = 100
# CUDA Driver API, CUresult: https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html
CUDA_ERRORS = {
    34: "finds CUDA's stub in the place of its own libcuda.so.1. Take the stubs folder out of LD_LIBRARY_PATH",
    NO_DEVICE: "shows no GPU. `nvidia-smi` says what became of it",
    802: "waits for its switches. Start its fabric manager: `sudo systemctl start nvidia-fabricmanager`",
    803: "is loaded in another version than its libcuda.so.1. Restart the machine",
    999: "fails. Load it anew: `sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm`, or restart the machine",
}
INSTALL = 'pip install "tensorflow[and-cuda]"'


def describe() -> dict[str, str]:
    """The GPUs that TensorFlow sees, or why it sees none, by name."""
    gpus = visible_gpus()
    return {f"GPU {number}": str(gpu) for number, gpu in enumerate(gpus)} or {"GPU": explain(gather())}


def explain(facts: Facts) -> str:
    """Say why TensorFlow sees no GPU: the first thing in its way, and how to remove it."""
    if not (facts.pci or facts.smi or facts.kernel_driver or facts.files or facts.driver.gpus):
        return "none found on this machine"
    if not facts.cuda_build:
        return f"this TensorFlow was built without CUDA. Take the one for Linux on x86-64 (or WSL 2): `{INSTALL}`"
    if facts.visible is not None and facts.visible.strip() in ("", "-1"):
        return _hidden(facts)
    fault = None if facts.driver.gpus else _access_fault(facts)
    return fault or _driver_fault(facts) or _library_fault(facts) or _unknown_fault()


def _hidden(facts: Facts) -> str:
    return f"hidden by CUDA_VISIBLE_DEVICES={facts.visible!r}. Show them again: `unset CUDA_VISIBLE_DEVICES`"


def _access_fault(facts: Facts) -> str | None:
    """What lies between this process and the driver's device files."""
    if facts.container and not facts.files:
        return "the machine has one, but this container was not given it. Start it so: `docker run --gpus all ...`"
    if not facts.kernel_driver:
        return (
            "nvidia driver: not loaded. Load it: `sudo modprobe nvidia`; if there is none, install it "
            "(https://www.nvidia.com/drivers, or `sudo apt install nvidia-driver`) and restart"
        )
    if not facts.files:
        return "nvidia driver: has made no /dev/nvidia0. Make it: `sudo nvidia-modprobe -c 0 -u`"
    if facts.closed:
        return (
            f"no permission to use {', '.join(facts.closed)}. Join the group that has it (`ls -l {facts.closed[0]}`): "
            "`sudo usermod -aG GROUP $USER`, and log in again"
        )
    return None


def _driver_fault(facts: Facts) -> str | None:
    """What is wrong with the driver."""
    driver = facts.driver
    generation = int(facts.cuda.partition(".")[0])
    minimum = MINIMUM_DRIVER.get(generation, "0")
    # The user's half decides where it answers: with NVIDIA's compatibility package it is newer than the kernel's.
    if driver.cuda:
        too_old = driver.cuda // 1000 < generation
    else:
        too_old = bool(facts.kernel_driver) and _numbers(facts.kernel_driver) < _numbers(minimum)
    if too_old:
        return (
            f"nvidia driver: {facts.kernel_driver or 'this one'} is too old for CUDA {facts.cuda}, with which this "
            f"TensorFlow was built. Install {'the newest' if minimum == '0' else f'{minimum} or later'} "
            "(https://www.nvidia.com/drivers), and restart"
        )
    if driver.problem:
        way_out = "Install the driver's CUDA library (`sudo apt install libcuda1`), or the driver again"
        if facts.container:
            way_out = "Start the container with `-e NVIDIA_DRIVER_CAPABILITIES=compute,utility`"
        return f"nvidia driver: its libcuda.so.1 does not load ({driver.problem}). {way_out}"
    if driver.code == NO_DEVICE and facts.visible is not None:
        return _hidden(facts)
    if driver.code:
        return f"nvidia driver: {CUDA_ERRORS.get(driver.code, 'fails. `nvidia-smi` may say why')} (CUDA {driver.code})"
    return None


def _library_fault(facts: Facts) -> str | None:
    """What TensorFlow lacks though the driver offers a GPU."""
    if facts.missing_libraries:
        problem = f"CUDA libraries do not load: {', '.join(facts.missing_libraries)}"
        if not facts.missing_packages:
            repair = INSTALL.replace("install", "install --force-reinstall")
            return f"{problem}. Their packages are installed, so repair them: `{repair}`"
        first, *others = facts.missing_packages
        return f"{problem}. Install {first}{f' and {len(others)} more' if others else ''}: `{INSTALL}`"
    if facts.driver.gpus and all((gpu.capability or (0, 0)) < facts.least_capability for gpu in facts.driver.gpus):
        least = "{}.{}".format(*facts.least_capability)
        return (
            f"{facts.driver.gpus[0]}: this TensorFlow takes {least} and later. Train on the processor, or another GPU"
        )
    return None


def _unknown_fault() -> str:
    ask = """python -c 'import tensorflow as tf; tf.config.list_physical_devices("GPU")'"""
    return f"one is there, and so is all that it needs. TensorFlow itself may say why: `TF_CPP_MIN_LOG_LEVEL=0 {ask}`"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
