import numpy as np
import pytest

from conftest import load_data, small_template
from dltemplates.runs import Run
from dltemplates.tasks.generation import Generation
from dltemplates.tasks.load_for import load_for
from dltemplates.tasks.scoring.evaluator import Evaluator, evaluator_path, load_evaluator
from dltemplates.template import parse_template
from dltemplates.training import train as training
from dltemplates.training.evaluators import missing_evaluator
from dltemplates.training.train import train

GAN = {
    "task": {"name": "generation"},
    "dataset": {"name": "digits"},
    "model": {"name": "gan", "latent_dim": 4, "units": [8]},
    "train": {"epochs": 1, "restore": "last"},
}


def evaluator_summary(evaluator, **dataset):
    return parse_template(
        GAN | {"task": {"name": "generation", "evaluator": evaluator}, "dataset": {"name": "digits"} | dataset}
    )


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Work in a folder without runs, with a cache without evaluators."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_an_evaluator_predicts_like_its_run(small_run):
    from dltemplates.runtimes import KerasPredictor

    source = load_for(small_run)[1].split("test")
    images = source.read(np.arange(len(source)))["image"]
    evaluator = load_evaluator(str(small_run.path))
    probabilities, features = evaluator(images)
    serving = small_run.serving()
    _, outputs = KerasPredictor(serving.model, serving.contract).predict(source)
    np.testing.assert_allclose(probabilities, outputs["probabilities"], atol=1e-5)
    assert probabilities.dtype == features.dtype == np.float64
    assert evaluator.classes == tuple("0123456789")
    (kernel, bias) = small_run.model().get_layer("convnet").layers[-1].get_weights()
    logits = features @ kernel + bias
    np.testing.assert_array_equal(logits.argmax(axis=1), probabilities.argmax(axis=1))


def test_an_evaluator_with_one_logit_gives_both_probabilities(alone):
    from dltemplates.runtimes import KerasPredictor

    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1)).astype("uint8")
    np.savez(alone / "two.npz", x=images, y=images.mean(axis=(1, 2, 3)) > 127)
    table = small_template().model_dump(mode="json")
    table |= {"task": {"name": "classification", "binary": True}, "dataset": {"name": str(alone / "two.npz")}}
    table["model"] = {"name": "mlp", "units": [8]}
    table["train"] |= {"epochs": 1, "batch_size": 8, "augment": {}}
    run = train(parse_template(table), output=alone / "two")
    probabilities, _ = load_evaluator(str(run.path))(images)
    serving = run.serving()
    expected = KerasPredictor(serving.model, serving.contract)({"image": images.astype("float32")})["probabilities"]
    assert probabilities.shape == (60, 2)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_no_evaluator_is_trained_for_an_invalid_generator(alone):
    with pytest.raises(ValueError, match=r"^`latent_dim` must be"):
        train(
            parse_template(
                GAN
                | {"task": {"name": "generation", "evaluator": "mlp_digits"}, "model": {"name": "gan", "latent_dim": 0}}
            ),
            output=alone / "run",
        )
    assert list(alone.iterdir()) == []


def test_a_run_comes_before_the_cache(alone, small_run):
    (alone / "saved_models").mkdir()
    assert evaluator_path("digit_evaluator") == alone / "cache" / "evaluators" / "digit_evaluator"
    (alone / "saved_models" / "digit_evaluator").symlink_to(small_run.path)
    assert load_evaluator("digit_evaluator").sha256 == small_run.record.sha256["model.weights.h5"]
    assert evaluator_path("some/run").name == "run"


def test_an_unsuitable_evaluator_is_refused(alone, small_run):
    with pytest.raises(ValueError, match=r"Received: 'mlp_digits', .*dlt train mlp_dig"):
        load_evaluator("mlp_digits")
    with pytest.raises(ValueError, match="Received: 'no'"):
        train(evaluator_summary("no"), output=alone / "run")
    with pytest.raises(ValueError, match="Received: autoencoder_digits, .*reconstruction"):
        train(evaluator_summary("autoencoder_digits"), output=alone / "run")
    assert list(alone.iterdir()) == []
    table = small_template().model_dump(mode="json") | {"task": {"name": "reconstruction"}}
    table["model"] = {"name": "autoencoder", "units": [8], "latent_dim": 2}
    table["train"] |= {"epochs": 1, "augment": {}}
    other = train(parse_template(table), output=alone / "other")
    with pytest.raises(ValueError, match=r"^An evaluator must be an image classifier .*autoencoder for reconstruction"):
        Evaluator(other)


