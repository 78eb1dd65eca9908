"""Sequences with a class or a number: formats, lengths, statistics, and refused input."""

import numpy as np
import pytest

from conftest import load_data
from dltemplates.datasets.in_memory import passed
from dltemplates.datasets.load import load_dataset
from dltemplates.datasets.ragged import Ragged
from dltemplates.datasets.series.sequence_files import read_to_predict
from dltemplates.datasets.series.sequences import check_sequences
from dltemplates.settings import ARRAYS, DatasetSettings

COUNT = 24
CLASSES = ("fast", "slow")
HEADER = (
    "# waves\n@problemName waves\n@timeStamps false\n@univariate {}\n@equalLength false\n@classLabel true slow fast\n"
)


def waves(channels=1, *, lengths=(3, 9)):
    """Return sequences of different lengths, and their classes as text."""
    random = np.random.default_rng(0)
    sizes = random.integers(*lengths, COUNT, endpoint=True)
    sequences = [np.round(random.normal(5, 2, (size, channels)), 3) for size in sizes]
    return sequences, [CLASSES[place % 2] for place in range(COUNT)]


def padded(sequences):
    """Return sequences as one array, with NaN as padding."""
    array = np.full((len(sequences), max(map(len, sequences)), sequences[0].shape[1]), np.nan)
    for row, sequence in zip(array, sequences, strict=True):
        row[: len(sequence)] = sequence
    return array


def write_ts(path, sequences, classes):
    channels = sequences[0].shape[1]
    lines = [
        ":".join(",".join(f"{number:g}" for number in column) for column in sequence.T) + f":{name}"
        for sequence, name in zip(sequences, classes, strict=True)
    ]
    header = HEADER.format(str(channels == 1).lower()) + ("" if channels == 1 else f"@dimensions {channels}\n")
    path.write_text(header + "@data\n" + "\n".join(lines) + "\n")


def write_tsv(path, sequences, classes):
    rows = padded(sequences)[..., 0]
    lines = ["\t".join([name, *(f"{number:g}" for number in row)]) for row, name in zip(rows, classes, strict=True)]
    path.write_text("\n".join(lines))


def write_npz(path, sequences, classes):
    ids = np.array([CLASSES.index(name) for name in classes])
    np.savez(path, x=padded(sequences), y=ids, classes=np.array(CLASSES))


def write_wide(path, sequences, classes):
    rows = padded(sequences)[..., 0]
    cells = [["" if np.isnan(number) else f"{number:g}" for number in row] for row in rows]
    header = ["kind", *(f"t{step}" for step in range(rows.shape[1]))]
    lines = [",".join([name, *row]) for name, row in zip(classes, cells, strict=True)]
    path.write_text("\n".join([",".join(header), *lines]))


def write_long(path, sequences, classes):
    lines = ["walk,day," + ",".join(f"c{place}" for place in range(sequences[0].shape[1])) + ",kind"]
    for place, (sequence, name) in enumerate(zip(sequences, classes, strict=True)):
        for step, row in enumerate(sequence):
            lines.append(f"w{place},2024-01-{step + 1:02},{','.join(f'{number:g}' for number in row)},{name}")
    path.write_text("\n".join(lines))


WIDE = {"target": "kind", "series": {"sequences": True}}
LONG = {"target": "kind", "series": {"id": "walk"}}
FORMATS = {
    "waves.ts": (write_ts, {}, (1, 2)),
    "waves.tsv": (write_tsv, {}, (1,)),
    "waves.txt": (write_tsv, {}, (1,)),
    "waves.npz": (write_npz, {"series": {"sequences": True}}, (1, 2)),
    "wide.csv": (write_wide, WIDE, (1,)),
    "long.csv": (write_long, LONG, (1, 2)),
}
every_format = pytest.mark.parametrize(
    ("name", "channels"), [(name, channels) for name, (*_, every) in FORMATS.items() for channels in every]
)


def load(path, task="classification", **settings):
    return load_data(DatasetSettings(name=str(path), **settings), task)


def everything(dataset):
    """Return the sequences of all splits without padding, with their classes, in an order of their own."""
    found = []
    for source in dataset.splits.values():
        arrays = source.read(np.arange(len(source)))
        lengths = arrays.get("length", [arrays["series"].shape[1]] * len(source))
        for row, length, label in zip(arrays["series"], lengths, arrays["label"], strict=True):
            assert (row[length:] == 0).all()
            found.append((row[:length].tolist(), dataset.spec.targets[0].classes[label]))
    return sorted(found)


