"""MNIST (LeCun 1998) and Fashion-MNIST (Xiao 2017): the same four idx files, 28x28 grey."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from dltemplates.datasets.features import class_value
from dltemplates.datasets.images.arrays import array_dataset
from dltemplates.datasets.source import Dataset
from dltemplates.datasets.splitting.splits import split_by_key
from dltemplates.datasets.storage.locate import Origin, locate
from dltemplates.settings import DatasetSettings

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
VALIDATION = 1 / 12  # 5,000 of the 60,000

MNIST_MD5 = (
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)
MNIST_URLS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
FASHION_MD5 = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
FASHION_URLS = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def mnist(settings: DatasetSettings) -> Dataset:
    """Load MNIST: 55,000 / 5,000 / 10,000 handwritten digits."""
    return _load(settings, "mnist", tuple("0123456789"), MNIST_URLS, MNIST_MD5)


def fashion_mnist(settings: DatasetSettings) -> Dataset:
    """Load Fashion-MNIST: 55,000 / 5,000 / 10,000 pieces of clothing."""
    return _load(settings, "fashion_mnist", FASHION_CLASSES, FASHION_URLS, FASHION_MD5)


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file of bytes, gzipped or not: 0, 0, 8, the number of dimensions, the dimensions, the values.

    Raises:
        ValueError: If it is incomplete, or of another format.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"An idx file must be readable. Received: {path} ({error}). Download it again.") from error
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4")) if len(content) >= start else ()
    if not dimensions or len(content) != start + np.prod(shape, dtype=np.int64):
        raise ValueError(
            f"An idx file must hold bytes of the shape it states. Received: {path}, {len(content):,} bytes for shape "
            f"{shape}. Download it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _load(
    settings: DatasetSettings, name: str, classes: tuple[str, ...], urls: tuple[str, ...], md5: tuple[str, ...]
) -> Dataset:
    arrays = []
    for file, digest in zip(FILES, md5, strict=True):
        below = (f"{name}/{file}.gz", f"{name}/raw/{file}.gz", f"{name}/{file}", f"{name}/raw/{file}")
        arrays.append(read_idx(locate(name, Origin(below, tuple(f"{url}{file}.gz" for url in urls), digest))))
    images, labels, test_images, test_labels = arrays
    _check(name, images, labels, len(classes))
    _check(name, test_images, test_labels, len(classes))
    parts = split_by_key(labels, None, validation=VALIDATION, test=0, seed=settings.split_seed)
    splits = {part: (images[indices], labels[indices]) for part, indices in parts.items()}
    return array_dataset(settings, {**splits, "test": (test_images, test_labels)}, class_value(classes))


def _check(name: str, images: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    is_right = images.ndim == 3 and labels.shape == images.shape[:1] and len(labels) and labels.max() < num_classes
    if not is_right:
        raise ValueError(
            f"The files of {name} must hold images (n, height, width) and n labels below {num_classes}. Received: "
            f"images {images.shape}, labels {labels.shape}, largest {labels.max(initial=0)}. Download them again."
        )
