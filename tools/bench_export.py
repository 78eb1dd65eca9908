"""Benchmark of exporting networks at full size: seconds to build and to convert, and bytes of the file.

    python tools/bench_export.py [--model resnet50] [--format onnx:float32] [--rounds 2]

A model comes from the catalog, at the sizes of its paper, or from `keras.applications`. Its weights are fresh. Each
conversion runs on one thread in its own process. Importing TensorFlow is not counted: an export imports it while the
caller writes the serving model. The file then runs in its own runtime and is compared with Keras; the error is divided
by the range of Keras's output. Prints a Markdown table with the fastest of the rounds. CPU time counts all threads,
user and system.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = ("resnet50", "vgg16")
FORMATS = ("saved_model", "tflite:float32", "tflite:int8", "onnx:float32", "onnx:float16", "onnx:int8")
EXAMPLES = 8  # random images that set the ranges of integer files
HEADER = ("model", "trainable", "build (s)", "format", "export (s)", "CPU (s)", "memory (GB)", "file (MB)", "error")


def build(name: str):
    """Build the network with fresh weights on the CPU."""
    import keras

    from dltemplates import catalog
    from dltemplates.models.build import build_network

    keras.utils.set_random_seed(0)
    if name in catalog.MODELS:
        return build_network(name, catalog.MODELS[name].sizes, {})
    return getattr(keras.applications, name)(weights=None, classifier_activation=None)


def save(network, folder: Path) -> None:
    """Write the serving model of a classifier, its contract, random images, and Keras's outputs for them."""
    import keras
    import numpy as np

    from dltemplates.deploy.converters.saved_model import save_serving, with_float_images
    from dltemplates.features import ClassId, Image, Probabilities
    from dltemplates.tasks.serving.contract import Contract, ServingModel

    shape, classes = network.input_shape[1:], tuple(map(str, range(network.output_shape[-1])))
    image = Image(name="image", dtype="uint8", shape=shape, range=(0, 255), resize="stretch")
    label = ClassId(name="label", dtype="int64", shape=(), classes=classes)
    output = Probabilities(name="probabilities", dtype="float32", shape=(len(classes),), classes=classes)
    inputs = keras.Input(shape, name="image", dtype="uint8")
    logits = network(keras.layers.Rescaling(1 / 255, dtype="float32")(inputs))
    model = keras.Model(inputs, {"probabilities": keras.layers.Softmax(dtype="float32")(logits)})
    contract = Contract(name="bench", task="classification", inputs=(image,), outputs=(output,), targets=(label,))
    serving = with_float_images(ServingModel(model, contract))
    save_serving(serving, folder / "serving")
    (folder / "contract.json").write_text(serving.contract.model_dump_json())
    images = np.random.default_rng(0).integers(0, 256, (EXAMPLES, *shape)).astype("float32")
    np.savez(folder / "calibration.npz", image=images)
    np.save(folder / "expected.npy", serving.model.predict(images[:2], verbose=0)["probabilities"])


def convert(key: str, folder: Path) -> None:
    """Convert to one format, check the file, and print the figures as JSON."""
    import numpy as np

    from dltemplates.compat import peak_memory
    from dltemplates.deploy import files, worker
    from dltemplates.deploy.converters.conversion_job import ConversionJob
    from dltemplates.deploy.formats.format import load_format
    from dltemplates.runtimes import load_predictor
    from dltemplates.tasks.serving.contract import Contract

    worker._import_tensorflow()
    contract = Contract.model_validate_json((folder / "contract.json").read_text())
    work = Path(tempfile.mkdtemp(dir=folder))  # a new one, because a job reuses files of earlier jobs in its folder
    shutil.copy(folder / "calibration.npz", work)
    format, job = load_format(key), ConversionJob(folder / "serving", work, contract, "uint8")
    out = folder / files.file_name("bench", format)
    started, cpu = time.perf_counter(), time.process_time()
    format.convert(job, out)
    figures = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    figures["memory"] = peak_memory()
    images, expected = np.load(folder / "calibration.npz")["image"][:2], np.load(folder / "expected.npy")
    outputs = load_predictor(out)({"image": images})["probabilities"]
    figures |= {"bytes": files.size(out), "error": float(np.abs(outputs - expected).max() / np.ptp(expected))}
    files.remove(out)
    files.remove(work)
    print(json.dumps(figures))


def measure(key: str, folder: Path) -> dict[str, float]:
    """Return the figures of one conversion in its own process."""
    command = [sys.executable, __file__, "--convert", key, "--work", str(folder)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{key} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def bench(name: str, formats: list[str], rounds: int) -> None:
    """Print the rows of one model."""
    import keras  # noqa: F401  (not part of the time to build)

    started = time.perf_counter()
    network = build(name)
    seconds = time.perf_counter() - started
    trainable = sum(math.prod(weight.shape) for weight in network.trainable_weights)
    with tempfile.TemporaryDirectory() as folder:
        save(network, Path(folder))
        for key in formats:
            best = min((measure(key, Path(folder)) for _ in range(rounds)), key=lambda figures: figures["seconds"])
            size, memory = f"{best['bytes'] / 1e6:,.1f}", f"{best['memory'] / 1e9:.1f}"
            times = f"{best['seconds']:.1f}", f"{best['cpu']:.1f}"
            cells = f"{trainable:,}", f"{seconds:.1f}", key, *times, memory, size, f"{best['error']:.0e}"
            print(row(name, *cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help=f"by default {', '.join(MODELS)}")
    parser.add_argument("--format", action="append", help=f"by default {', '.join(FORMATS)}")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--convert", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.convert:
        convert(options.convert, options.work)
        return
    print(row(*HEADER))
    print(row("---", *["---:"] * 2, "---", *["---:"] * 5))
    for name in options.model or MODELS:
        bench(name, options.format or list(FORMATS), options.rounds)


if __name__ == "__main__":
    main()
