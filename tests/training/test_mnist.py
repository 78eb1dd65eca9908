"""The classic models on MNIST, trained by their templates: minutes each."""

import pytest

from dltemplates.template import load_template
from dltemplates.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.usefixtures("data_folder")]

FEW_LABELS = {  # stated in the template's header
    "train.num_labeled": 1000,
    "train.epochs": 40,
    "train.restore": "last",
    "train.learning_rate": 1.5e-3,
    "model.units": [256, 256],
    "train.layerwise_pretrain.epochs": 3,
    "train.layerwise_pretrain.optimizer": {"momentum": 0.9, "initial_momentum": 0.5, "initial_epochs": 1},
}
NOT_PRETRAINED = {"model.name": "mlp", "model.activation": "sigmoid", "train.layerwise_pretrain": "none"}


def trained(name, output, **settings):
    return train(load_template(name, settings), output=output)


@pytest.mark.parametrize("template", ["vae_mnist", "conv_vae_mnist"])
def test_a_latent_vector_of_two_numbers_matches_the_keras_example(tmp_path, template):
    run = trained(template, tmp_path / "run")
    assert run.record.spec.sizes["validation"] == 5000
    assert min(row["val_reconstruction"] + row["val_kl"] for row in run.history_rows()) <= 147


def test_pretraining_helps_with_few_labels(tmp_path):
    shared = {key: value for key, value in FEW_LABELS.items() if "layerwise_pretrain" not in key}
    pretrained = trained("dbn_mnist", tmp_path / "pretrained", **FEW_LABELS)
    fresh = trained("dbn_mnist", tmp_path / "fresh", **shared, **NOT_PRETRAINED)
    first, second = (run.record.scores["test"]["accuracy"] for run in (pretrained, fresh))
    assert first > second + 0.01
    assert second > 0.8


def test_a_deep_belief_network_is_wrong_on_at_most_16_of_1000(tmp_path):
    assert trained("dbn_mnist", tmp_path / "run").record.scores["test"]["accuracy"] >= 0.984


def test_a_generator_learns_all_digits(tmp_path):
    """The evaluator trains for a minute, the generator for a fourth of its epochs, which learn the most."""
    evaluator = trained("lenet5_mnist", tmp_path / "evaluator", **{"train.epochs": 2})
    run = trained("cgan_mnist", tmp_path / "run", **{"task.evaluator": str(evaluator.path), "train.epochs": 4})
    distances = [row["val_fid"] for row in run.history_rows()]
    assert distances[-1] < distances[0] / 2
    scores = run.record.scores["test"]
    assert scores["class_coverage"] >= 9
    assert scores["confidence"] > 0.8
    assert scores["diversity"] > 0.8
