"""The GPUs that TensorFlow sees, or a line on why it sees none and how to fix it."""

from __future__ import annotations

from dltemplates.devices.facts import Facts, gather, visible_gpus

# NVIDIA's CUDA Compatibility guide, table 1: one driver runs every CUDA of its generation.
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
MINIMUM_DRIVER = {12: "525.60.13", 13: "580"}
NO_DEVICE = 100
# CUDA Driver API, CUresult: https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html
CUDA_ERRORS = {
    34: "finds CUDA's stub instead of the real libcuda.so.1. Remove the stubs folder from LD_LIBRARY_PATH",
    NO_DEVICE: "shows no GPU. Look for the reason with `nvidia-smi`",
    802: "waits for its switches. Start its fabric manager: `sudo systemctl start nvidia-fabricmanager`",
    803: "has another version than its libcuda.so.1. Restart the machine",
    999: "fails. Reload it: `sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm`, or restart the machine",
}
INSTALL = 'pip install "tensorflow[and-cuda]"'


def describe() -> dict[str, str]:
    """Return a description of each GPU that TensorFlow sees, or the reason why it sees none."""
    gpus = visible_gpus()
    return {f"GPU {number}": str(gpu) for number, gpu in enumerate(gpus)} or {"GPU": explain(gather())}


def explain(facts: Facts) -> str:
    """Return the first reason why TensorFlow sees no GPU, and how to fix it."""
    if not (facts.pci or facts.smi or facts.kernel_driver or facts.files or facts.driver.gpus):
        return "none found on this machine"
    if not facts.cuda_build:
        return f"this TensorFlow was built without CUDA. Install the one for Linux on x86-64 (or WSL 2): `{INSTALL}`"
    if facts.visible is not None and facts.visible.strip() in ("", "-1"):
        return _hidden(facts)
    fault = None if facts.driver.gpus else _access_fault(facts)
    return fault or _driver_fault(facts) or _library_fault(facts) or _unknown_fault()


def _hidden(facts: Facts) -> str:
    return f"hidden by CUDA_VISIBLE_DEVICES={facts.visible!r}. Show the GPUs again: `unset CUDA_VISIBLE_DEVICES`"


def _access_fault(facts: Facts) -> str | None:
    """Return why this process cannot use the driver's device files; None if it can."""
    if facts.container and not facts.files:
        return "the machine has a GPU, but this container has no access. Start it with `docker run --gpus all ...`"
    if not facts.kernel_driver:
        return (
            "nvidia driver: not loaded. Load it: `sudo modprobe nvidia`; if it is missing, install it "
            "(https://www.nvidia.com/drivers, or `sudo apt install nvidia-driver`) and restart"
        )
    if not facts.files:
        return "nvidia driver: no /dev/nvidia0. Create it: `sudo nvidia-modprobe -c 0 -u`"
    if facts.closed:
        return (
            f"no permission to use {', '.join(facts.closed)}. Join the group that owns it (`ls -l {facts.closed[0]}`): "
            "`sudo usermod -aG GROUP $USER`, and log in again"
        )
    return None


def _driver_fault(facts: Facts) -> str | None:
    """Return the driver's fault; None if there is none."""
    driver = facts.driver
    generation = int(facts.cuda.partition(".")[0])
    minimum = MINIMUM_DRIVER.get(generation, "0")
    # libcuda.so.1 decides if it answers: NVIDIA's compatibility package makes it newer than the kernel module.
    if driver.cuda:
        too_old = driver.cuda // 1000 < generation
    else:
        too_old = bool(facts.kernel_driver) and _numbers(facts.kernel_driver) < _numbers(minimum)
    if too_old:
        return (
            f"nvidia driver: {facts.kernel_driver or 'this one'} is too old for CUDA {facts.cuda} of this "
            f"TensorFlow. Install {'the newest' if minimum == '0' else f'{minimum} or later'} "
            "(https://www.nvidia.com/drivers), and restart"
        )
    if driver.problem:
        way_out = "Install the driver's CUDA library (`sudo apt install libcuda1`), or reinstall the driver"
        if facts.container:
            way_out = "Start the container with `-e NVIDIA_DRIVER_CAPABILITIES=compute,utility`"
        return f"nvidia driver: its libcuda.so.1 does not load ({driver.problem}). {way_out}"
    if driver.code == NO_DEVICE and facts.visible is not None:
        return _hidden(facts)
    if driver.code:
        problem = CUDA_ERRORS.get(driver.code, "fails. Look for the reason with `nvidia-smi`")
        return f"nvidia driver: {problem} (CUDA {driver.code})"
    return None


def _library_fault(facts: Facts) -> str | None:
    """Return the fault of TensorFlow's CUDA libraries or of the GPU's age; None if there is none."""
    if facts.missing_libraries:
        problem = f"CUDA libraries do not load: {', '.join(facts.missing_libraries)}"
        if not facts.missing_packages:
            repair = INSTALL.replace("install", "install --force-reinstall")
            return f"{problem}. Their packages are installed but broken. Repair them: `{repair}`"
        first, *others = facts.missing_packages
        return f"{problem}. Install {first}{f' and {len(others)} more' if others else ''}: `{INSTALL}`"
    if facts.driver.gpus and all((gpu.capability or (0, 0)) < facts.least_capability for gpu in facts.driver.gpus):
        least = "{}.{}".format(*facts.least_capability)
        return f"{facts.driver.gpus[0]}: this TensorFlow needs {least} or later. Train on the CPU, or another GPU"
    return None


def _unknown_fault() -> str:
    command = """python -c 'import tensorflow as tf; tf.config.list_physical_devices("GPU")'"""
    return f"no fault found with the GPU or its driver. Ask TensorFlow: `TF_CPP_MIN_LOG_LEVEL=0 {command}`"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
