"""Benchmark of an export's memory: above its model, for two parts, and per byte of the weights.

    python tools/bench_memory.py outputs [--format tflite:float32 ...]
    python tools/bench_memory.py parts [--format ...]
    python tools/bench_memory.py weights [--format ...] [--size 100]

`outputs`: exports a network from images to images of 400x400x1 (64 MB of outputs per hundred examples), with checks.
The same network for images of 16x16x1 shows the memory of the model, the libraries and the converter.
`parts`: exports a system of two parts of 48 MB each, and one part alone.
`weights`: exports a network of `--size` MB, and one of 1 MB in the first format, for the factors of `Format.memory`.

Each export runs in its own process. Its memory is the sum of the resident memory of that process and of the converter's
process, read every 20 ms; shared pages count twice. Linux only. Prints Markdown tables in MB.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LARGE, SMALL = 400, 16  # pixels per side
WIDE = 4096  # numbers between the two parts
SPLITS = {"train": 256, "validation": 300, "test": 100}
MB = 1e6


class Images:
    """Random images, generated when they are read."""

    def __init__(self, shape, count: int, first: int):
        self.shape, self.count, self.first = shape, count, first

    def __len__(self) -> int:
        return self.count

    def read(self, indices):
        import numpy as np

        draw = [np.random.default_rng(self.first + int(index)) for index in indices]
        return {"image": np.stack([random.integers(0, 256, self.shape, dtype=np.uint8) for random in draw])}


def dataset_of(image):
    """Return a dataset of random images in three splits."""
    from dltemplates.datasets.source import Dataset
    from dltemplates.datasets.spec import DatasetSpec

    spec = DatasetSpec(inputs=(image,), targets=(image,), sizes=SPLITS, fingerprint="bench")
    splits = {name: Images(image.shape, count, place * 10**6) for place, (name, count) in enumerate(SPLITS.items())}
    return Dataset(spec, splits)


def image_of(side: int):
    from dltemplates.features import Image

    return Image(name="image", dtype="uint8", shape=(side, side, 1), range=(0, 255), resize="stretch")


def contract_of(inputs, outputs, targets=()):
    from dltemplates.tasks.serving.contract import Contract

    return Contract(name="bench", task="reconstruction", inputs=inputs, outputs=outputs, targets=targets)


def image_to_image(side: int):
    """Build a network of four layers from images to images of the same size; return task, dataset and parts."""
    import keras
    from keras import layers

    from dltemplates.tasks.reconstruction import Reconstruction
    from dltemplates.tasks.serving.contract import ServingModel

    image = image_of(side)
    dataset = dataset_of(image)
    task = Reconstruction(dataset.spec)
    inputs = keras.Input(image.shape, name="image", dtype="uint8")
    x = layers.Rescaling(1 / 255, dtype="float32")(inputs)
    for _ in range(2):
        x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    model = keras.Model(inputs, {"reconstruction": task.present(layers.Conv2D(1, 3, padding="same")(x))})
    return task, dataset, {"": ServingModel(model, contract_of((image,), (task.output(),), (image,)))}


def dense_system(names: tuple[str, ...], size: float):
    """Build an encoder, or an encoder and a decoder, each a dense network of `size` MB."""
    import keras
    import numpy as np
    from keras import layers

    from dltemplates.features import Number
    from dltemplates.tasks.reconstruction import Reconstruction
    from dltemplates.tasks.serving.contract import ServingModel
    from dltemplates.tasks.serving.serving_examples import outputs_of

    class Pair(Reconstruction):
        """Task that scores encoder and decoder in a row, or an encoder alone by its parity with Keras."""

        def evaluate(self, system, source):
            if "decoder" in system.parts:
                parts = (system.parts["encoder"], system.parts["decoder"])
                batches = [source.read(np.arange(first, first + 50)) for first in range(0, len(source), 50)]
                return self._scored((arrays, parts[1](parts[0](arrays))) for arrays in batches)
            from dltemplates.tasks.parity import Parity

            return Parity().evaluate(system, source)

    image = image_of(28)
    dataset = dataset_of(image)
    task = Pair(dataset.spec)
    code = Number(name="code", dtype="float32", shape=(64,))
    width = int(size * MB / 4 / (784 + 64))
    inputs = keras.Input(image.shape, name="image", dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255, dtype="float32")(inputs))
    encoder = keras.Model(inputs, {"code": layers.Dense(64)(layers.Dense(width, activation="relu")(x))})
    whole = names == ("",)
    first = ServingModel(encoder, contract_of((image,), (code,), (image,) if whole else ()))
    if whole:
        return task, dataset, {"": first}
    codes = keras.Input((64,), name="code")
    logits = layers.Dense(784)(layers.Dense(width, activation="relu")(codes))
    decoder = keras.Model(codes, {"reconstruction": task.present(layers.Reshape(image.shape)(logits))})
    second = ServingModel(decoder, contract_of((code,), (task.output(),)), examples=outputs_of(first))
    return task, dataset, {"encoder": first, "decoder": second}


def large_network(kind: str, size: float):
    """Build a network of `size` MB, with dense layers or convolutions."""
    import keras
    from keras import layers

    if kind == "dense":
        return dense_system(("",), size)
    from dltemplates.features import Number
    from dltemplates.tasks.serving.contract import ServingModel

    task, dataset, _ = dense_system(("",), 1)
    (image,) = dataset.spec.inputs
    filters, repeats = 256, max(1, round(size * MB / 4 / (9 * 256 * 256)))
    inputs = keras.Input(image.shape, name="image", dtype="uint8")
    x = layers.Conv2D(filters, 3, strides=4)(layers.Rescaling(1 / 255, dtype="float32")(inputs))
    for _ in range(repeats):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, {"code": layers.Dense(64)(x)})
    code = Number(name="code", dtype="float32", shape=(64,))
    return task, dataset, {"": ServingModel(model, contract_of((image,), (code,), (image,)))}


def build(case: str):
    """Return the task, the dataset and the parts of a case such as `image-400`."""
    kind, _, size = case.partition("-")
    if kind == "image":
        return image_to_image(int(size))
    if kind == "pair":
        return dense_system(("encoder", "decoder"), float(size))
    return large_network(kind, float(size))


def export(case: str, keys: list[str]) -> None:
    """Build a case, print `built`, and export it."""
    import keras

    from dltemplates.deploy.export import export_system
    from dltemplates.settings import ExportSettings

    keras.utils.set_random_seed(0)
    task, dataset, servings = build(case)
    print("built", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = export_system(servings, task, dataset, Path(folder), ExportSettings(formats=tuple(keys)), max_drop=1e9)
    for each in (report, *report.parts.values()):
        for result in each.results:
            print(f"{result.format} {result.verdict} {result.reason or ''}", flush=True)


def resident(pid: int) -> dict[int, int]:
    """Return the resident bytes of a process and of its children, by process id."""
    found = {}
    for each in (pid, *children(pid)):
        try:
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:  # the process has ended
            continue
        if match := re.search(r"VmRSS:\s+(\d+)", status):
            found[each] = int(match[1]) * 1024
    return found


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    own = list(map(int, text.split()))
    return own + [each for child in own for each in children(child)]


def measure(case: str, keys: list[str]) -> dict[str, float]:
    """Return one export's peak memory in MB (total, above the loaded model, each process), and its seconds."""
    command = [sys.executable, __file__, "export", "--case", case]
    for key in keys:
        command += ["--format", key]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=log, text=True, env=environment)
        peak = own = converter = built = started = 0.0
        while process.poll() is None:
            found = resident(process.pid)
            if not built and os.fstat(output.fileno()).st_size:
                built, started = found.get(process.pid, 0.0), time.monotonic()
            peak = max(peak, sum(found.values()))
            own = max(own, found.pop(process.pid, 0.0))
            converter = max(converter, sum(found.values()))
            time.sleep(0.02)
        output.seek(0)
        log.seek(0)
        lines = output.read().splitlines()[1:]
        if process.returncode or not lines or any("passed" not in line for line in lines):
            print(f"{case}: {' '.join(lines)}\n{log.read()[-2000:]}", file=sys.stderr)
    seconds = time.monotonic() - started
    found = {"peak": peak, "above": peak - built, "own": own - built, "converter": converter}
    return {name: size / MB for name, size in found.items()} | {"seconds": seconds}


