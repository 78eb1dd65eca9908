"""Equal examples stand in one split, and the data's own splits lose their copies; contradicting classes are named."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import load_data
from dltemplates.cli.output import run_result
from dltemplates.datasets.images import pixel_hashes
from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.datasets.splitting.duplicates import MAX_WRONG_ROWS, find_copies
from dltemplates.datasets.splitting.hashes import hash_inputs
from dltemplates.datasets.splitting.row_splits import RowSplits
from dltemplates.datasets.splitting.splits import Strata, split_examples, split_new_rows
from dltemplates.features import Number
from dltemplates.reports.report import write_report
from dltemplates.settings import DatasetSettings
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.serving.contract import Contract
from dltemplates.template import parse_template
from dltemplates.training.train import train

SETTINGS = DatasetSettings(name="x", validation=0.25, test=0.2)
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 6, 9, 3), np.uint8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep tests out of the user's cache."""
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "cache"))


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_splits(folder, **splits):
    """Write the numbered pictures of each split in turn into two class folders."""
    for split, numbers in splits.items():
        for place, number in enumerate(numbers):
            write(folder / split / ("cat", "dog")[place % 2] / f"{number}.png", PIXELS[number])
    return folder


def rotated(folder, pixels):
    """Write a PNG file that decodes to `pixels` after its EXIF rotation by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return write(folder / "rotated.png", np.ascontiguousarray(np.rot90(pixels)), exif=exif)


COPIES = {
    "same name and bytes": lambda folder, pixels: write(folder / "copy.png", pixels),
    "other compression": lambda folder, pixels: write(folder / "copy.png", pixels, compress_level=0),
    "BMP": lambda folder, pixels: write(folder / "copy.bmp", pixels),
    "turned by EXIF": rotated,
    "opaque alpha": lambda folder, pixels: write(
        folder / "copy.png", np.dstack([pixels, np.full((6, 9), 255, np.uint8)])
    ),
    "palette": lambda folder, pixels: (
        Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "copy.png")
    ),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_picture_in_test_is_dropped_from_train(tmp_path, kind):
    folder = write_splits(tmp_path / "data", train=range(12), validation=range(12, 16), test=range(16, 20))
    few_colors = PIXELS[50] // 128 * 255  # so that a palette holds them all
    COPIES[kind](folder / "train" / "dog", few_colors)
    write(folder / "test" / "cat" / "original.png", few_colors)
    dataset = load_data(str(folder))
    assert {split: len(source) for split, source in dataset.splits.items()} == dataset.spec.sizes
    assert dataset.spec.sizes == {"train": 12, "validation": 4, "test": 5}
    told, contradiction = dataset.spec.warnings
    assert told.startswith("1 of the 13 images in train are also in test (train/dog/")
    assert told.endswith("and are left out of train: --set dataset.duplicates=keep uses them")
    assert contradiction.startswith("2 of 22 images, 0 of them in train, equal another image but have another class (t")


def test_nearly_equal_pictures_are_different(tmp_path):
    folder = write_splits(tmp_path / "data", train=range(12), test=range(16, 20))
    one_level = PIXELS[16].copy()
    one_level[5, 8, 2] ^= 1
    write(folder / "train" / "cat" / "level.png", one_level)
    write(folder / "train" / "cat" / "mirrored.png", np.ascontiguousarray(PIXELS[16][:, ::-1]))
    write(folder / "train" / "cat" / "flat.png", np.full((6, 9, 3), 7, np.uint8))
    write(folder / "test" / "cat" / "flat.png", np.full((9, 6, 3), 7, np.uint8))
    dataset = load_data(DatasetSettings(name=str(folder), images={"size": (6, 9)}))
    assert sum(dataset.spec.sizes[split] for split in ("train", "validation")) == 15
    assert dataset.spec.warnings == ()


def test_a_grey_picture_equals_its_copy_in_colors(tmp_path):
    folder = write_splits(tmp_path / "data", train=range(12), validation=range(12, 16), test=range(16, 20))
    write(folder / "train" / "cat" / "grey.png", PIXELS[50][..., 0])
    write(folder / "test" / "cat" / "color.bmp", np.repeat(PIXELS[50][..., :1], 3, axis=-1))
    assert load_data(str(folder)).spec.sizes == {"train": 12, "validation": 4, "test": 5}


def test_copies_in_all_three_splits_stay_in_test(tmp_path):
    folder = write_splits(tmp_path / "data", train=range(12), validation=[0, 12, 13, 14, 15], test=[0, 12, 16, 17, 18])
    dataset = load_data(str(folder))
    assert dataset.spec.sizes == {"train": 11, "validation": 3, "test": 5}
    assert [text.partition(" (")[0] for text in dataset.spec.warnings[:2]] == [
        "1 of the 12 images in train are also in validation or test",
        "2 of the 5 images in validation are also in test",
    ]


def test_the_order_of_the_splits_decides_which_copy_stays():
    groups = {
        "train": np.array([1, 2, 3, 3, 9], np.uint64),
        "validation": np.array([2, 4, 9], np.uint64),
        "test": np.array([4, 5, 5, 3], np.uint64),
    }
    copies = {split: array.tolist() for split, array in find_copies(groups).items()}
    assert copies == {
        "train": [False, True, True, True, True],
        "validation": [False, True, False],
        "test": [False] * 4,
    }
    trained = find_copies(groups, np.array([2, 5], np.uint64))
    assert trained["validation"].tolist() == [True, True, False]
    assert trained["test"].tolist() == [False, True, True, False]
    assert trained["train"].tolist() == [False, False, True, True, True]  # of an example out of validation, train stays


def table(rows, *, label=None, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame({
        "size": random.normal(size=rows).round(6),
        "place": random.choice(["in", "out"], rows),
        "label": random.choice(["a", "b"], rows) if label is None else label,
    })  # fmt: skip


def write_tables(folder, **frames):
    for split, frame in frames.items():
        frame.to_csv(folder / f"{split}.csv", index=False)
    return str(folder)


def test_rows_in_test_are_dropped_from_train_whatever_their_label(tmp_path):
    train, test = table(40), table(10, seed=1)
    copies = test.iloc[[3, 7]].assign(label=["a", "b"])
    copies = pd.concat([copies, copies.assign(label=["b", "a"])])
    name = write_tables(tmp_path, train=pd.concat([copies, train]), validation=table(8, seed=2), test=test)
    dataset = load_data(name)
    assert dataset.spec.sizes == {"train": 40, "validation": 8, "test": 10}
    assert dataset.spec.warnings[0] == (
        "4 of the 44 rows in train are also in test (train row 1, train row 2, train row 3, ...) and are left out of "
        "train: --set dataset.duplicates=keep uses them"
    )
    kept = load_data(DatasetSettings(name=name, duplicates="keep"))
    assert kept.spec.sizes == {"train": 44, "validation": 8, "test": 10}
    assert kept.spec.warnings[0].endswith(
        ", ...), so scores may be too good: --set dataset.duplicates=drop leaves them out"
    )


def test_spelling_makes_no_other_row(tmp_path):
    train = table(40).astype({"size": object})
    train.loc[0] = ["1", "in", "a"]
    train.loc[1] = ["-0", "out", "b"]
    test = table(10, seed=1).astype({"size": object})
    test.loc[0] = ["1.0", " in", "a"]
    test.loc[1] = ["0.00", "out ", "b"]
    dataset = load_data(write_tables(tmp_path, train=train, validation=table(8, seed=2), test=test))
    assert dataset.spec.sizes["train"] == 38


def test_rows_with_other_numbers_to_predict_are_different(tmp_path):
    """Measurements are repeated: equal inputs may have different results."""
    train, test = (table(rows, label=np.arange(rows) + 0.5, seed=rows) for rows in (40, 10))
    repeated = test.iloc[[0, 1, 2]].assign(label=[0.5, 1.5, 99.5])
    validation = table(8, label=np.arange(8) / 3)
    name = write_tables(tmp_path, train=pd.concat([train, repeated]), validation=validation, test=test)
    dataset = load_data(name)
    assert dataset.spec.sizes["train"] == 41
    assert len(dataset.spec.warnings) == 1


def test_a_task_without_a_target_compares_the_inputs_alone(tmp_path):
    train, test = (table(rows, label=np.arange(rows) + 0.5, seed=rows).drop(columns="place") for rows in (40, 10))
    repeated = test.iloc[[0, 1, 2]].assign(label=[0.5, 1.5, 99.5])
    frames = {"train": pd.concat([train, repeated]), "validation": train.iloc[:8] + 99, "test": test}
    name = write_tables(tmp_path, **frames)
    assert load_data(DatasetSettings(name=name, target="label")).spec.sizes["train"] == 41
    assert load_data(DatasetSettings(name=name, target="label"), task="reconstruction").spec.sizes["train"] == 40


def test_equal_pictures_with_other_numbers_share_a_split(tmp_path):
    for split, numbers in {"train": range(20), "validation": range(20, 25), "test": [3, *range(25, 30)]}.items():
        for number in numbers:
            write(tmp_path / split / f"{number}.bmp", PIXELS[number])
        rows = [f"{number}.bmp,{number + len(split)}" for number in numbers]
        (tmp_path / split / "labels.csv").write_text("\n".join(["file,weight", *rows]))
    dataset = load_data(str(tmp_path))
    assert dataset.spec.sizes == {"train": 19, "validation": 5, "test": 6}
    assert len(dataset.spec.warnings) == 1


def test_arrays_are_compared_too(tmp_path):
    labels = np.arange(60) % 3
    arrays = {"x_train": PIXELS[:40], "y_train": labels[:40], "x_test": PIXELS[38:50], "y_test": labels[38:50]}
    arrays |= {"x_validation": PIXELS[50:], "y_validation": labels[50:]}
    np.savez(tmp_path / "a.npz", **arrays)
    dataset = load_data(str(tmp_path / "a.npz"))
    assert dataset.spec.sizes == {"train": 38, "validation": 10, "test": 12}
    assert "(train example 38, train example 39)" in dataset.spec.warnings[0]


def test_an_array_equals_its_picture_in_a_file(tmp_path):
    folder = write_splits(tmp_path / "data", train=range(4))
    np.savez(tmp_path / "a.npz", x=PIXELS[:4], y=np.arange(4) % 2)
    files, arrays = (load_dataset(DatasetSettings(name=str(path))) for path in (folder, tmp_path / "a.npz"))
    found = hash_inputs(files.split("train"), files.spec)
    assert sorted(found) == sorted(hash_inputs(arrays.split("train"), arrays.spec))
    assert len(set(found)) == 4


def test_copies_alone_are_refused(tmp_path):
    frame = table(20)
    with pytest.raises(ValueError, match=r"Received: only copies in train. Add others, .*dataset.duplicates=keep"):
        load_data(write_tables(tmp_path, train=frame, validation=table(8, seed=2), test=frame))
    kept = load_data(DatasetSettings(name=str(tmp_path), duplicates="keep"))
    assert kept.spec.sizes["train"] == 20
    assert load_data(str(tmp_path), reference=kept.spec).spec.sizes["train"] == 20  # nothing is trained on
    only_b = pd.concat([frame.assign(label="a"), table(2, label="b", seed=1)])
    write_tables(tmp_path, train=only_b, test=pd.concat([table(2, label="b", seed=1), table(9, label="a", seed=3)]))
    with pytest.raises(ValueError, match="Received: only copies of class b in train"):
        load_data(str(tmp_path))


def test_an_older_network_keeps_its_splits(tmp_path):
    test = table(10, seed=1)
    name = write_tables(tmp_path, train=pd.concat([table(40), test]), validation=table(8, seed=2), test=test)
    reference = load_data(DatasetSettings(name=name, duplicates="keep")).spec
    assert load_data(name, reference=reference).spec.sizes["train"] == 40
    known = {"inputs": reference.inputs, "targets": reference.targets, "task": "conftest:AnyTarget"}
    contract = Contract(name="network", outputs=(), reading_rules=2, **known)
    settings = DatasetSettings(name=name)
    _, dataset = load_for(contract, settings=settings, from_file=False)
    assert dataset.spec.sizes["train"] == 50
    newer = contract.model_copy(update={"reading_rules": 3})
    _, everything = load_for(newer, settings=settings, whole=True, from_file=False)
    assert len(everything.split("all")) == 68


def test_published_splits_stay():
    """The four rows of a logic gate are all of its data: each split holds them."""
    dataset = load_data("gates:xor")
    assert dataset.spec.sizes == {"train": 4, "validation": 4, "test": 4}
    assert dataset.spec.warnings == ()


def test_equal_pictures_are_drawn_into_one_split(tmp_path):
    folder = write_splits(tmp_path / "data", **{".": range(40)})
    for number in range(40):
        write(folder / "cat" / f"copy{number}.bmp", PIXELS[number])
    dataset = load_data(str(folder))
    numbers = {
        split: [name.rpartition("/")[2].removeprefix("copy").partition(".")[0] for name in source.keys]
        for split, source in dataset.splits.items()
    }
    assert sum(map(len, numbers.values())) == 80
    for split, found in numbers.items():
        assert all(found.count(number) == 2 for number in found), split
    (told,) = [text for text in dataset.spec.warnings if "another class" in text]
    assert told.startswith("40 of 80 images, ")


def test_rows_that_differ_in_the_class_share_a_split(tmp_path):
    frame = table(60)
    other = frame.iloc[:20].assign(label=frame.label.map({"a": "b", "b": "a"}))
    pd.concat([frame, other]).to_csv(tmp_path / "t.csv", index=False)
    dataset = load_data(str(tmp_path / "t.csv"))
    found = [set(map(tuple, source.read(np.arange(len(source)))["features"])) for source in dataset.splits.values()]
    assert sum(map(len, found)) == len(set.union(*found)) == 60
    assert sum(dataset.spec.sizes.values()) == 80
    (told,) = dataset.spec.warnings
    in_train = dataset.rows.splits.tolist().count(0)
    assert 0 < int(told.split(" rows, ")[1].split()[0]) < in_train
    assert told.startswith("40 of 80 rows, ")
    assert "have the same inputs as another row but have another class (row " in told


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_few_rows_of_another_class_are_natural(tmp_path, share):
    frame = table(400)
    wrong = round(share * MAX_WRONG_ROWS * 400)
    other = frame.iloc[:wrong].assign(label=frame.label.map({"a": "b", "b": "a"}))
    pd.concat([frame, other]).to_csv(tmp_path / "t.csv", index=False)
    told = load_data(str(tmp_path / "t.csv")).spec.warnings
    assert len(told) == (share > 1)


@pytest.mark.parametrize(("copies", "repeated"), [(2, 0), (9, 9)])
def test_many_repeated_training_examples_are_counted(tmp_path, copies, repeated):
    train = table(90)
    frames = {
        "train": pd.concat([train, train.iloc[:copies]]),
        "validation": table(9, seed=2),
        "test": table(9, seed=1),
    }
    spec = load_data(write_tables(tmp_path, **frames)).spec
    assert spec.sizes["train"] == 90 + copies
    assert (spec.repeated, spec.warnings) == (repeated, ())


def test_a_run_says_what_it_left_out(tmp_path, capsys):
    """Its copies with another class, and its repeated examples."""
    train_rows, test_rows = table(90).drop(columns="place"), table(20, seed=1).drop(columns="place")
    copies = test_rows.iloc[:8].assign(label=test_rows.label.map({"a": "b", "b": "a"}))
    frames = {"train": pd.concat([copies, train_rows, train_rows.iloc[:30]]), "test": test_rows}
    name = write_tables(tmp_path, **frames)
    settings = {"task": "classification", "dataset": {"name": name}, "train": {"epochs": 1}}
    run = train(parse_template(settings | {"model": {"name": "mlp", "units": [2]}}), output=tmp_path / "run")
    run_result(run, False)
    printed = capsys.readouterr().out
    report = write_report(run).read_text()
    for text in (printed, report):
        assert "8 of the 128 rows in train are also in test (train row 1, train row 2, train row 3, ...)" in text
        assert (
            f"{run.record.spec.repeated} of {run.record.spec.sizes['train']} training examples repeat another" in text
        )
    assert 20 < run.record.spec.repeated <= 30
    assert "16 of 148 rows, 0 of them in train, have the same inputs as another row" in printed


def test_equal_pictures_with_other_labels_are_named(tmp_path):
    for number in range(30):
        write(tmp_path / f"{number}.png", PIXELS[number])
    write(tmp_path / "copy.bmp", PIXELS[7])
    write(tmp_path / "same.bmp", PIXELS[8])
    rows = [f"{number}.png,red;wet" for number in range(30)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,labels", *rows, "copy.bmp,red", "same.bmp,wet;red"]))
    (told,) = load_data(str(tmp_path)).spec.warnings
    assert told.startswith("2 of 32 images, ")
    assert told.endswith("but have another class (7.png, copy.bmp): correct their classes, or remove them")


def test_a_class_whose_rows_all_equal_others_stays_in_train():
    """Its rows would otherwise belong to the other class, and might all be drawn into test."""
    hashes = np.append(np.arange(40), [5, 11, 17]).astype(np.uint64)
    groups = np.repeat([0, 1], [40, 3])
    parts, _ = split_examples(hashes, None, Strata(groups, ("common", "rare")), SETTINGS)
    assert groups[parts["train"]].max() == 1


def test_a_new_example_joins_the_split_of_its_group():
    groups = np.arange(100, 140).astype(np.uint64)
    parts, _ = split_examples(groups, None, None, SETTINGS)
    splits = np.zeros(40, np.uint8)
    splits[parts["validation"]], splits[parts["test"]] = 1, 2
    known = RowSplits.from_bytes(
        RowSplits(groups + np.uint64(1000), splits, np.empty(0), groups=groups).to_bytes(), "x"
    )
    new = np.arange(5000, 5040).astype(np.uint64)  # the same inputs with other classes
    _, again = split_new_rows(np.append(known.hashes, new), np.append(groups, groups), known, SETTINGS)
    for place, split in enumerate(("train", "validation", "test")):
        expected = np.flatnonzero(splits == place)
        np.testing.assert_array_equal(np.sort(again[split]), np.append(expected, expected + 40))


def test_repeated_windows_of_a_series_stay(tmp_path):
    pd.DataFrame({"x": np.tile([1.0, 2, 4, 3], 25)}).to_csv(tmp_path / "x.csv", index=False)
    dataset = load_data(
        DatasetSettings(name=str(tmp_path / "x.csv"), validation=0.1, series={"window": 4, "horizon": 1}),
        task="forecasting",
    )
    assert dataset.spec.sizes == {"train": 68, "validation": 8, "test": 20}
    assert dataset.spec.warnings == ()


def test_a_source_of_the_users_own_code_is_compared(monkeypatch):
    """A user's function may give all splits itself."""
    value = Number(name="features", dtype="float32", shape=(2,))
    rows = np.arange(40, dtype=np.float32).reshape(20, 2)
    target = Number(name="y", dtype="float32", shape=(1,))
    splits = {
        split: ArraySource({"features": rows[part], "y": rows[part, :1]})
        for split, part in {"train": slice(0, 12), "validation": slice(10, 15), "test": slice(14, 20)}.items()
    }
    own = Dataset(DatasetSpec(inputs=(value,), targets=(target,), sizes={}), splits)
    monkeypatch.setattr("conftest.own_data", lambda settings: own, raising=False)
    assert load_data("conftest:own_data").spec.sizes == {"train": 10, "validation": 4, "test": 6}


