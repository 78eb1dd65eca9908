"""The facts that decide whether TensorFlow sees a GPU, gathered mostly without TensorFlow."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from dltemplates.errors import first_line

NVIDIA = "0x10de"  # the vendor on the PCI bus
DISPLAY = "0x03"  # the PCI class of display controllers
# The libraries that TensorFlow loads for a GPU, as named by CUDA 12 and cuDNN 9.
LIBRARIES = (
    *("libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11"),
    *("libcusolver.so.11", "libcusparse.so.12", "libcudnn.so.9"),
)


@dataclass(frozen=True)
class GPU:
    """One GPU.

    Attributes:
        name: Product name.
        capability: CUDA compute capability, such as (8, 0); None without CUDA.
        memory: Memory in bytes; None if unknown.
    """

    name: str
    capability: tuple[int, int] | None = None
    memory: int | None = None

    @property
    def has_bfloat16(self) -> bool:
        """Whether the hardware computes in bfloat16, as NVIDIA's GPUs do since Ampere."""
        return self.capability is not None and self.capability >= (8, 0)

    def __str__(self) -> str:
        parts = [self.name]
        if self.capability:
            parts.append("compute capability {}.{}".format(*self.capability))
        if self.memory:
            parts.append(f"{self.memory / 2**30:.1f} GiB")
        return ", ".join([*parts, f"bfloat16 {'in hardware' if self.has_bfloat16 else 'not in hardware'}"])


@dataclass(frozen=True)
class Driver:
    """The answers of libcuda.so.1, the driver's library.

    Attributes:
        problem: Error message if it cannot be loaded, else empty.
        cuda: Newest supported CUDA version, 12040 for 12.4.
        code: Result of `cuInit`, 0 for success.
        gpus: The driver's GPUs.
    """

    problem: str = ""
    cuda: int = 0
    code: int = 0
    gpus: tuple[GPU, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All that decides whether TensorFlow sees a GPU.

    Attributes:
        cuda_build: Whether this TensorFlow was built for CUDA.
        cuda: TensorFlow's CUDA version, such as `12.5.1`.
        least_capability: Lowest compute capability that TensorFlow was built for.
        pci: NVIDIA's display controllers on the PCI bus.
        smi: The GPUs that `nvidia-smi` lists.
        kernel_driver: Version of the loaded kernel module; empty if there is none.
        files: The device files of GPUs.
        closed: The device files without permission for this user.
        driver: The answers of libcuda.so.1.
        missing_libraries: CUDA libraries that cannot be loaded.
        missing_packages: Packages of `tensorflow[and-cuda]` that are not installed.
        visible: `CUDA_VISIBLE_DEVICES`; None if it is not set.
        container: Whether this process runs in a container.
    """

    cuda_build: bool = True
    cuda: str = "12.5.1"
    least_capability: tuple[int, int] = (6, 0)
    pci: tuple[str, ...] = ()
    smi: tuple[str, ...] = ()
    kernel_driver: str = ""
    files: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    driver: Driver = Driver()
    missing_libraries: tuple[str, ...] = ()
    missing_packages: tuple[str, ...] = ()
    visible: str | None = None
    container: bool = False


def visible_gpus() -> list[GPU]:
    """Return the GPUs that TensorFlow sees."""
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    memory = {gpu.name: gpu.memory for gpu in ask_driver().gpus} if devices else {}
    gpus = []
    for device in devices:
        details = tf.config.experimental.get_device_details(device)
        name = details.get("device_name", device.name)
        gpus.append(GPU(name, details.get("compute_capability"), memory.get(name)))
    return gpus


def gather(root: Path = Path("/")) -> Facts:
    """Gather the facts for `explain`.

    Args:
        root: The root folder of the machine.
    """
    import tensorflow as tf

    build = tf.sysconfig.get_build_info()
    built_for = [int(number) for number in re.findall(r"\d+", str(build.get("cuda_compute_capabilities", [])))]
    files = sorted(str(path) for path in root.glob("dev/nvidia[0-9]*"))
    return Facts(
        cuda_build=bool(build["is_cuda_build"]),
        cuda=build.get("cuda_version", "0"),
        least_capability=divmod(min(built_for, default=0), 10),
        pci=pci_gpus(root),
        smi=listed_by_smi(),
        kernel_driver=kernel_driver(root),
        files=tuple(files),
        closed=tuple(path for path in files if not os.access(path, os.R_OK | os.W_OK)),
        driver=ask_driver(),
        missing_libraries=missing_libraries(Path(tf.__file__).parent.parent),
        missing_packages=missing_packages(),
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        container="KUBERNETES_SERVICE_HOST" in os.environ
        or any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv")),
    )


def pci_gpus(root: Path) -> tuple[str, ...]:
    """Return the addresses of NVIDIA's display controllers on the PCI bus."""
    addresses = []
    for folder in sorted(root.glob("sys/bus/pci/devices/*")):
        try:
            vendor, kind = ((folder / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:  # the device was removed meanwhile
            continue
        if vendor == NVIDIA and kind.startswith(DISPLAY):
            addresses.append(folder.name)
    return tuple(addresses)


def kernel_driver(root: Path) -> str:
    """Return the version of NVIDIA's loaded kernel module; empty if none is loaded."""
    try:
        text = (root / "proc/driver/nvidia/version").read_text()
    except OSError:
        return ""
    match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return match[1] if match else ""


def listed_by_smi() -> tuple[str, ...]:
    """Return the GPUs that `nvidia-smi` lists; empty if it is not installed."""
    program = shutil.which("nvidia-smi")
    if not program:
        return ()
    try:
        result = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line for line in result.stdout.splitlines() if line.startswith("GPU "))


def ask_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver:
    """Ask libcuda.so.1 for its CUDA version and GPUs."""
    try:
        cuda = load("libcuda.so.1")
    except OSError as error:
        return Driver(problem=first_line(error))
    number = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(number))
    supported, code = number.value, cuda.cuInit(0)
    gpus = []
    if code == 0:
        cuda.cuDeviceGetCount(ctypes.byref(number))
        gpus = [_ask_device(cuda, index) for index in range(number.value)]
    return Driver(cuda=supported, code=code, gpus=tuple(gpus))


def _ask_device(cuda: Any, index: int) -> GPU:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)  # and _MINOR
    return GPU(name.value.decode(errors="replace"), (major.value, minor.value), memory.value)


def missing_libraries(packages: Path, load: Callable[[str], Any] = ctypes.CDLL) -> tuple[str, ...]:
    """Return the CUDA libraries that load neither from the system nor from NVIDIA's packages in `packages`."""

    def loads(path: str) -> bool:
        try:
            load(path)
        except OSError:
            return False
        return True

    return tuple(
        name
        for name in LIBRARIES
        if not any(map(loads, (name, *map(str, sorted(packages.glob(f"nvidia/*/lib/{name}"))))))
    )


def missing_packages() -> tuple[str, ...]:
    """Return the packages of `tensorflow[and-cuda]` that are not installed."""
    missing = []
    for line in requires("tensorflow") or []:
        if "and-cuda" in line:
            name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
            try:
                version(name)
            except PackageNotFoundError:
                missing.append(name)
    return tuple(missing)
