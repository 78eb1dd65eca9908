"""Training that starts from pretrained weights."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from conftest import small_template
from dltemplates.models.build import build_network
from dltemplates.models.keras_applications import Pretrained
from dltemplates.tasks.assemble import PREPROCESSING, assemble
from dltemplates.tasks.load_for import load_for
from dltemplates.training.importing import pretrained
from dltemplates.training.importing.pretrained import take_weights
from dltemplates.training.prepare import prepare
from dltemplates.training.recording.progress import Silent
from dltemplates.training.train import train

SIZES = ("small", "big")


def weights_of(model):
    network = model.get_layer(model.name)
    found = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    assert found
    return found


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_training_starts_from_the_weights_of_a_run(small_run):
    training = prepare(small_template(model__weights=str(small_run.path)))
    for model in (training.definition, training.model):
        for expected, found in zip(weights_of(small_run.model()).values(), weights_of(model).values(), strict=True):
            for before, after in zip(expected, found, strict=True):
                np.testing.assert_array_equal(before, after)
    assert training.fresh == []


def test_the_last_layer_stays_fresh_for_other_classes(small_run, digit_folder, tmp_path):
    template = small_template(
        dataset={"name": str(digit_folder), "images": {"size": (8, 8), "channels": 1}},
        model__weights=str(small_run.path),
        train__epochs=1,
        train__batch_size=8,
        train__learning_rate=1e-9,
    )
    reporter = Notes()
    run = train(template, output=tmp_path / "run", reporter=reporter)
    assert any(f"fresh weights in logits; all others are from {small_run.path}" in note for note in reporter.notes)
    before, after = weights_of(small_run.model()), weights_of(run.model())
    assert after["logits"][0].shape == (16, 2)
    (first, *_), (same, *_) = before.values(), after.values()
    np.testing.assert_allclose(first[0], same[0], atol=1e-6)


def test_another_architecture_is_refused_by_its_first_layer_that_differs(small_run):
    with pytest.raises(
        ValueError,
        match=r"must be of the same architecture. Received: .*small, with .* \(Conv2D, 3x3x1x8\) where `convnet` "
        r"has .* \(Conv2D, 3x3x1x4\). Set the model",
    ):
        prepare(small_template(model={"name": "convnet", "filters": [4, 16], "weights": str(small_run.path)}))


def refused(network, source, message):
    """Check that weights are refused, and that the network is unchanged."""
    before = network.get_weights()
    with pytest.raises(ValueError, match=message):
        take_weights(network, Pretrained(source, None, "a run"))
    for weight, untouched in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, untouched)


def test_a_deeper_network_is_refused_naming_the_missing_layer():
    inputs = keras.Input((8,))
    shallow = layers.Dense(4)(inputs)
    deep = layers.Dense(4, name="more")(shallow)
    source, network = keras.Model(inputs, shallow), keras.Model(inputs, deep, name="deep")
    refused(network, source, r"Received: a run, with no further layer where `deep` has more \(Dense, 4x4 4\)")
    refused(source, network, r"with more \(Dense, 4x4 4\) where `.*` has no further layer")


@pytest.mark.parametrize(
    ("name", "options", "theirs", "ours", "message"),
    [
        (
            "resnet50",
            {"width": 0.1},
            {},
            {"stride_on_3x3": True},
            r"Conv2D, .*strides=\(2, 2\)\) .* strides=\(1, 1\)\)",
        ),
        (
            "resnet_cifar",
            {"depth": 8},
            {"residual": False},
            {},
            r"with re_lu\w* \(ReLU\) where .* has add\w* \(Add\)",
        ),
        (
            "lenet5",
            {},
            {"activation": "tanh"},
            {"activation": "relu"},
            "activation='tanh'.* where .* activation='relu'",
        ),
    ],
)
def test_another_architecture_with_the_same_shapes_is_refused(name, options, theirs, ours, message):
    sizes = {"input_shape": (32, 32, 3), "num_outputs": 3}
    source = build_network(name, sizes, options | theirs)
    network = build_network(name, sizes, options | ours)
    assert [weight.shape for weight in source.weights] == [weight.shape for weight in network.weights]
    refused(network, source, message)


def own(*, strides=1, slope=0.1, add=True):
    """Return a network of the user: a nested model, a layer with an option but no weights, a bare addition."""
    x = inner = keras.Input((8, 8, 4))
    inner = keras.Model(inner, layers.Conv2D(4, 3, strides, padding="same", name="inside")(x))
    inputs = keras.Input((8, 8, 4))
    x = layers.LeakyReLU(slope, name="leaky")(inner(inputs))
    x = x + layers.Conv2D(4, 1)(x) if add else layers.Conv2D(4, 1, name="last")(x)
    return keras.Model(inputs, x, name="own")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": 2}, r"inside \(Conv2D, 3x3x4x4 4, strides=\(1, 1\)\) where .* strides=\(2, 2\)"),
        ({"slope": 0.2}, r"leaky \(LeakyReLU, negative_slope=0.1\) where .* negative_slope=0.2"),
        ({"add": False}, r"with add\w* \(Add\) where `own` has no further layer"),
    ],
)
def test_layers_within_models_settings_without_weights_and_bare_operations_count(change, message):
    refused(own(**change), own(), message)


def test_size_dropout_and_precision_may_differ():
    options = {"filters": [8, 16]}
    source = build_network("convnet", {"input_shape": (8, 8, 1), "num_outputs": 10}, options)
    sizes = {"input_shape": (16, 12, 1), "num_outputs": 10}
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_network("convnet", sizes, options | {"dropout_rate": 0.7})
    finally:
        keras.config.set_dtype_policy("float32")
    assert take_weights(network, Pretrained(source, None, "a run")) == []
    for weight, expected in zip(network.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize(
    ("name", "side", "options"),
    [
        ("lenet5", 28, {}),  # padded to 32
        (
            "efficientnet_b0",
            32,
            {"width": 0.25, "depth": 0.3, "stochastic_depth_rate": 0.0},
        ),  # no dropout in its blocks
    ],
)
def test_layers_for_another_size_or_for_training_only_may_be_missing(name, side, options):
    source = build_network(name, {"input_shape": (side, side, 3), "num_outputs": 3}, options)
    trained_options = {key: value for key, value in options.items() if key != "stochastic_depth_rate"}
    network = build_network(name, {"input_shape": (32, 32, 3), "num_outputs": 3}, trained_options)
    assert len(source.layers) != len(network.layers)
    assert take_weights(network, Pretrained(source, None, "a run")) == []


def test_a_noise_layer_may_be_added():
    options = {"filters": [4], "latent_dim": 3}
    source, network = (
        build_network(name, {"input_shape": (8, 8, 1)}, options)
        for name in ("conv_autoencoder", "denoising_autoencoder")
    )
    assert take_weights(network, Pretrained(source, None, "a run")) == []
    taken = [weight for weight in network.weights if "seed" not in weight.path]
    assert taken
    for weight, expected in zip(taken, source.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_the_center_of_the_run_is_kept(small_run, monkeypatch):
    template = small_template(model__weights=str(small_run.path))
    spec = load_for(template)[1].spec
    network = small_run.model().get_layer("convnet")
    monkeypatch.setattr(type(small_run), "model", lambda _: assemble(network, spec, center=(0.25,)))
    assert pretrained.load_pretrained(template.model, network).center == (0.25,)
    assert prepare(template).definition.get_layer(PREPROCESSING).offset == [-0.25]


def test_training_starts_from_a_run_with_categories_only(tmp_path):
    colours = ("red", "blue", "green", "black", "white")
    rows = [f"{a},{b},{size},{a if size == 'big' else b}" for a in colours for b in colours for size in SIZES]
    (tmp_path / "balls.csv").write_text("\n".join(["inside,outside,size,like", *rows]))
    data = {"name": str(tmp_path / "balls.csv"), "target": "like"}
    settings = {"dataset": data, "model": {"name": "mlp", "units": [4]}}
    settings |= {"train__epochs": 1, "train__batch_size": 8, "train__augment": {}}
    run = train(small_template(**settings), output=tmp_path / "run")
    settings["model"]["weights"] = str(run.path)
    definition = prepare(small_template(**settings)).definition
    for before, after in zip(weights_of(run.model()).values(), weights_of(definition).values(), strict=True):
        np.testing.assert_array_equal(before[0], after[0])


def test_a_run_of_a_model_trained_elsewhere_is_refused(small_run, monkeypatch):
    inputs = keras.Input((8, 8, 1))
    network = keras.Model(inputs, layers.Flatten()(inputs), name="network")
    monkeypatch.setattr(type(small_run), "model", lambda _: keras.Model(inputs, network(inputs), name="adopted"))
    with pytest.raises(ValueError, match=r"Received: .*trained elsewhere"):
        pretrained.load_pretrained(small_template(model__weights=str(small_run.path)).model, network)


def test_weights_for_another_size_are_refused_naming_the_size():
    sizes = {"input_shape": (32, 32, 3), "num_outputs": 3}
    source, network = (
        build_network("vgg11", sizes | {"input_shape": (side, 32, 3)}, {"width": 0.1}) for side in (64, 32)
    )
    size = r"dataset.images.size=\[64, 32\] and dataset.images.channels=3"
    refused(network, source, rf"trained on images of 64x32x3: set {size}; or set the model and its options")


def test_auxiliary_classifiers_of_another_size_start_fresh():
    source, network = (
        build_network("googlenet", {"input_shape": (side, side, 3), "num_outputs": 3}, {"width": 0.125})
        for side in (65, 129)
    )
    assert take_weights(network, Pretrained(source, None, "a run")) == ["auxiliary_1_hidden", "auxiliary_2_hidden"]


@pytest.mark.parametrize(
    ("model", "channels", "message"),
    [
        ({"name": "mobilenet_v2", "widht": 0.5}, 3, "widht"),
        ({"name": "mobilenet_v2", "width": "half"}, 3, r"`width`.*Received: width='half'"),
        ({"name": "mobilenet_v2"}, 1, r"trained on images of 224x224x3: set .* and dataset.images.channels=3"),
        ({"name": "resnet50", "stride_on_3x3": True}, 3, "`model.weights`.*Received: imagenet, with"),
    ],
)
def test_a_model_without_imagenet_weights_is_refused_before_download(model, channels, message, monkeypatch):
    for builder in ("MobileNetV2", "ResNet50"):
        monkeypatch.setattr(keras.applications, builder, lambda **_: pytest.fail("downloaded"))
    with pytest.raises(ValueError, match=message):
        prepare(
            small_template(
                model=model | {"weights": "imagenet"},
                dataset={"name": "digits", "images": {"size": (32, 32), "channels": channels}},
            )
        )


@pytest.mark.parametrize(
    ("weights", "hint"), [("ImageNet", "Did you mean imagenet?"), ("theirs.keras", "`dlt list runs` names the runs")]
)
def test_invalid_weights_are_refused(weights, hint):
    rule = "`model.weights` must be `fresh`, `imagenet`, the folder of a run, or a `.h5` file of keras.applications"
    with pytest.raises(ValueError, match=re.escape(f"{rule}. Received: {weights}. {hint}")):
        prepare(small_template(model__weights=weights))