@every_format
def test_every_format_holds_the_same_sequences(tmp_path, name, channels):
    write, settings, _ = FORMATS[name]
    sequences, classes = waves(channels)
    write(tmp_path / name, sequences, classes)
    dataset = load(tmp_path / name, **settings)
    series, length = dataset.spec.inputs
    assert (series.name, series.kind, series.shape) == ("series", "series", (9, channels))
    assert (length.name, length.kind, length.dtype, length.range) == ("length", "length", "int32", (1, 9))
    assert set(dataset.spec.targets[0].classes) == set(CLASSES)
    expected = [(each.astype(np.float32).tolist(), label) for each, label in zip(sequences, classes, strict=True)]
    assert everything(dataset) == sorted(expected)


@every_format
def test_sequences_to_predict_need_no_class(tmp_path, name, channels):
    write, settings, _ = FORMATS[name]
    sequences, classes = waves(channels)
    write(tmp_path / name, sequences, classes)
    spec = load(tmp_path / name, **settings).spec
    if name.endswith(".csv"):
        text = (tmp_path / name).read_text()
        text = "\n".join(
            line.partition(",")[2] if name == "wide.csv" else line.rpartition(",")[0] for line in text.split("\n")
        )
        (tmp_path / name).write_text(text)
    part = read_to_predict(tmp_path / name, spec)
    assert [each.tolist() for each in part.arrays] == [each.tolist() for each in sequences]
    assert len(set(part.names)) == COUNT


def test_arrays_of_a_program():
    sequences, classes = waves(2)
    settings = {"series": {"sequences": True}}
    for x in (sequences, padded(sequences)):
        with passed((x, np.array(classes))):
            dataset = load(ARRAYS, **settings)
        expected = [(each.astype(np.float32).tolist(), label) for each, label in zip(sequences, classes, strict=True)]
        assert everything(dataset) == sorted(expected)
    with passed((sequences, np.array(classes))), pytest.raises(ValueError, match=r"list.*`dataset.series.sequences`"):
        load(ARRAYS)


def test_sequences_of_one_length_have_no_length_input(tmp_path):
    write_npz(tmp_path / "waves.npz", *waves(2, lengths=(5, 5)))
    dataset = load(tmp_path / "waves.npz", series={"sequences": True})
    assert [value.name for value in dataset.spec.inputs] == ["series"]
    assert dataset.spec.inputs[0].shape == (5, 2)


def test_a_pair_of_files_is_the_splits(tmp_path):
    for split, lengths in (("TRAIN", (3, 6)), ("TEST", (3, 9))):
        write_ts(tmp_path / f"Waves_{split}.ts", *waves(2, lengths=lengths))
    (tmp_path / "Waves.txt").write_text("About the waves")
    dataset = load(tmp_path)
    assert dataset.spec.sizes["test"] == COUNT
    assert dataset.spec.inputs[0].shape == (9, 2)


