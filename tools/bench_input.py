"""Benchmark of reading JPEG files, in speed and memory: ours, Keras, PyTorch, and decoding only.

    python tools/bench_input.py [--rounds 7] [--torch-python PATH]
    python tools/bench_input.py --memory

Speed: images per second of processor time (user and system) over one epoch of 2,000 photographs of 256x256. Each reader
takes a random window of 224x224, mirrors every second image, and returns batches of 32. It runs in its own process on
one processor, because two threads on one core slow each other down, and reads one epoch to warm up. The readers take
turns, so a drift of the machine's speed affects all of them.
Memory: the peak of a fresh process that reads one epoch of 2,000 images, and another of 20,000.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

IMAGES, COPIES = 2000, 10
CANVAS, SIZE, QUALITY, BATCH = 256, 224, 90, 32  # Keras's default batch
CONTESTANTS = ("ours", "keras", "torch", "decoding")


def make_images(folder: Path) -> None:
    """Cut photographs of two classes out of scikit-learn's sample images."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    for number in range(IMAGES):
        photograph = photographs[number % 2]
        side = rng.uniform(180, 420)
        left, top = rng.uniform(0, photograph.width - side), rng.uniform(0, photograph.height - side)
        cut = photograph.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        path = folder / ("china", "flower")[number % 2] / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cut.save(path, quality=QUALITY)


def ours(folder: Path) -> Iterator[int]:
    """Yield the batch sizes of `dlt train`: deterministic, with broken files replaced."""
    import tensorflow as tf

    from dltemplates.compat import keep_freed_memory
    from dltemplates.datasets.features import class_value, image_value
    from dltemplates.datasets.images.files import Examples, FileSource, scan_files
    from dltemplates.datasets.pipeline import TrainingOrder, training_batches
    from dltemplates.datasets.spec import DatasetSpec
    from dltemplates.train_settings import Augment

    keep_freed_memory()
    tf.config.experimental.enable_op_determinism()
    names = [f"{label}/{name}" for label in sorted(os.listdir(folder)) for name in sorted(os.listdir(folder / label))]
    targets = np.array([name.startswith("flower") for name in names], np.int64)
    examples, _ = scan_files(folder, names, targets)
    assert isinstance(examples, Examples)
    image, target = image_value((SIZE, SIZE), 3, resize="stretch"), class_value(("china", "flower"))
    source = FileSource(folder, examples.fields(image, target))
    source.fail_on_bad_image = False
    batches = training_batches(
        source,
        DatasetSpec(inputs=(image,), targets=(target,), sizes={}, fingerprint=""),
        TrainingOrder(len(names), BATCH, 0),
        steps=range(2**31),
        batch=lambda example, *, training: (example["image"], tf.one_hot(example["label"], 2), None),
        augment=Augment(random_crop=SIZE / CANVAS, flip=True),
    )
    for images, _, _ in batches:
        yield len(images)


def keras(folder: Path) -> Iterator[int]:
    """Yield the batch sizes of `image_dataset_from_directory`, augmented by layers."""
    import keras

    dataset = keras.utils.image_dataset_from_directory(folder, batch_size=BATCH, seed=0, verbose=False)
    layers = keras.Sequential([keras.layers.RandomCrop(SIZE, SIZE), keras.layers.RandomFlip("horizontal")])
    dataset = dataset.map(lambda images, labels: (layers(images, training=True), labels))
    while True:
        for images, _ in dataset:
            yield len(images)


def torch(folder: Path) -> Iterator[int]:
    """Yield the batch sizes of a `DataLoader` with Pillow, in one process so that all its time counts."""
    import random

    import torch
    from PIL import Image

    torch.set_num_threads(1)  # as in the loader's workers

    class Photographs(torch.utils.data.Dataset):
        paths = sorted(folder.glob("*/*.jpg"))

        def __len__(self):
            return len(self.paths)

        def __getitem__(self, index):
            with Image.open(self.paths[index]) as image:
                left, top = random.randrange(CANVAS - SIZE + 1), random.randrange(CANVAS - SIZE + 1)
                image = image.convert("RGB").crop((left, top, left + SIZE, top + SIZE))
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            return pixels, int(self.paths[index].parent.name == "flower")

    loader = torch.utils.data.DataLoader(Photographs(), batch_size=BATCH, shuffle=True)
    while True:
        for images, _ in loader:
            yield len(images)


