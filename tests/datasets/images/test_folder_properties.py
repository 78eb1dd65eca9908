"""A folder of pictures gives back the classes, splits and pixels that were written into it, or names what it refuses.

The values are drawn first, then written as a tree of folders and files, then read.
"""

import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dltemplates.datasets.load import load_dataset
from dltemplates.settings import DatasetSettings

CLASS_NAMES = (
    "cat",
    "Dog",
    "10",
    "9",
    "a b",
    "x.y",
    "caf\u00e9",
    "\uace0\uc591\uc774",
    "\u00c5ngstr\u00f6m",
    "-0",
    "none",
)
SPLIT_FOLDERS = {
    "train": ("train", "Training", "TRAIN", "train_set", "1.Training", "train2017"),
    "validation": ("validation", "val", "Valid", "dev", "VALIDATION_SET"),
    "test": ("test", "Testing", "TEST", "test_set"),
}
FORMATS = {  # the lossless formats of each mode, and JPEG
    "1": ("png", "bmp", "gif"),
    "L": ("png", "bmp", "gif", "jpg"),
    "LA": ("png",),
    "I;16": ("png",),
    "P": ("png", "bmp", "gif"),
    "RGB": ("png", "bmp", "jpg"),
    "RGBA": ("png",),
}
WITH_EXIF = ("png", "jpg")
UPRIGHT_TO_STORED = {  # the pixels in a file, from the upright picture, by EXIF orientation
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: np.rot90,
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, -1),
}
ORIENTATION_TAG = 0x0112