def test_statistics_leave_out_the_padding(tmp_path):
    sequences, classes = waves(2)
    write_ts(tmp_path / "waves.ts", sequences, classes)
    dataset = load(tmp_path / "waves.ts")
    arrays = dataset.split("train").read(np.arange(dataset.spec.sizes["train"]))
    rows = np.concatenate([row[:n] for row, n in zip(arrays["series"], arrays["length"], strict=True)])
    series = dataset.spec.inputs[0]
    np.testing.assert_allclose(series.mean, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(series.std, rows.std(axis=0), rtol=1e-6)
    assert not np.allclose(series.mean, arrays["series"].mean(axis=(0, 1)))


def test_sequences_of_different_lengths_are_stored_without_padding(tmp_path):
    sequences, classes = waves()
    write_tsv(tmp_path / "waves.tsv", sequences, classes)
    array = load_dataset(DatasetSettings(name=str(tmp_path / "waves.tsv"))).split("train").arrays["series"]
    assert isinstance(array, Ragged)
    assert len(array.values) == sum(map(len, sequences))


def test_numbers_to_predict(tmp_path):
    sequences, _ = waves(2)
    numbers = np.array([each.mean() for each in sequences])
    np.savez(tmp_path / "waves.npz", x=padded(sequences), y=numbers)
    (target,) = load(tmp_path / "waves.npz", "regression", series={"sequences": True}).spec.targets
    assert (target.kind, target.shape) == ("number", (1,))
    write_long(tmp_path / "long.csv", sequences, numbers)
    (target,) = load(tmp_path / "long.csv", "regression", **LONG).spec.targets
    assert (target.kind, target.columns[0].name) == ("number", "kind")
    lines = [f"1,{number:g},{number + 1:g}:{number:g}" for number in numbers]
    (tmp_path / "waves.ts").write_text("@targetLabel true\n@data\n" + "\n".join(lines))
    assert load(tmp_path / "waves.ts", "regression").spec.targets[0].kind == "number"
    write_long(tmp_path / "long.csv", sequences, ["many", *numbers[1:]])
    with pytest.raises(ValueError, match="A number to predict must be a finite number. Received: 'many' in walk w0"):
        load(tmp_path / "long.csv", "regression", **LONG)
    write_long(tmp_path / "long.csv", *waves(2))
    with pytest.raises(ValueError, match="Task .* needs targets of kind `number`. Received: `label` of kind `class`"):
        load(tmp_path / "long.csv", "regression", **LONG)


def test_a_channel_can_be_left_out(tmp_path):
    sequences, classes = waves(2)
    constant = [np.concatenate([each, np.full((len(each), 1), 7)], axis=1) for each in sequences]
    write_npz(tmp_path / "waves.npz", constant, classes)
    with pytest.raises(ValueError, match=r"vary.*`channel2`, the same in all.*columns.channel2=skip"):
        load(tmp_path / "waves.npz", series={"sequences": True})
    skipped = {"sequences": True, "columns": {"channel2": "skip"}}
    assert load(tmp_path / "waves.npz", series=skipped).spec.inputs[0].shape == (9, 2)
    write_long(tmp_path / "long.csv", constant, classes)
    with pytest.raises(ValueError, match=r"`c2`, the same in all.*columns.c2=skip"):
        load(tmp_path / "long.csv", **LONG)
    series = {"id": "walk", "columns": {"c2": "skip"}}
    assert load(tmp_path / "long.csv", target="kind", series=series).spec.inputs[0].shape == (9, 2)


def test_new_sequences_must_fit_the_network(tmp_path):
    write_ts(tmp_path / "waves.ts", *waves(2))
    spec = load(tmp_path / "waves.ts").spec
    sequences, classes = waves(2, lengths=(4, 4))
    write_ts(tmp_path / "equal.ts", sequences, classes)
    other = load_data(DatasetSettings(name=str(tmp_path / "equal.ts")), "classification", reference=spec)
    assert [value.shape for value in other.spec.inputs] == [(9, 2), ()]
    assert other.spec.inputs[0].mean == spec.inputs[0].mean
    equal = load(tmp_path / "equal.ts").spec
    for name, lengths, channels, reference, match in (
        ("long.ts", (12, 12), 2, spec, "at most 9 steps, as in training. Received: 12"),
        ("waves.ts", (3, 9), 2, equal, "must have 4 steps, as all in training. Received:"),
        ("one.ts", (4, 4), 1, spec, "the network's 2 channels. Received: 1"),
    ):
        write_ts(tmp_path / name, *waves(channels, lengths=lengths))
        with pytest.raises(ValueError, match=match):
            load_data(DatasetSettings(name=str(tmp_path / name)), "classification", reference=reference)
        part = read_to_predict(tmp_path / name, reference)
        with pytest.raises(ValueError, match=match):
            check_sequences(part, reference)


def test_an_autoencoder_needs_one_length(tmp_path):
    write_ts(tmp_path / "waves.ts", *waves(2))
    with pytest.raises(
        ValueError, match=r"Task reconstruction needs sequences of one length. Received: .*up to 9 steps"
    ):
        load(tmp_path / "waves.ts", "reconstruction")
    write_ts(tmp_path / "waves.ts", *waves(2, lengths=(4, 4)))
    (value,) = load(tmp_path / "waves.ts", "reconstruction").spec.inputs
    assert (value.name, value.shape) == ("features", (8,))
    assert value.columns[1].name == "channel1_t0"


TAGS = "@univariate true\n@equalLength true\n@classLabel true a b\n"
TS = {
    "": "header that ends with `@data`",
    "1,2:a\n": "Line 1 .*before `@data` must be a tag",
    TAGS: "header that ends with `@data`",
    TAGS + "@data\n": "must have sequences after `@data`",
    TAGS + "@data\n1,2:c\n": "Line 5 .*one of the classes a, b. Received: 'c'",
    TAGS + "@data\n1,two:a\n": "Line 5 .*must hold numbers. Received: 'two'",
    TAGS + "@data\n1,?:a\n1,2:b\n": "a number at every step. Received: none at step 2 of channel 1 in line 5",
    TAGS + "@data\n1,2:a\n1,2,3:b\n": "With `@equalLength true`.*Received: lengths 2 to 3.*`@equalLength false`",
    TAGS + "@data\n1,2:1,2:a\n": "Line 5 .*must have 1 dimensions, as its header says. Received: 2",
    TAGS + "@data\n1,2\n": "Line 5 .*must end with `:` and its class",
    TAGS + "@seriesLength 3\n@data\n1,2:a\n": "Line 6 .*must have 3 steps, as `@seriesLength` says. Received: 2",
    "@clasLabel true a\n@data\n": "known tags. Received: @clasLabel in line 1 .*Did you mean @classLabel",
    "@colour red\n@data\n": "known tags. Received: @colour .*The tags are @problemName",
    "@missing perhaps\n": "Line 1 .*must be `@missing true` or `@missing false`",
    "@classLabel true\n": "Line 1 .*must list the classes",
    "@dimensions two\n": "Line 1 .*must be `@dimensions` and a number of at least 1",
    "@timeStamps true\n": "Line 1 .*must be `@timeStamps false`",
    "@dimensions 2\n@classLabel true a b\n@data\n1,2:1:a\n": "Line 4 .*of one length. Received: lengths 1 to 2",
    "@targetLabel true\n@data\n1,2:x\n": "Line 3 .*must end with `:` and the number to predict. Received: 'x'",
    "@classLabel false\n@data\n1,2\n3,4\n": "at least two classes.*Add the class of each sequence",
}


@pytest.mark.parametrize(("text", "match"), TS.items())
def test_a_wrong_ts_file_is_refused(tmp_path, text, match):
    (tmp_path / "waves.ts").write_text(text)
    with pytest.raises(ValueError, match=match) as error:
        load(tmp_path / "waves.ts")
    assert "\n" not in str(error.value)


TABLE = {"series": {"sequences": True}, "target": "kind"}
BAD = {
    "empty.tsv": ("", {}, "must have lines. Received: an empty file"),
    "alone.tsv": ("1\n", {}, "Line 1 .*must hold a class and numbers"),
    "text.tsv": ("1\t2\tabc\n", {}, "Line 1 .*must hold numbers. Received: 'abc'"),
    "hole.tsv": ("1\t2\tNaN\t3\n2\t1\t2\t3\n", {}, "a number at every step. Received: none at step 2"),
    "none.tsv": ("1\tNaN\n2\t1\n", {}, "must have a step. Received: none in line 1"),
    "latin.tsv": (b"1\t2\xe9\n", {}, "must be text in UTF-8"),
    "inf.tsv": ("1\t2\tinf\n2\t1\t2\n", {}, "finite float32 numbers. Received: inf in line 1"),
    "text.csv": ("kind,t0\na,1\nb,x\n", TABLE, "must hold numbers. Received: 'x' in row 2 of column `t0`.*t0=skip"),
    "hole.csv": ("kind,t0,t1\na,,1\nb,1,2\n", TABLE, "a number at every step. Received: none at step 1"),
    "alone.csv": ("kind\na\nb\n", TABLE, "must have steps. Received: no column but the target"),
    "target.csv": ("t0,t1\n1,2\n", TABLE, "`dataset.target` must be a column. Received: kind. There are: t0, t1"),
    "usual.csv": ("t0,t1\n1,2\n", {"series": {"sequences": True}}, "needs the name of the column to predict"),
    "id.csv": ("g,v,kind\n1,1,a\n", LONG, "`dataset.series.id` must be a column. Received: walk. There are: g, v"),
    "mixed.csv": ("walk,v,kind\n1,1,a\n1,2,b\n", LONG, "All rows of a sequence must have one target.*for 1 of"),
    "untold.csv": ("walk,v,kind\n1,1,a\n2,2,\n", LONG, "must have a target. Received: nothing in `kind` for 2 of"),
    "unnamed.csv": ("walk,v,kind\n1,1,a\n,2,b\n", LONG, "must name its sequence in `walk`. Received: nothing in row 2"),
    "dates.csv": ("walk,v,kind\n1,2024-01-01,a\n2,2024-01-02,b\n", LONG, "must have a column of numbers"),
    "kinds.csv": (
        "kind,t0\na,1\nb,2\n",
        {"target": "kind", "series": {"sequences": True, "columns": {"t9": "skip"}}},
        "must map columns to number or skip. Received: t9=skip",
    ),
}


@pytest.mark.parametrize(("name", "content", "settings", "match"), [(name, *row) for name, row in BAD.items()])
def test_a_wrong_table_is_refused(tmp_path, name, content, settings, match):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=match) as error:
        load(tmp_path / name, **settings)
    assert "\n" not in str(error.value)


