import numpy as np
import pytest

from dltemplates.datasets.source import ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Image, Noise
from dltemplates.tasks.serving.contract import Contract
from dltemplates.tasks.serving.serving_examples import MAX_GENERATED, contract_examples

IMAGE = Image(name="image", dtype="float32", shape=(2, 2, 1), range=(0, 255))
LABEL = ClassId(name="label", dtype="int32", shape=(), classes=("a", "b", "c"))
NOISE = Noise(name="noise", dtype="float32", shape=(4,))


@pytest.fixture(scope="module")
def dataset():
    def source(count, first):
        return ArraySource({"image": np.arange(first, first + count)[:, None, None, None] * np.ones((1, 2, 2, 1))})

    splits = {"train": source(20, 0), "validation": source(5, 100), "test": source(2 * MAX_GENERATED + 1, 1000)}
    sizes = {name: len(split) for name, split in splits.items()}
    return Dataset(DatasetSpec(inputs=(IMAGE,), targets=(LABEL,), sizes=sizes, fingerprint="x"), splits)


@pytest.fixture(scope="module")
def contract():
    return Contract(name="g", task="generation", inputs=(NOISE, LABEL), outputs=(IMAGE,), targets=(IMAGE,))


def noise(contract, dataset):
    """Return the examples of a generator in each split."""
    return {name: contract_examples(contract, name, source) for name, source in dataset.splits.items()}


def test_noise_depends_on_the_index_and_differs_between_splits(dataset, contract):
    splits = noise(contract, dataset)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 20, "validation": 5, "test": MAX_GENERATED
    }  # fmt: skip
    arrays = splits["train"].read(np.array([7, 2]))
    np.testing.assert_array_equal(arrays["noise"], np.stack([NOISE.draw(7), NOISE.draw(2)]))
    assert arrays["label"].tolist() == [1, 2]
    assert arrays["label"].dtype == np.int32
    drawn = [split.read(np.arange(5))["noise"] for split in splits.values()]
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 15
    whole = Dataset(dataset.spec, dataset.splits | {"all": dataset.split("test")})
    assert noise(contract, whole)["all"].read(np.arange(2))["noise"].shape == (2, 4)


def test_real_examples_are_evenly_spread_over_the_split(dataset, contract):
    splits = noise(contract, dataset)
    assert splits["validation"].read(np.arange(5))["image"][:, 0, 0, 0].tolist() == [100, 101, 102, 103, 104]
    real = splits["test"].read(np.array([0, 1, MAX_GENERATED - 1]))["image"][:, 0, 0, 0]
    assert real.tolist() == [1000, 1002, 1000 + 2 * MAX_GENERATED - 2]
    assert "image" not in noise(contract.model_copy(update={"targets": ()}), dataset)["test"].read(np.arange(2))