class Picture(NamedTuple):
    """A picture to write.

    Attributes:
        mode: The Pillow mode.
        suffix: The format.
        orientation: The EXIF orientation.
        seed: Seed of its pixels.
    """

    mode: str
    suffix: str
    orientation: int
    seed: int

    def write(self, path: Path, size: tuple[int, int]) -> np.ndarray | None:
        """Write the picture; return its pixels (height, width, 3), or None for JPEG, which changes them."""
        image, expected = self._draw(size)
        options = {"format": {"jpg": "JPEG"}.get(self.suffix, self.suffix.upper())}
        if self.orientation != 1:
            exif = Image.Exif()
            exif[ORIENTATION_TAG] = self.orientation
            options["exif"] = exif
        image.save(path, **options)
        return None if self.suffix == "jpg" else expected

    def _draw(self, size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
        """Return the stored image, and the upright pixels."""
        random = np.random.default_rng(self.seed)
        stored = UPRIGHT_TO_STORED[self.orientation]
        grey = random.integers(0, 256, size, np.uint8)
        colors = random.integers(0, 256, (*size, 3), np.uint8)
        is_opaque = random.random(size) < 0.5  # half-transparent pixels would be rounded

        def image_of(pixels):
            return Image.fromarray(np.ascontiguousarray(stored(pixels)))

        def in_colors(level):
            return np.repeat(level[..., None], 3, axis=-1)

        alpha = np.where(is_opaque, 255, 0).astype(np.uint8)
        if self.mode == "1":
            return image_of(grey > 127), in_colors(np.where(grey > 127, 255, 0).astype(np.uint8))
        if self.mode == "LA":
            return image_of(np.dstack([grey, alpha])), in_colors(np.where(is_opaque, grey, 255).astype(np.uint8))
        if self.mode == "I;16":
            return image_of(grey.astype(np.uint16) * 256 + random.integers(0, 256, size, np.uint16)), in_colors(grey)
        if self.mode == "P":
            palette = random.integers(0, 256, (256, 3), np.uint8)
            image = Image.frombytes("P", stored(grey).shape[::-1], np.ascontiguousarray(stored(grey)).tobytes())
            image.putpalette(palette.tobytes())
            return image, palette[grey]
        if self.mode == "RGBA":
            expected = np.where(is_opaque[..., None], colors, 255).astype(np.uint8)
            return image_of(np.dstack([colors, alpha])), expected
        return (image_of(grey), in_colors(grey)) if self.mode == "L" else (image_of(colors), colors)


class Tree(NamedTuple):
    """A folder to write.

    Attributes:
        pictures: The pictures of each class of each split; the split `""` for a folder without splits.
        size: Height and width of the upright pictures.
        split_folders: The folder of each split.
        forms: The Unicode form of the names in each split.
        below: A folder between the class and its pictures; "" for none.
        has_litter: Whether hidden files lie beside the pictures.
    """

    pictures: dict[str, dict[str, list[Picture]]]
    size: tuple[int, int]
    split_folders: dict[str, str]
    forms: dict[str, str]
    below: str
    has_litter: bool

    def write(self, root: Path) -> dict[str, tuple[str, str, np.ndarray | None]]:
        """Write the folder; return the split, class and pixels of each file."""
        written = {}
        for split, classes in self.pictures.items():
            for label, pictures in classes.items():
                name = unicodedata.normalize(self.forms[split], label)
                folder = root / self.split_folders.get(split, "") / name / self.below
                folder.mkdir(parents=True)
                for number, picture in enumerate(pictures):
                    path = folder / f"{number}.{picture.suffix}"
                    pixels = picture.write(path, self.size)
                    written[path.relative_to(root).as_posix()] = (split or "train", label, pixels)
                if self.has_litter:
                    (folder / ".DS_Store").write_bytes(b"\0")
        return written


@st.composite
def pictures(draw) -> Picture:
    mode = draw(st.sampled_from(sorted(FORMATS)))
    suffix = draw(st.sampled_from(FORMATS[mode]))
    orientation = draw(st.integers(1, 8)) if suffix in WITH_EXIF else 1
    return Picture(mode, suffix, orientation, draw(st.integers(0, 2**32 - 1)))


@st.composite
def trees(draw) -> Tree:
    labels = draw(st.lists(st.sampled_from(CLASS_NAMES), min_size=1, max_size=4, unique=True))
    others = draw(st.lists(st.sampled_from(("validation", "test")), max_size=2, unique=True))
    splits = ["train", *others] if draw(st.booleans()) else [""]
    return Tree(
        {split: {label: draw(st.lists(pictures(), min_size=1, max_size=3)) for label in labels} for split in splits},
        draw(st.tuples(st.integers(1, 9), st.integers(1, 9))),
        {split: draw(st.sampled_from(SPLIT_FOLDERS[split])) for split in splits if split},
        {split: draw(st.sampled_from(("NFC", "NFD"))) for split in splits},
        draw(st.sampled_from(("", "2024", "train"))) if splits != [""] else draw(st.sampled_from(("", "2024"))),
        draw(st.booleans()),
    )


def check_that_reading_gives_the_values_back(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photographs"
        written = tree.write(root)
        dataset = load_dataset(DatasetSettings(name=str(root), images={"size": tree.size}))
        assert dataset.spec.skipped == {}
        assert set(dataset.splits) == {split for split, _, _ in written.values()}
        found = {}
        for split, source in dataset.splits.items():
            arrays = source.read(np.arange(len(source)))
            labels = [dataset.spec.targets[0].classes[index] for index in arrays["label"]]
            found |= {
                name: (split, unicodedata.normalize("NFC", label), pixels)
                for name, label, pixels in zip(source.keys, labels, arrays["image"], strict=True)
            }
    assert sorted(found) == sorted(written)
    for name, (split, label, pixels) in written.items():
        assert found[name][:2] == (split, unicodedata.normalize("NFC", label))
        read = found[name][2]
        assert read.shape[:2] == tree.size
        if pixels is not None:
            np.testing.assert_array_equal(read, pixels[..., : read.shape[-1]], err_msg=name)


PROPERTY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=100, derandomize=True, **PROPERTY)
@given(trees())
def test_reading_gives_the_values_back(tree):
    check_that_reading_gives_the_values_back(tree)


@pytest.mark.slow
@settings(max_examples=2000, **PROPERTY)
@given(trees())
def test_reading_gives_the_values_of_many_folders_back(tree):
    check_that_reading_gives_the_values_back(tree)


def without_train(root, folders):
    shutil.rmtree(root / folders["validation"])
    shutil.rmtree(root / folders["train"])
    return root


def with_an_empty_split(root, folders):
    shutil.rmtree(root / folders["test"])
    (root / folders["test"] / "cat").mkdir(parents=True)
    return root / folders["test"]


def with_two_folders_of_a_split(root, folders):
    (root / "eval" / "cat").mkdir(parents=True)
    return root / folders["validation"]


def with_broken_pictures(root, folders):
    for path in [path for path in (root / folders["train"]).rglob("*") if path.is_file()]:
        path.write_bytes(b"no picture")
    return root / folders["train"]


@pytest.mark.parametrize(
    "damage", [without_train, with_an_empty_split, with_two_folders_of_a_split, with_broken_pictures]
)
@settings(max_examples=10, derandomize=True, **PROPERTY)
@given(tree=trees().filter(lambda tree: len(tree.pictures) == 3))
def test_a_refusal_names_the_path(damage, tree):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photographs"
        tree.write(root)
        named = damage(root, tree.split_folders)
        with pytest.raises(ValueError, match="Received: ") as caught:
            load_dataset(DatasetSettings(name=str(root), images={"size": tree.size}))
    assert str(named) in str(caught.value)
    assert "\n" not in str(caught.value)