X = np.random.default_rng(0).normal(size=(6, 3, 2))
Y = np.arange(6) % 2


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x": X.astype(str), "y": Y}, r"numbers of shape \(n, steps, channels\).*Received: <U"),
        ({"x": X[0, 0], "y": Y[:2]}, r"numbers of shape .*shape \(2,\)"),
        ({"x": X, "y": Y[:5]}, r"a target for each sequence: \(6,\).*shape \(5,\)"),
        ({"x": X, "y": np.eye(2, dtype=int)[Y]}, "one class for each sequence.*argmax"),
        ({"x": X, "y": Y, "classes": np.array(["a"])}, "Class ids must be from 0 to 0.*Received: 0 to 1"),
        ({"x": X, "z": Y}, "A .npz of sequences has the keys"),
        ({"x": X[:0], "y": Y[:0]}, "Sequences must be numbers"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, arrays, match):
    np.savez(tmp_path / "waves.npz", **arrays)
    with pytest.raises(ValueError, match=match):
        load(tmp_path / "waves.npz", series={"sequences": True})


def test_class_ids_keep_their_order(tmp_path):
    np.savez(tmp_path / "waves.npz", x=np.tile(X, (5, 1, 1)), y=np.tile(Y, 5), classes=np.array(["slow", "fast"]))
    dataset = load_dataset(DatasetSettings(name=str(tmp_path / "waves.npz"), series={"sequences": True}))
    assert dataset.spec.targets[0].classes == ("slow", "fast")
    assert dataset.split("train").arrays["label"].tolist() == [0, 1] * 15


