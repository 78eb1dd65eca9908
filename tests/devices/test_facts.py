import ctypes
import subprocess

import tensorflow as tf

from dltemplates.devices import facts
from dltemplates.devices.facts import GPU, LIBRARIES, Driver, ask_driver, gather, visible_gpus


class FakeCUDA:
    """A stand-in for libcuda.so.1 with one GPU."""

    def __init__(self, code=0):
        self.code = code

    def cuDriverGetVersion(self, number):  # noqa: N802
        number._obj.value = 12040

    def cuInit(self, flags):  # noqa: N802
        return self.code

    def cuDeviceGetCount(self, number):  # noqa: N802
        number._obj.value = 1

    def cuDeviceGet(self, device, index):  # noqa: N802
        device._obj.value = index

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        name.value = b"NVIDIA L4"

    def cuDeviceTotalMem_v2(self, memory, device):  # noqa: N802
        memory._obj.value = 24 * 2**30

    def cuDeviceGetAttribute(self, number, attribute, device):  # noqa: N802
        number._obj.value = {75: 8, 76: 9}[attribute]


def no_library(name):
    raise OSError(f"{name}: cannot open shared object file\nsecond line")


def test_the_driver_lists_its_gpus():
    assert ask_driver(lambda name: FakeCUDA()) == Driver(cuda=12040, gpus=(GPU("NVIDIA L4", (8, 9), 24 * 2**30),))
    assert ask_driver(lambda name: FakeCUDA(code=803)) == Driver(cuda=12040, code=803)
    assert ask_driver(no_library) == Driver(problem="libcuda.so.1: cannot open shared object file")


def test_libraries_are_found_in_the_system_and_in_packages(tmp_path):
    folder = tmp_path / "nvidia" / "cudnn" / "lib"
    folder.mkdir(parents=True)
    (folder / "libcudnn.so.9").touch()
    assert facts.missing_libraries(tmp_path, no_library) == LIBRARIES
    assert facts.missing_libraries(tmp_path, lambda name: None) == ()

    def only_whole_paths(name):
        return None if name == str(folder / "libcudnn.so.9") else no_library(name)

    assert set(LIBRARIES) - set(facts.missing_libraries(tmp_path, only_whole_paths)) == {"libcudnn.so.9"}


def test_the_libraries_match_the_build_of_tensorflow():
    build = tf.sysconfig.get_build_info()
    if build["is_cuda_build"]:
        assert build["cuda_version"].startswith("12.")
        assert build["cudnn_version"] == "9"


def test_packages_come_from_the_cuda_extra(monkeypatch):
    lines = [
        'nvidia-no-such-cu12<13.0,>=12.5; extra == "and-cuda"',
        'numpy>=1; extra == "and-cuda"',
        "no-such-either>=1",
    ]
    monkeypatch.setattr(facts, "requires", lambda name: lines)
    assert facts.missing_packages() == ("nvidia-no-such-cu12",)


def test_facts_of_a_machine_are_collected(tmp_path, monkeypatch):
    bus = tmp_path / "sys/bus/pci/devices"
    for address, vendor, kind in (
        ("01", "0x10de", "0x030200"),
        ("02", "0x10de", "0x040300"),
        ("03", "0x8086", "0x030000"),
    ):
        (bus / address).mkdir(parents=True)
        (bus / address / "vendor").write_text(vendor + "\n")
        (bus / address / "class").write_text(kind + "\n")
    (bus / "04").mkdir()
    version = tmp_path / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build\nGCC version: 12\n"
    )
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    (tmp_path / ".dockerenv").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(facts.os, "access", lambda path, mode: not str(path).endswith("nvidia1"))
    found = gather(tmp_path)
    assert found.pci == ("01",)
    assert found.kernel_driver == "560.35.03"
    assert found.files == (f"{tmp_path}/dev/nvidia0", f"{tmp_path}/dev/nvidia1")
    assert found.closed == (f"{tmp_path}/dev/nvidia1",)
    assert (found.container, found.visible) == (True, "1")
    assert found.least_capability >= (3, 5) or not found.cuda_build


def test_facts_of_a_machine_without_gpu_are_collected(tmp_path, monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    found = gather(tmp_path)
    assert (found.pci, found.files, found.kernel_driver, found.visible, found.container) == ((), (), "", None, False)
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version: something else\n")
    assert facts.kernel_driver(tmp_path) == ""
    (tmp_path / "proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
    )
    assert facts.kernel_driver(tmp_path) == "535.104.05"


def test_nvidia_smi_is_used_if_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(facts.shutil, "which", lambda name: None)
    assert facts.listed_by_smi() == ()
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-1)'\necho 'a warning'\n")
    program.chmod(0o755)
    monkeypatch.setattr(facts.shutil, "which", lambda name: str(program))
    assert facts.listed_by_smi() == ("GPU 0: NVIDIA L4 (UUID: GPU-1)",)

    def hangs(*arguments, **options):
        raise subprocess.TimeoutExpired("nvidia-smi", 20)

    monkeypatch.setattr(facts.subprocess, "run", hangs)
    assert facts.listed_by_smi() == ()


def test_gpus_of_tensorflow_are_completed_with_their_memory(monkeypatch):
    device = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [device])
    monkeypatch.setattr(facts, "ask_driver", lambda: ask_driver(lambda name: FakeCUDA()))
    details = {"device_name": "NVIDIA L4", "compute_capability": (8, 9)}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert visible_gpus() == [GPU("NVIDIA L4", (8, 9), 24 * 2**30)]
    assert visible_gpus()[0].has_bfloat16
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: {})
    assert [str(gpu) for gpu in visible_gpus()] == ["/physical_device:GPU:0, bfloat16 not in hardware"]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    assert visible_gpus() == []


def test_ctypes_loads_libraries_by_default():
    assert ask_driver.__defaults__ == (ctypes.CDLL,)