def test_an_evaluator_of_other_images_is_refused_before_training(small_run, alone):
    with pytest.raises(ValueError, match=r"Received: images of \(12, 12, 1\) .* on \(8, 8, 1\)"):
        train(evaluator_summary(str(small_run.path), images={"size": [12, 12]}), output=alone / "run")
    assert not (alone / "run").exists()


def test_an_evaluator_of_other_classes_is_refused_before_training(small_run, alone):
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 1)).astype("uint8")
    np.savez(alone / "two.npz", x=images, y=np.arange(120) % 2, classes=np.array(["cat", "dog"]))
    with pytest.raises(ValueError, match=r"Received: .* for 0, 1, .* while the data has cat, dog"):
        train(evaluator_summary(str(small_run.path), name=str(alone / "two.npz")), output=alone / "run")
    assert not (alone / "run").exists()


def test_one_validation_image_is_too_few_for_an_evaluator(alone):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1)).astype("uint8")
    np.savez(alone / "few.npz", x=images, y=images.mean(axis=(1, 2, 3))[:, None])
    table = GAN | {
        "dataset": {"name": str(alone / "few.npz"), "validation": 0.1},
        "train": GAN["train"] | {"batch_size": 4},
    }
    with pytest.raises(ValueError, match=r"2 images of validation.*Received: 1\."):
        train(parse_template(table), output=alone / "run")
    assert not (alone / "run").exists()


def test_a_missing_evaluator_is_trained_once(alone, monkeypatch):
    heard = []

    class Notes(training.Silent):
        def note(self, text):
            heard.append(text)

    spec = load_data("digits").spec
    template, path = missing_evaluator(Generation(spec, evaluator="mlp_digits"), spec)
    assert template.model.name == "mlp"
    assert path == alone / "cache" / "evaluators" / "mlp_digits"
    short = template.model_copy(update={"train": template.train.model_copy(update={"epochs": 1})})
    monkeypatch.setattr(
        training, "missing_evaluator", lambda *arguments: (short, path) if missing_evaluator(*arguments) else None
    )
    (path / "checkpoint").mkdir(parents=True)  # left by a training killed before it wrote run.json
    run = train(evaluator_summary("mlp_digits"), output=alone / "run", reporter=Notes())
    assert f"no trained evaluator yet: training it once, to {path}" in heard
    score = Run(path).record.describe_score("test", "accuracy")
    assert ", n = " in score or " of " in score
    assert f"scored by {path}, test accuracy {score}" in heard
    sizes = load_data("digits").spec.sizes
    assert any(text.startswith("examples: ") and f"{sizes['test']} test" in text for text in heard)
    assert run.record.details["test"]["evaluator"]["run"] == str(path)
    assert missing_evaluator(Generation(spec, evaluator="mlp_digits"), spec) is None


def test_without_the_option_there_is_no_evaluator():
    spec = load_data("digits").spec
    for evaluator in (None, "none"):
        task = Generation(spec, evaluator=evaluator)
        assert task.evaluator_name is None
        assert missing_evaluator(task, spec) is None


def test_an_unsuitable_evaluator_is_refused_before_its_training(alone, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 1)).astype("uint8")
    np.savez(alone / "two.npz", x=images, y=np.arange(120) % 2, classes=np.array(["cat", "dog"]))
    for dataset, message in (
        (
            {"name": str(alone / "two.npz")},
            "have the classes .* mlp_digits for 0, 1, .* data has cat, dog.*evaluator=none",
        ),
        ({"images": {"size": [12, 12]}}, r"Received: images of \(12, 12, 1\) for mlp_digits"),
    ):
        with pytest.raises(ValueError, match=message):
            train(evaluator_summary("mlp_digits", **dataset), output=alone / "run")
        assert not (alone / "run").exists()
        assert not (alone / "cache" / "evaluators").exists()
    spec = load_data("digits").spec
    monkeypatch.setattr("dltemplates.training.evaluators.load_for", no_data)
    with pytest.raises(ValueError, match=r"needs the file x. Or use no evaluator: --set task.evaluator=none."):
        missing_evaluator(Generation(spec, evaluator="mlp_digits"), spec)


def no_data(settings):
    raise ValueError("Dataset digits needs the file x.")
