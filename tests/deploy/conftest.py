import keras
import numpy as np
import pytest
from keras import layers

from conftest import spec_of
from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.deploy.check import Reference, check_by_parity, check_system
from dltemplates.deploy.converters.saved_model import with_float_images
from dltemplates.deploy.export import export_system
from dltemplates.deploy.parity import check_part
from dltemplates.features import ClassId, Image
from dltemplates.runtimes import load_predictor
from dltemplates.settings import ExportSettings
from dltemplates.tasks.classification import Classification
from dltemplates.tasks.scoring.evaluation import WHOLE
from dltemplates.tasks.serving.contract import Contract, ServingModel

SHAPE = (8, 8, 1)
IMAGE = Image(name="image", dtype="uint8", shape=SHAPE, range=(0, 255), resize="stretch")
LABEL = ClassId(name="label", dtype="int64", shape=(), classes=tuple("0123456789"))


@pytest.fixture(scope="session")
def task():
    return Classification(spec_of(LABEL))


@pytest.fixture(scope="session")
def dataset():
    """Return 1,797 real digits at their own size."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    arrays = {"image": np.uint8(digits.images[order, ..., None] * 15.9), "label": digits.target[order].astype("int64")}
    bounds = {"train": (0, 1200), "validation": (1200, 1500), "test": (1500, 1797)}
    splits = {
        name: ArraySource({key: array[first:last] for key, array in arrays.items()})
        for name, (first, last) in bounds.items()
    }
    sizes = {name: len(split) for name, split in splits.items()}
    return Dataset(DatasetSpec(inputs=(IMAGE,), targets=(LABEL,), sizes=sizes, fingerprint="digits"), splits)


@pytest.fixture(scope="session")
def serve(task):
    """Return a function that builds a serving model from layers that end in ten logits."""

    def make(*network, name="tiny", image=IMAGE, preprocessing=None):
        inputs = keras.Input(image.shape, name="image", dtype="uint8")
        x = (preprocessing or layers.Rescaling(1 / 255, dtype="float32"))(inputs)
        logits = keras.Sequential(network, name="network")(x)
        model = keras.Model(inputs, {"probabilities": layers.Softmax(name="probabilities")(logits)})
        contract = Contract(
            name=name, task="classification", inputs=(image,), outputs=(task.output(),), targets=(LABEL,)
        )
        return ServingModel(model, contract)

    return make


@pytest.fixture(scope="session")
def serving(serve, dataset):
    """Train a tiny convolutional network for a few seconds."""
    keras.utils.set_random_seed(0)
    serving = serve(
        layers.Conv2D(12, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.8),
        layers.ReLU(),
        layers.Conv2D(24, 3, strides=2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(10),
    )
    train = dataset.split("train").arrays
    serving.model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
    serving.model.fit(train["image"], train["label"], batch_size=32, epochs=6, verbose=0)
    return serving


@pytest.fixture(scope="session")
def exported(serving, task, dataset, tmp_path_factory):
    """Export once to all nine formats; tests read the report and its folder and never write them."""
    folder = tmp_path_factory.mktemp("exported")
    return export_system({WHOLE: serving}, task, dataset, folder, ExportSettings(calibration=64)), folder


@pytest.fixture(scope="session")
def predictor(exported):
    """Return a function that opens the file of a format."""
    report, folder = exported
    return lambda key: load_predictor(folder / report.result(key).file)


@pytest.fixture(scope="session")
def refer(tmp_path_factory):
    """Return a function that builds the reference of a system of one part."""

    def make(serving, task, dataset, max_drop="0.01"):
        folder = tmp_path_factory.mktemp("reference")
        return Reference({WHOLE: with_float_images(serving)}, task, dataset, max_drop, folder)

    return make


@pytest.fixture(scope="session")
def reference(refer, serving, task, dataset):
    return refer(serving, task, dataset)


@pytest.fixture(scope="session")
def check():
    """Return a function that checks the file of a system of one part; it returns figures per split, and remarks."""

    def run(format, predictor, reference):
        parity = check_part(format, predictor, reference.part(WHOLE))
        if not reference.is_scored:
            return check_by_parity(predictor, WHOLE, parity, reference), ()
        is_slow = format.is_slow(predictor.operators)
        splits, _, remarks = check_system({WHOLE: predictor}, {WHOLE: parity}, reference, is_slow=is_slow)
        return splits, remarks

    return run
