"""Every reason why TensorFlow finds no GPU, explained from facts alone: no GPU is needed here."""

from dataclasses import replace

import pytest

from dltemplates.devices import explain as module
from dltemplates.devices.explain import describe, explain
from dltemplates.devices.facts import GPU, Driver, Facts

A100 = GPU("NVIDIA A100-SXM4-40GB", (8, 0), 40 * 2**30)
KEPLER = GPU("Tesla K80", (3, 7), 12 * 2**30)
WORKING = Facts(
    pci=("0000:01:00.0",),
    smi=("GPU 0: NVIDIA A100-SXM4-40GB",),
    kernel_driver="535.104.05",
    files=("/dev/nvidia0",),
    driver=Driver(cuda=12020, gpus=(A100,)),
)
NO_GPU = Driver(problem="libcuda.so.1: cannot open shared object file")


@pytest.mark.parametrize(
    ("changes", "problem", "way_out"),
    [
        ({"cuda_build": False}, "built without CUDA", 'pip install "tensorflow[and-cuda]"'),
        ({"visible": ""}, "CUDA_VISIBLE_DEVICES=''", "unset CUDA_VISIBLE_DEVICES"),
        ({"visible": " -1"}, "CUDA_VISIBLE_DEVICES=' -1'", "unset CUDA_VISIBLE_DEVICES"),
        ({"visible": "7", "driver": Driver(cuda=12020, code=100)}, "CUDA_VISIBLE_DEVICES='7'", "unset"),
        (
            {"container": True, "files": (), "driver": NO_GPU},
            "this container has no access",
            "docker run --gpus all",
        ),
        ({"kernel_driver": "", "files": (), "driver": NO_GPU}, "nvidia driver: not loaded", "modprobe nvidia"),
        ({"files": (), "driver": NO_GPU}, "no /dev/nvidia0", "nvidia-modprobe"),
        ({"closed": ("/dev/nvidia0",), "driver": Driver(cuda=12020, code=100)}, "no permission", "usermod -aG"),
        ({"kernel_driver": "470.256.02", "driver": Driver(cuda=11040, gpus=(A100,))}, "470.256.02 is too old", "525."),
        ({"kernel_driver": "470.256.02", "driver": NO_GPU}, "470.256.02 is too old for CUDA 12.5.1", "525.60.13"),
        ({"kernel_driver": "535.104.05", "cuda": "13.0", "driver": NO_GPU}, "too old for CUDA 13.0", "580"),
        ({"kernel_driver": "", "driver": Driver(cuda=11040, gpus=(A100,))}, "this one is too old", "525.60.13"),
        ({"cuda": "14.1"}, "too old for CUDA 14.1", "the newest"),
        ({"driver": NO_GPU}, "libcuda.so.1 does not load", "libcuda1"),
        ({"driver": NO_GPU, "container": True}, "libcuda.so.1 does not load", "NVIDIA_DRIVER_CAPABILITIES"),
        ({"driver": Driver(cuda=12020, code=803)}, "another version", "Restart"),
        ({"driver": Driver(cuda=12020, code=802)}, "waits for its switches", "nvidia-fabricmanager"),
        ({"driver": Driver(cuda=12020, code=999)}, "(CUDA 999)", "modprobe nvidia_uvm"),
        ({"driver": Driver(cuda=12020, code=100)}, "shows no GPU", "nvidia-smi"),
        ({"driver": Driver(cuda=12020, code=34)}, "stub", "LD_LIBRARY_PATH"),
        ({"driver": Driver(cuda=12020, code=5)}, "(CUDA 5)", "nvidia-smi"),
        (
            {"missing_libraries": ("libcudnn.so.9",), "missing_packages": ("nvidia-cudnn-cu12", "nvidia-nccl-cu12")},
            "do not load: libcudnn.so.9. Install nvidia-cudnn-cu12 and 1 more",
            'pip install "tensorflow[and-cuda]"',
        ),
        (
            {"missing_libraries": ("libcudnn.so.9",), "missing_packages": ("nvidia-cudnn-cu12",)},
            "Install nvidia-cudnn-cu12: ",
            'pip install "tensorflow[and-cuda]"',
        ),
        ({"missing_libraries": ("libcudnn.so.9",)}, "packages are installed", "pip install --force-reinstall"),
        ({"driver": Driver(cuda=12020, gpus=(KEPLER,))}, "Tesla K80, compute capability 3.7", "another GPU"),
        ({}, "no fault found", "TF_CPP_MIN_LOG_LEVEL=0"),
    ],
)
def test_each_reason_has_a_line_with_a_way_out(changes, problem, way_out):
    explanation = explain(replace(WORKING, **changes))
    assert problem in explanation
    assert way_out in explanation
    assert "\n" not in explanation


def test_a_machine_without_gpu_gets_a_short_answer():
    bare = Facts(driver=NO_GPU, missing_libraries=("libcudart.so.12",), missing_packages=("nvidia-cudnn-cu12",))
    assert explain(bare) == "none found on this machine"
    assert explain(replace(bare, container=True, cuda_build=False, visible="")) == "none found on this machine"


@pytest.mark.parametrize("trace", ["pci", "smi", "files"])
def test_any_trace_of_a_gpu_gets_a_reason(trace):
    assert "not loaded" in explain(replace(Facts(driver=NO_GPU), **{trace: ("GPU",)}))


def test_the_subsystem_for_linux_has_no_device_files():
    assert "no fault found" in explain(Facts(driver=WORKING.driver))


def test_newer_drivers_are_accepted():
    assert "too old" not in explain(
        replace(WORKING, kernel_driver="580.65.06", driver=Driver(cuda=13000, gpus=(A100,)))
    )
    compatible = replace(WORKING, kernel_driver="470.256.02")  # with NVIDIA's compatibility package
    assert "too old" not in explain(compatible)


def test_visible_gpus_are_described(monkeypatch):
    monkeypatch.setattr(module, "visible_gpus", lambda: [A100, KEPLER])
    assert describe() == {
        "GPU 0": "NVIDIA A100-SXM4-40GB, compute capability 8.0, 40.0 GiB, bfloat16 in hardware",
        "GPU 1": "Tesla K80, compute capability 3.7, 12.0 GiB, bfloat16 not in hardware",
    }


def test_without_visible_gpus_the_reason_is_given(monkeypatch):
    monkeypatch.setattr(module, "visible_gpus", lambda: [])
    monkeypatch.setattr(module, "gather", lambda: replace(WORKING, visible=""))
    assert describe() == {"GPU": explain(replace(WORKING, visible=""))}