def row(*cells: object) -> None:
    print(f"| {' | '.join(f'{cell:,.0f}' if isinstance(cell, float) else str(cell) for cell in cells)} |", flush=True)


def header(*cells: str) -> None:
    row(*cells)
    row("---", *["---:"] * (len(cells) - 1))


def main() -> None:
    from dltemplates import catalog

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measurement", choices=["outputs", "parts", "weights", "export"])
    parser.add_argument("--format", action="append", help="default: each in its own export; `all`: one export of all")
    parser.add_argument("--size", type=float, default=100.0, help="MB of weights, for `weights`")
    parser.add_argument("--kind", choices=["dense", "conv"], default="dense", help="layers, for `weights`")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measurement == "export":
        export(options.case, options.format)
        return
    every = list(catalog.FORMATS)
    wanted = [(key, every if key == "all" else [key]) for key in options.format or every]
    if options.measurement == "outputs":
        header("format", "peak", "small images", "above the model", "own process above", "seconds")
        for key, keys in wanted:
            large, small = measure(f"image-{LARGE}", keys), measure(f"image-{SMALL}", keys)
            row(key, large["peak"], small["peak"], large["peak"] - small["peak"], large["own"], large["seconds"])
    elif options.measurement == "parts":
        header("format", "two parts", "one", "ratio", "seconds")
        for key, keys in wanted:
            two, one = measure("pair-48", keys), measure("dense-48", keys)
            row(key, two["peak"], one["peak"], f"{two['peak'] / one['peak']:.2f}", two["seconds"])
    else:
        header("format", "peak", "above the loaded model", "converter", "per byte of weights", "seconds")
        small = measure(f"{options.kind}-1", wanted[0][1])
        row("1 MB", small["peak"], small["above"], small["converter"], "", small["seconds"])
        for key, keys in wanted:
            found = measure(f"{options.kind}-{options.size}", keys)
            factor = (found["above"] - small["above"]) / (options.size - 1)
            row(key, found["peak"], found["above"], found["converter"], f"{factor:.1f}", found["seconds"])


if __name__ == "__main__":
    main()
