"""Arrays and DataFrames of a Python program, as the data of a run."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris

import dltemplates as dlt
from dltemplates.datasets.in_memory import in_memory, passed, template_on, with_target
from dltemplates.features import ClassId, Number
from dltemplates.settings import ARRAYS, DatasetSettings
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template

FAST = {"train.epochs": 3, "train.learning_rate": 0.01, "train.batch_size": 16}


@pytest.fixture(scope="module")
def iris():
    frame = load_iris(as_frame=True).frame
    return frame.drop(columns="target"), load_iris().target_names[frame["target"]]


@pytest.fixture(scope="module")
def run(iris, tmp_path_factory):
    """Return a run on a DataFrame and an array of names."""
    template = load_template("softmax_regression_iris", FAST)
    return dlt.train(template, data=iris, output=tmp_path_factory.mktemp("runs") / "iris")


def test_a_run_on_a_table_evaluates_exports_and_predicts(run, iris):
    assert run.template.dataset.name == ARRAYS
    assert run.template.dataset.target == "target"
    assert run.scores["test"]["accuracy"] > 0.5
    report = dlt.export(run, data=iris, formats=["tflite:float32"])
    assert not report.failed
    assert report.data_note is None
    assert dlt.evaluate(run, data=iris)["scores"] == run.scores["test"]
    assert dlt.evaluate(run, data=iris)["data_note"] is None
    features, _ = iris
    assert [row["input"] for row in dlt.predict(run, features[:3])] == ["0", "1", "2"]
    file = run.exports_path / report.result("tflite:float32").file
    (first,) = dlt.predict(file, features[:1])
    assert first["class"] == dlt.predict(run, features[:1])[0]["class"]


def test_the_main_job_takes_arrays(iris, tmp_path):
    template = load_template("softmax_regression_iris", FAST | {"export.formats": ["tflite:float32"]})
    run, report = dlt.run(template, data=iris, output=tmp_path / "run")
    assert not report.failed
    assert "could not be compared" not in run.report_path.read_text()


@pytest.mark.parametrize("use", [dlt.export, dlt.evaluate])
def test_a_run_on_arrays_needs_them_again(run, use):
    with pytest.raises(ValueError, match=r"Received: dataset 'arrays', and no arrays\. .*data=\(x, y\)"):
        use(run)


def test_other_arrays_are_said_to_be_others(run, iris):
    features, names = iris
    result = dlt.evaluate(run, data=(features[:-1], names[:-1]))
    assert result["data_note"].startswith("the data changed since the training: 1 row gone")


def test_images_with_classes_of_text_train_and_predict_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    images, names = np.uint8(digits.images * 15), np.array(list("abcdefghij"))[digits.target]
    template = load_template("mlp_digits", {"train.epochs": 1})
    run = dlt.train(template, data={"train": (images[:1500], names[:1500]), "test": (images[1500:], names[1500:])})
    assert run.name == "mlp_digits"
    assert run.record.spec.sizes["test"] == 297
    assert run.task().labels == tuple("abcdefghij")
    large = np.repeat(np.repeat(images[:2], 2, axis=1), 2, axis=2)[..., None]  # another size is resized
    assert len(dlt.predict(run, large)) == 2
    with pytest.raises(ValueError, match=r"Images must be uint8 .*Received: float32 .*np\.uint8\(255 \* x\)"):
        dlt.predict(run, images[:2].astype(np.float32) / 255)
    report = dlt.export(run, data=(images, names), formats=["onnx:float32"])
    predictor = dlt.load_predictor(run.exports_path / report.result("onnx:float32").file)
    (image,) = (value.name for value in predictor.contract.inputs)
    both = [predictor(given)["probabilities"] for given in (images[:2, ..., None], {image: images[:2, ..., None]})]
    np.testing.assert_array_equal(*both)


def test_a_template_by_its_name_and_a_path_of_data(iris, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert template_on("mlp_adult", "people.csv") == (
        load_template("mlp_adult", {"dataset.name": "people.csv"}),
        "mlp_adult",
    )
    (tmp_path / "mine.toml").write_text(load_template("mlp_digits").to_toml())
    assert template_on(tmp_path / "mine.toml") == (load_template("mlp_digits"), "mine")
    assert template_on(load_template("mlp_digits"))[1] == "mlp_digits"


def load(data, **settings):
    with passed(data):
        return in_memory(DatasetSettings(name=ARRAYS, **settings))


def test_rows_of_an_array_have_numbered_columns(iris):
    features, names = iris
    settings = with_target(DatasetSettings(name=ARRAYS), (features.to_numpy(), names))
    assert settings.target == "target"
    dataset = load((features.to_numpy(), names), target="target")
    assert [column.name for column in dataset.spec.inputs[0].columns] == ["x0", "x1", "x2", "x3"]
    assert dataset.spec.targets[0].classes == ("setosa", "versicolor", "virginica")


def test_the_target_keeps_its_name(iris):
    features, names = iris
    target = pd.Series(names, name="species")
    assert with_target(DatasetSettings(name=ARRAYS), (features, target)).target == "species"
    assert with_target(DatasetSettings(name=ARRAYS, target="kind"), (features, target)).target == "kind"
    assert with_target(DatasetSettings(name=ARRAYS), features.assign(species=names)).target is None


def test_numbers_of_a_table_keep_all_digits():
    numbers = np.random.default_rng(0).normal(size=(50, 2))
    dataset = load((numbers, np.arange(50) / 7), target="target")
    read = dataset.split("train").read(np.arange(50))
    np.testing.assert_array_equal(read["features"], numbers)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("rows.csv", "Received: str for 'train'"),
        (([[1, 2]], [1]), "Received: tuple for 'train'"),
        ({"holdout": (np.zeros((2, 2)), [0, 1])}, "Received: tuple for 'holdout'"),
        ({"test": (np.zeros((2, 2)), [0, 1])}, "must have a split `train`. Received: test"),
        ((np.zeros((2, 2)), [0]), "must have the same length. Received: 2 and 1 for 'train'"),
        ((np.zeros((2, 2)), np.zeros((2, 3))), r"must be one column. Received: y of shape \(2, 3\)"),
        ((pd.DataFrame({"target": [1, 2]}), [0, 1]), "Received: 'target' in x and y"),
    ],
)
def test_other_data_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        load(data, target="target")


MANY = np.arange(800) % 500  # different whole numbers, as in counts or prices
ROWS = np.random.default_rng(0).normal(size=(800, 3))
IMAGES = np.random.default_rng(0).integers(0, 256, (800, 6, 5), np.uint8)
ONE_HOT = np.eye(3, dtype=int)[np.arange(800) % 3]


def target_of(template, data, settings=None):
    """Return the target that a template reads from data."""
    template, _ = template_on(load_template(template, settings or {}), data)
    with passed(data):
        task, _ = load_for(template)
    return task.target


def test_many_whole_numbers_of_rows_are_no_classes():
    with pytest.raises(ValueError, match="Received: target, which has numbers") as error:
        target_of("table_classification", (ROWS, MANY))
    for way_out in ('train("table_regression", data=(x, y))', '{"dataset.table.columns.target": "category"}'):
        assert way_out in str(error.value)
    assert isinstance(target_of("table_regression", (ROWS, MANY)), Number)
    as_classes = target_of("table_classification", (ROWS, MANY), {"dataset.table.columns.target": "category"})
    assert len(as_classes.classes) == 500


def test_many_whole_numbers_of_images_are_no_classes():
    with pytest.raises(ValueError, match="Received: class ids up to 499 for 800 examples") as error:
        target_of("convnet_mnist", (IMAGES, MANY))
    for way_out in ("y.astype(float)", "task regression", "y.astype(str)"):
        assert way_out in str(error.value)
    assert isinstance(target_of("convnet_mnist", (IMAGES, MANY.astype(float)), {"task.name": "regression"}), Number)
    assert len(target_of("convnet_mnist", (IMAGES, MANY.astype(str))).classes) == 500
    few_each = target_of("convnet_mnist", (IMAGES, MANY % 250))
    assert isinstance(few_each, ClassId)
    assert len(few_each.classes) == 250
    assert target_of("conv_autoencoder_mnist", (IMAGES, MANY))  # without a target, the numbers do not matter


@pytest.mark.parametrize("kind", [int, float, bool])
def test_one_hot_labels_of_images_are_named(kind):
    with pytest.raises(ValueError, match=r"one-hot labels, .*`y\.argmax\(axis=1\)`"):
        target_of("convnet_mnist", (IMAGES, ONE_HOT.astype(kind)))
    assert target_of("convnet_mnist", (IMAGES, ONE_HOT.argmax(axis=1))).classes == ("0", "1", "2")


@pytest.mark.parametrize("kind", [int, float, bool])
def test_one_hot_labels_of_rows_are_named(kind):
    with pytest.raises(ValueError, match=r"\(800, 3\), one-hot labels. Pass the classes, `y\.argmax\(axis=1\)`"):
        target_of("table_classification", (ROWS, ONE_HOT.astype(kind)))
    assert target_of("table_classification", (ROWS, ONE_HOT.argmax(axis=1))).classes == ("0", "1", "2")


def test_one_hot_labels_of_a_data_frame_are_named():
    labels = pd.get_dummies(pd.Series(np.array(["a", "b", "c"])[np.arange(800) % 3]))
    with pytest.raises(ValueError, match=r"one-hot labels. Pass the classes, `y\.idxmax\(axis=1\)`"):
        target_of("table_classification", (ROWS, labels))
    assert target_of("table_classification", (ROWS, labels.idxmax(axis=1))).classes == ("a", "b", "c")


def test_a_network_of_two_inputs_takes_no_lone_array(tmp_path):
    rows = pd.DataFrame({"size": range(60), "color": ["red", "blue", "green"] * 20})
    names = np.where(rows["size"] < 30, "small", "large")
    template = load_template("mlp_adult", {"train.epochs": 1, "train.batch_size": 8})
    run = dlt.train(template, data=(rows, names), output=tmp_path / "run")
    assert dlt.predict(run, rows[:2])
    with pytest.raises(ValueError, match="An array must hold examples of the network's one input. Received: 2 "):
        dlt.predict(run, np.zeros((2, 1, 1)))
    report = dlt.export(run, data=(rows, names), formats=["onnx:float32"])
    predictor = dlt.load_predictor(run.exports_path / report.result("onnx:float32").file)
    with pytest.raises(ValueError, match="takes a dictionary of arrays. Received: one array. Name each of "):
        predictor(np.zeros((2, 1), np.float32))


def test_a_series_of_one_value_may_have_one_axis():
    values = np.sin(np.arange(300) / 5)
    dataset = load(values, series={"window": 10, "horizon": 2})
    assert [column.name for column in dataset.spec.inputs[0].columns] == ["x0"]
    assert len(dataset.split("train")) == 300 - 12 + 1


def test_a_lone_path_is_one_input(run):
    (prediction,) = dlt.predict(run, "5.1,3.5,1.4,0.2")
    assert prediction["input"] == "5.1,3.5,1.4,0.2"