@pytest.fixture
def counted(monkeypatch):
    """Return the files that were decoded for their hashes."""
    decoded = []

    def decode(path, channels):
        decoded.append(path.name)
        return original(path, channels)

    original = pixel_hashes.decode
    monkeypatch.setattr(pixel_hashes, "decode", decode)
    monkeypatch.setattr(pixel_hashes, "MIN_SECONDS", 0.0)
    return decoded


def hashes_of(folder):
    dataset = load_dataset(DatasetSettings(name=str(folder)))
    return dict(
        zip(dataset.split("train").keys, hash_inputs(dataset.split("train"), dataset.spec).tolist(), strict=True)
    )


def test_a_file_is_decoded_once(tmp_path, counted):
    folder = write_splits(tmp_path / "data", **{".": range(6)})
    first = hashes_of(folder)
    assert len(counted) == 6
    write(folder / "cat" / "new.bmp", PIXELS[40])
    write(folder / "cat" / "0.png", PIXELS[41])
    again = hashes_of(folder)
    assert sorted(counted[6:]) == ["0.png", "new.bmp"]
    assert len(set(again.values())) == 7
    assert [name for name in first if first[name] != again[name]] == ["cat/0.png"]
    (cache,) = (tmp_path / "cache" / "pixels").iterdir()
    cache.write_bytes(cache.read_bytes()[:-9])
    assert hashes_of(folder) == again


def test_fast_hashes_are_not_cached(tmp_path, counted, monkeypatch):
    monkeypatch.setattr(pixel_hashes, "MIN_SECONDS", 1e9)
    hashes_of(write_splits(tmp_path / "data", **{".": range(6)}))
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, counted, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "file"))
    assert len(hashes_of(write_splits(tmp_path / "data", **{".": range(6)}))) == 6


def test_bitmaps_with_equal_ends_are_different(tmp_path):
    """A bitmap starts with its last row: large ones may have the same last 64 kB."""
    large = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
    write(tmp_path / "data" / "cat" / "a.bmp", large)
    large[199] ^= 255
    write(tmp_path / "data" / "cat" / "b.bmp", large)
    assert len(set(hashes_of(tmp_path / "data").values())) == 2


def test_a_file_that_breaks_after_its_header_has_a_hash(tmp_path):
    folder = write_splits(tmp_path / "data", **{".": range(6)})
    path = folder / "cat" / "0.png"
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(20) + content[middle + 20 :])
    assert len(set(hashes_of(folder).values())) == 6