def test_numbers_to_predict_must_be_finite(tmp_path):
    np.savez(tmp_path / "waves.npz", x=X, y=np.array([0, 1, 2, np.nan, 4, 5.0]))
    with pytest.raises(ValueError, match="finite float32 number. Received: nan in sequence 3 of .*waves.npz"):
        load(tmp_path / "waves.npz", "regression", series={"sequences": True})
    (tmp_path / "waves.ts").write_text("@targetLabel true\n@data\n1,2:1\n1,3:inf\n")
    with pytest.raises(ValueError, match="finite float32 number. Received: inf in line 4 of .*waves.ts"):
        load(tmp_path / "waves.ts", "regression")


def test_there_must_be_a_sequence_to_predict(tmp_path):
    write_npz(tmp_path / "waves.npz", *waves(1, lengths=(4, 4)))
    spec = load(tmp_path / "waves.npz", series={"sequences": True}).spec
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 4)))
    with pytest.raises(ValueError, match="Data must have sequences. Received: none"):
        check_sequences(read_to_predict(tmp_path / "none.npz", spec), spec)


def test_a_forecast_and_sequences_exclude_each_other():
    with pytest.raises(ValueError, match="`window` and `id`. Remove one"):
        load("walks.csv", target="kind", series={"window": 4, "id": "walk"})


def test_a_folder_without_a_training_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must have a file for training, such as NAME_TRAIN.ts"):
        load(tmp_path, series={"sequences": True})


def test_an_input_to_predict_must_be_a_file_of_sequences(tmp_path):
    write_ts(tmp_path / "waves.ts", *waves(2))
    with pytest.raises(ValueError, match=r"An input must be a file of sequences, \.ts.*Received: .*none.ts"):
        read_to_predict(tmp_path / "none.ts", load(tmp_path / "waves.ts").spec)


def test_equal_sequences_of_different_classes_are_named(tmp_path):
    sequences, classes = waves()
    sequences[1::4] = sequences[0::4]  # their classes differ
    write_tsv(tmp_path / "waves.tsv", sequences, classes)
    (warning,) = load(tmp_path / "waves.tsv").spec.warnings
    assert "12 of 24 sequences" in warning
    assert "have the same inputs as another sequence but have another class (example " in warning
    assert "correct their classes, or remove them" in warning
