"""The datasets of the catalog: sizes, splits, and errors on wrong files."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import load_data
from dltemplates import catalog
from dltemplates.features import classes_of
from dltemplates.settings import DatasetSettings

IMAGES = {
    "digits": ({"train": 1294, "validation": 144, "test": 359}, (8, 8, 1), ()),
    "mnist": ({"train": 55_000, "validation": 5_000, "test": 10_000}, (28, 28, 1), ("mnist",)),
    "fashion_mnist": ({"train": 55_000, "validation": 5_000, "test": 10_000}, (28, 28, 1), ("fashion_mnist",)),
    "cifar10": (
        {"train": 45_000, "validation": 5_000, "test": 10_000},
        (32, 32, 3),
        ("cifar10", "cifar10_images", "cifar10_images.tar.gz", "cifar-10-binary.tar.gz", "cifar-10-batches-bin"),
    ),
}
TABLES = {  # rows of each split, numbers and categories of a row, classes (or None for a number)
    "gates:xor": ((4, 4, 4), (2, 0), ("0", "1")),
    "iris": ((90, 30, 30), (4, 0), ("setosa", "versicolor", "virginica")),
    "wine": ((106, 36, 36), (13, 0), ("class_0", "class_1", "class_2")),
    "breast_cancer": ((405, 50, 114), (30, 0), ("malignant", "benign")),
    "diabetes": ((304, 50, 88), (10, 0), None),
    "moons": ((720, 80, 200), (2, 0), ("upper", "lower")),
    "adult": ((29_336, 3_225, 16_281), (5, 8), ("<=50K", ">50K")),
    "california_housing": ((14_861, 1_651, 4_128), (9, 1), None),
}
FROM_FILES = {"adult", "california_housing"}
SERIES = {
    "ecg5000": "named/test_ecg5000.py",
    "etth1": "series/test_gaps.py",
    "nab": "named/test_nab.py",
    "sunspots": "series/test_csv_series.py",
}  # their own tests, in tests/datasets
TEXTS = {  # the task, the tokens, rows of each split, tokens of a text and of a target, size of the vocabulary, classes
    "sms_spam": ("classification", "words", (4_003, 440, 1_131), (222, None), 1_766, ("ham", "spam")),
    "polarity": ("classification", "words", (8_635, 959, 1_068), (61, None), 3_935, ("negative", "positive")),
    "polarity:3": ("classification", "words", (8_636, 960, 1_066), (61, None), 3_927, ("negative", "positive")),
    "tinyshakespeare": ("language_modeling", "characters", (25_674, 667, 1_626), (128, 128), 65, None),
    "multi30k": ("text_to_text", "words", (29_000, 1_014, 1_000), (45, 42), 7_014, None),
    "multi30k:fr-cs": ("text_to_text", "words", (29_000, 1_014, 1_000), (53, 40), 8_230, None),
    "kor_eng": ("text_to_text", "characters", (2_774, 308, 771), (296, 538), 895, None),
    "addition": ("text_to_text", "characters", (20_000, 1_000, 1_000), (7, 5), 11, None),
    "addition:2": ("text_to_text", "characters", (4_545, 227, 227), (5, 4), 11, None),
}
WRITTEN = {"imdb": "named/test_named.py"}  # by a test, as it is too large
REGISTER = {name.partition(":")[0] for name in (*IMAGES, *TABLES, *SERIES, *TEXTS, *WRITTEN)}


def check_registered(name):
    """Fail for a dataset of the catalog without a row."""
    if name not in REGISTER:
        pytest.fail(f"add a row to IMAGES, TABLES, SERIES or TEXTS in tests/datasets/named/test_named.py for `{name}`")


def test_every_dataset_has_a_row():
    for name in catalog.DATASETS:
        check_registered(name)
    assert set(catalog.DATASETS) == REGISTER > set()
    for name, file in (SERIES | WRITTEN).items():
        assert name in (Path(__file__).parents[1] / file).read_text()


def test_a_dataset_without_a_row_fails():
    message = "add a row to IMAGES, TABLES, SERIES or TEXTS in tests/datasets/named/test_named.py for `svhn`"
    with pytest.raises(pytest.fail.Exception, match=message):
        check_registered("svhn")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.data if name in FROM_FILES else ()) for name in TABLES],
)
def test_tables_match_their_row(name, request):
    if name in FROM_FILES:
        request.getfixturevalue("data")
    sizes, widths, classes = TABLES[name]
    dataset = load_data(name)
    (target,) = dataset.spec.targets
    assert tuple(dataset.spec.sizes.values()) == sizes
    assert (target.kind, classes_of(target) or None) == (("class", classes) if classes else ("number", None))
    assert {value.name: value.shape[0] for value in dataset.spec.inputs} == {
        name: width for name, width in zip(("features", "categories"), widths, strict=True) if width
    }
    for split, size in dataset.spec.sizes.items():
        batch = dataset.split(split).read(np.arange(size))
        for value in (*dataset.spec.inputs, target):
            assert batch[value.name].shape == (size, *value.shape)
            assert batch[value.name].dtype == value.dtype
            assert np.isfinite(batch[value.name]).all()
    assert len(dataset.spec.fingerprint) == 64


MARKS = {"digits": [], "cifar10": [pytest.mark.data, pytest.mark.slow]}  # it unpacks 60,000 files


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, [pytest.mark.data])) for name in IMAGES])
def test_contract(name, request):
    sizes, shape, paths = IMAGES[name]
    if paths:
        folder = request.getfixturevalue("data")
        if not any((folder / path).exists() for path in paths):
            pytest.skip(f"needs {' or '.join(paths)} in $DLT_DATA")
    dataset = load_data(name)
    (image,), (label,) = dataset.spec.inputs, dataset.spec.targets
    assert dataset.spec.sizes == sizes
    assert dataset.spec.skipped == {}
    assert (image.name, image.kind, image.dtype, image.shape, image.range) == (
        "image",
        "image",
        "float32",
        shape,
        (0, 255),
    )
    assert (label.name, label.kind, label.dtype, label.shape) == ("label", "class", "int64", ())
    assert label.classes is not None
    assert len(label.classes) == 10
    pictures = set()
    for split, size in sizes.items():
        source = dataset.split(split)
        assert len(source) == size
        batch = source.read(np.linspace(0, size - 1, 100).astype(int))
        assert batch["image"].shape == (100, *shape)
        assert (batch["image"].dtype, batch["label"].dtype) == (np.uint8, np.int64)
        assert batch["image"].std() > 30
        assert set(batch["label"]) <= set(range(10))
        pictures |= {picture.tobytes() for picture in batch["image"]}
    assert len(pictures) >= 297  # of 300: the splits do not overlap
    assert len(dataset.spec.fingerprint) == 64


def test_digits_equal_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    data = load_digits()
    expected = {np.round(image * 15.9375).astype(np.uint8).tobytes() for image in data.images}
    dataset = load_data("digits")
    found = [source.read(np.arange(len(source))) for source in dataset.splits.values()]
    assert {image.tobytes() for part in found for image in part["image"]} == expected
    assert sum(np.bincount(part["label"]) for part in found).tolist() == np.bincount(data.target).tolist()
    assert np.abs(np.bincount(found[2]["label"]) - 0.2 * np.bincount(data.target)).max() < 1


def test_digits_split_by_the_settings():
    first = load_data(DatasetSettings(name="digits", validation=0.2, test=0.5))
    assert first.spec.sizes == {"train": 719, "validation": 180, "test": 898}
    again = load_data(DatasetSettings(name="digits", validation=0.2, test=0.5))
    assert first.spec == again.spec
    other = load_data(DatasetSettings(name="digits", validation=0.2, test=0.5, split_seed=1))
    assert first.spec.fingerprint == other.spec.fingerprint
    assert first.spec.order != other.spec.order


def test_digits_in_another_size():
    dataset = load_data(DatasetSettings(name="digits", images={"size": (32, 24), "channels": 3, "resize": "pad"}))
    images = dataset.split("test").read(np.arange(5))["image"]
    assert images.shape == (5, 32, 24, 3)
    assert (images[:, :4] == 0).all()
    assert images.std() > 30


@pytest.mark.data
def test_mnist_validation_is_fixed(data):
    dataset = load_data("mnist")
    labels = {split: np.bincount(source.arrays["label"]) for split, source in dataset.splits.items()}
    assert (labels["train"] + labels["validation"]).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert np.abs(labels["validation"] * 12 - labels["train"] - labels["validation"]).max() <= 12


def write_idx(path, array, compress=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if compress else content)


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """Write 240 + 40 images of clothing as four idx files; `$DLT_DATA` names their folder."""
    generator = np.random.default_rng(0)
    for name, count in (("train", 240), ("t10k", 40)):
        images = generator.integers(0, 256, (count, 28, 28), np.uint8)
        write_idx(tmp_path / "fashion_mnist" / f"{name}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / "fashion_mnist" / f"{name}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10)
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    return tmp_path / "fashion_mnist"


def load_fashion():
    return load_data("fashion_mnist")


def test_fashion_mnist_from_idx_files(fashion):
    dataset = load_fashion()
    assert dataset.spec.sizes == {"train": 220, "validation": 20, "test": 40}
    assert dataset.spec.targets[0].classes[9] == "Ankle boot"
    raw = fashion / "raw"
    raw.mkdir()
    for path in fashion.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert load_fashion().spec == dataset.spec


def test_broken_idx_files_are_refused(fashion):
    path = fashion / "t10k-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match="Received: .*t10k-labels"):
        load_fashion()
    for content in (gzip.decompress(whole)[:-1], b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01\0\0\0\x01"):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(ValueError, match=r"Received: .*t10k-labels.* bytes for"):
            load_fashion()
    write_idx(path, np.zeros(39, np.uint8))
    with pytest.raises(ValueError, match=r"below 10.*Received: images \(40, 28, 28\), labels \(39,\), largest 0"):
        load_fashion()
    write_idx(path, np.full(40, 10, np.uint8))
    with pytest.raises(ValueError, match="Received: .*largest 10"):
        load_fashion()


def write_batch(path, labels, first):
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = ((first + np.arange(len(labels))[:, None] + np.arange(3072)) % 251).astype(np.uint8)
    path.write_bytes(np.concatenate([labels[:, None].astype(np.uint8), planes], axis=1).tobytes())


@pytest.fixture
def binary(tmp_path, monkeypatch):
    """Write the binary version of CIFAR-10, 40 images a file; `$DLT_DATA` names the folder above."""
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    for number, name in enumerate((*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")):
        write_batch(folder / f"{name}.bin", np.arange(40) % 10, 40 * number)
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    return folder


def load_cifar():
    return load_data("cifar10")


def test_cifar10_from_its_binary_version(binary):
    dataset = load_cifar()
    assert dataset.spec.sizes == {"train": 150, "validation": 50, "test": 40}
    batch = dataset.split("test").read(np.arange(40))
    assert batch["label"].tolist() == (np.arange(40) % 10).tolist()
    planes = ((207 + np.arange(3072)) % 251).reshape(3, 32, 32)  # red plane, then green, then blue
    assert (batch["image"][7] == planes.transpose(1, 2, 0)).all()


def test_cifar10_from_its_archive(binary):
    expected = load_cifar().spec
    archive = binary.parent / "cifar-10-binary.tar.gz"
    assert os.system(f"tar -czf {archive} -C {binary.parent} cifar-10-batches-bin") == 0
    for path in binary.iterdir():
        path.unlink()
    binary.rmdir()
    assert load_cifar().spec == expected


def test_cifar10_from_class_folders(tmp_path, monkeypatch, photo):
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    for split, count in (("train", 30), ("test", 2)):
        for label in ("bird", "cat"):
            for number in range(count):
                path = tmp_path / "cifar10" / split / label / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(photo[number : number + 32, :32]).save(path)
    assert load_cifar().spec.sizes == {"train": 45, "validation": 15, "test": 4}


def test_broken_cifar10_is_refused(binary):
    (binary / "data_batch_3.bin").write_bytes(b"x" * 1000)
    with pytest.raises(ValueError, match=r"CIFAR-10.*data_batch_1.bin.*Received: .*3.bin, broken"):
        load_cifar()
    (binary / "data_batch_3.bin").unlink()
    with pytest.raises(ValueError, match=r"Received: .*data_batch_3.bin, not there"):
        load_cifar()


def load_text(name, task=None, tokenizer=None, **options):
    if name in TEXTS:
        task, tokenizer = TEXTS[name][:2]
    text = {"tokenizer": tokenizer, **({"window": 128} if task == "language_modeling" else {}), **options}
    return load_data(DatasetSettings(name=name, text=text), task)


def texts_of(dataset, split, count=None):
    """Return the texts of a split, and the targets as text or class."""
    source, (value,), (target,) = dataset.split(split), dataset.spec.inputs, dataset.spec.targets
    arrays = source.read(np.arange(count or len(source)))
    decode = target.text if target.kind == "tokens" else lambda label: target.classes[label]
    return list(zip(map(value.text, arrays[value.name]), map(decode, arrays[target.name]), strict=True))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name.startswith("addition") else pytest.mark.data) for name in TEXTS]
)
def test_texts_match_their_row(name, request):
    _, tokenizer, sizes, lengths, vocabulary, classes = TEXTS[name]
    if not name.startswith("addition"):
        request.getfixturevalue("data")
    dataset = load_text(name)
    (value,), (target,) = dataset.spec.inputs, dataset.spec.targets
    assert tuple(dataset.spec.sizes.values()) == sizes
    assert dataset.spec.skipped == {}
    assert (value.kind, value.dtype, value.tokenizer, value.shape) == ("tokens", "int32", tokenizer, (lengths[0],))
    assert len(value.vocabulary) == vocabulary
    if classes:
        assert target.classes == classes
    else:
        assert (target.kind, target.shape, target.vocabulary) == ("tokens", (lengths[1],), value.vocabulary)
    for split in dataset.spec.sizes:
        arrays = dataset.split(split).read(np.arange(100))
        assert arrays[value.name].shape == (100, *value.shape)
        assert arrays[value.name].max() < value.vocabulary_size
        assert len({row.tobytes() for row in arrays[value.name]}) > 90
        unknown = (arrays[value.name] == 1).sum() / (arrays[value.name] != 0).sum()
        assert unknown < (0.3 if tokenizer == "words" else 0.02)
    assert len(dataset.spec.fingerprint) == 64


@pytest.mark.data
def test_spam_and_the_two_poles_of_reviews(data):
    counts = {"sms_spam": (4827, 747), "polarity": (5331, 5331)}
    for name, expected in counts.items():
        dataset = load_text(name)
        labels = [dataset.split(split).read(np.arange(size))["label"] for split, size in dataset.spec.sizes.items()]
        assert tuple(np.bincount(np.concatenate(labels))) == expected


@pytest.mark.data
def test_each_fold_of_the_reviews_is_another_test_split(data):
    folds = [set(texts_of(load_text(name), "test")) for name in ("polarity", "polarity:3")]
    assert len(folds[0] & folds[1]) < 20  # a few short reviews have the same known words
    assert folds[0] == set(texts_of(load_text("polarity:0", "classification", "words"), "test"))


@pytest.mark.data
def test_translations_belong_together(data):
    dataset = load_text("multi30k", min_frequency=1)
    source, target = texts_of(dataset, "train", 1)[0]
    assert source == "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche ."
    assert target == "Two young , White males are outside near many bushes ."
    pairs = [pair for split in ("train", "validation", "test") for pair in texts_of(load_text("kor_eng"), split)]
    assert ("가.", "Go.") in pairs


def test_sums_are_right_and_different():
    for digits in (2, 3, 6):
        name = f"addition:{digits}"
        dataset = load_text(name, "text_to_text", "characters")
        sums = [pair for split, size in dataset.spec.sizes.items() for pair in texts_of(dataset, split, min(size, 500))]
        for text, total in sums:
            first, second = map(int, text.split("+"))
            assert first + second == int(total)
            assert max(first, second) < 10**digits
        assert len({text for text, _ in sums}) == len(sums)
        assert max(len(text) for text, _ in sums) == 2 * digits + 1
    again = load_text("addition:3", "text_to_text", "characters")
    assert again.spec == load_text("addition").spec


@pytest.mark.parametrize(
    ("name", "task", "match"),
    [
        ("polarity:10", "classification", r"A fold must be 0 to 9\. Received: 'polarity:10'\. Name it"),
        ("polarity:x", "classification", r"A fold must be 0 to 9\. Received: 'polarity:x'\. Name it"),
        ("multi30k:de", "text_to_text", r"two of de, en, fr, cs\. Received: 'multi30k:de'\. Name them"),
        ("multi30k:de-de", "text_to_text", r"two of de, en, fr, cs\. Received: 'multi30k:de-de'\. Name them"),
        ("multi30k:de-ko", "text_to_text", r"two of de, en, fr, cs\. Received: 'multi30k:de-ko'\. Name them"),
        ("addition:1", "text_to_text", r"digits must be 2 to 6\. Received: 'addition:1'\. Name them"),
        ("addition:7", "text_to_text", r"digits must be 2 to 6\. Received: 'addition:7'\. Name them"),
    ],
)
def test_unknown_versions_of_texts_are_refused(name, task, match):
    with pytest.raises(ValueError, match=match):
        load_text(name, task, "characters")


def test_reviews_from_the_folders_of_imdb(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    for split, count in (("train", 30), ("test", 10)):
        for label, word in (("neg", "bad"), ("pos", "good"), ("unsup", "other")):
            folder = tmp_path / "aclImdb" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}_7.txt").write_text(f"a {word} film {number} of {split}.")
    dataset = load_text("imdb", "classification", "words", min_frequency=1)
    assert sum(dataset.spec.sizes.values()) == 80
    assert dataset.spec.sizes["test"] == 20
    assert dataset.spec.targets[0].classes == ("neg", "pos")
    for text, label in texts_of(dataset, "train"):
        assert ("good" if label == "pos" else "bad") in text.split()


def test_reviews_in_the_encoding_of_the_original(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    folder = tmp_path / "rt-polaritydata"
    folder.mkdir()
    for suffix, word in (("neg", "na\u00efve"), ("pos", "caf\u00e9")):
        lines = "".join(f"{word} {number} \n" for number in range(60))
        (folder / f"rt-polarity.{suffix}").write_bytes(lines.encode("latin-1"))
    dataset = load_text("polarity", "classification", "words", min_frequency=1)
    assert sum(dataset.spec.sizes.values()) == 120
    assert dataset.spec.sizes["test"] == 12
    assert {"na\u00efve", "caf\u00e9"} <= set(dataset.spec.inputs[0].vocabulary)
