"""CIFAR-10 (Krizhevsky 2009): 32x32 colour photographs of ten things, as the binary archive or as class folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dltemplates.datasets.features import class_value
from dltemplates.datasets.images.arrays import array_dataset
from dltemplates.datasets.images.folder import folder
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.storage.archive import unpack
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.settings import DatasetSettings

ORIGIN = Origin(
    paths=(
        "cifar10/cifar-10-binary.tar.gz",
        "cifar10/cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin",
        "cifar10",
        "cifar10_images",
        "cifar10.tar.gz",
        "cifar10_images.tar.gz",
    ),
    urls=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    md5="c32a1d4ab5d03f1284b67883e8d87530",
)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"
SHAPE = (3, 32, 32)


def cifar10(settings: DatasetSettings) -> Dataset:
    """Load CIFAR-10: 50,000 photographs for training and 10,000 for the test."""
    path = locate("cifar10", ORIGIN)
    root = path if path.is_dir() else unpack(path)
    if (root / "cifar-10-batches-bin").is_dir():
        root = root / "cifar-10-batches-bin"
    if (root / "train").is_dir():
        return folder(root, settings)
    batches = [read_batch(root / name) for name in TRAIN]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    splits = {"train": (images, labels), "test": read_batch(root / TEST)}
    return array_dataset(settings, splits, class_value(CLASSES))


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one file of the binary version: for each image its label, then its red, green and blue planes.

    Returns:
        Images (n, 32, 32, 3) uint8 and labels (n,) int64.

    Raises:
        ValueError: If it is missing, incomplete, or of another format.
    """
    record = 1 + int(np.prod(SHAPE))
    content = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    records = content[: len(content) // record * record].reshape(-1, record)
    labels = records[:, 0].astype(np.int64)
    if not len(records) or content.size % record or labels.max() >= len(CLASSES):
        raise ValueError(
            f"CIFAR-10 must be {', '.join((*TRAIN, TEST))}, or class folders under train/ and test/. "
            f"Received: {path}, {'broken' if path.is_file() else 'not there'}. Unpack cifar-10-binary.tar.gz again."
        )
    images = records[:, 1:].reshape(-1, *SHAPE).transpose(0, 2, 3, 1)  # (n, 32, 32, 3)
    return np.ascontiguousarray(images), labels
