"""What was asked of the classics on handwritten digits, by their templates as they are: minutes each."""

import pytest

from dltemplates.template import load_template
from dltemplates.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.usefixtures("data_folder")]

FEW_LABELS = {  # of which the template's header tells
    "train.labels": 1000,
    "train.epochs": 40,
    "train.keep": "last",
    "train.learning_rate": 1.5e-3,
    "model.units": [256, 256],
    "train.pretrain.epochs": 3,
    "train.pretrain.optimizer": {"momentum": 0.9, "initial_momentum": 0.5, "initial_epochs": 1},
}
NOT_PRETRAINED = {"model.name": "mlp", "model.activation": "sigmoid", "train.pretrain": "none"}


def trained(name, output, **settings):
    return train(load_template(name, settings), output=output)


def test_a_code_of_two_numbers_is_as_good_as_the_example_of_keras(tmp_path):
    run = trained("vae_mnist", tmp_path / "run")
    assert run.record.spec.sizes["validation"] == 5000
    assert min(row["val_loss"] for row in run.history()) <= 147


def test_where_labels_are_few_pretraining_helps(tmp_path):
    shared = {key: value for key, value in FEW_LABELS.items() if "pretrain" not in key}
    pretrained = trained("dbn_mnist", tmp_path / "pretrained", **FEW_LABELS)
    fresh = trained("dbn_mnist", tmp_path / "fresh", **shared, **NOT_PRETRAINED)
    first, second = (run.record.scores["test"]["accuracy"] for run in (pretrained, fresh))
    assert first > second + 0.01
    assert second > 0.8