def decoding(folder: Path) -> Iterator[int]:
    """Decode whole images, and yield 1 for each."""
    import simplejpeg

    paths = sorted(folder.glob("*/*.jpg"))
    while True:
        for path in paths:
            simplejpeg.decode_jpeg(path.read_bytes())
            yield 1


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def serve(read: Callable[[Path], Iterator[int]], folder: Path) -> None:
    """Read an epoch for each line on stdin, and print the images per second of processor time."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    batches = read(folder)
    for _ in sys.stdin:
        started, images = processor_seconds(), 0
        while images < IMAGES:
            images += next(batches)
        settle()
        print(images / (processor_seconds() - started), flush=True)


def settle() -> None:
    """Wait until prefetching ends, so that each epoch pays for its own images only."""
    import time

    used = -1.0
    while processor_seconds() - used > 0.01:
        used = processor_seconds()
        time.sleep(0.1)


def peak_mebibytes(folder: Path) -> None:
    """Read one epoch, and print the peak of the resident memory."""
    total, images = sum(len(os.listdir(label)) for label in folder.iterdir()), 0
    for count in ours(folder):
        images += count
        if images >= total:
            break
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


def compare_speed(folder: Path, rounds: int, torch_python: str) -> None:
    processes = {}
    for name in CONTESTANTS:
        python = torch_python if name == "torch" else sys.executable
        package = {"ours": "tensorflow", "decoding": "simplejpeg"}.get(name, name)
        check = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        if subprocess.run([python, "-c", check], check=False).returncode:
            print(f"{name:10} not installed")
            continue
        command = [python, __file__, "--serve", name, "--folder", str(folder)]
        processes[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    speeds: dict[str, list[float]] = {name: [] for name in processes}
    for turn in range(rounds + 1):
        for name, process in processes.items():
            process.stdin.write("\n")
            process.stdin.flush()
            speed = float(process.stdout.readline())
            if turn:
                speeds[name].append(speed)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    for name, figures in speeds.items():
        ratios = [mine / other for mine, other in zip(speeds["ours"], figures, strict=True)]
        print(
            f"{name:10} {statistics.median(figures):6.0f} images per CPU-second "
            f"({min(figures):.0f} to {max(figures):.0f}); ours is {statistics.median(ratios):.2f} times as fast"
        )


def compare_memory(folder: Path) -> None:
    many = folder.with_name("many")
    for path in folder.glob("*/*.jpg"):
        for copy in range(COPIES):
            link = many / path.parent.name / f"{path.stem}_{copy}.jpg"
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)
    peaks = {}
    for count, where in ((IMAGES, folder), (COPIES * IMAGES, many)):
        command = [sys.executable, __file__, "--serve", "memory", "--folder", str(where)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        peaks[count] = float(done.stdout)
        print(f"{count:6} images: {peaks[count]:.0f} MiB at most", flush=True)
    print(f"ratio {peaks[COPIES * IMAGES] / peaks[IMAGES]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--torch-python", default=sys.executable, help="the python of an environment with PyTorch")
    parser.add_argument("--memory", action="store_true", help="compare memory instead of speed")
    parser.add_argument("--serve", choices=(*CONTESTANTS, "memory"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve == "memory":
        peak_mebibytes(options.folder)
    elif options.serve:
        serve(globals()[options.serve], options.folder)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "images"
            make_images(folder)
            if options.memory:
                compare_memory(folder)
            else:
                compare_speed(folder, options.rounds, options.torch_python)


if __name__ == "__main__":
    main()
