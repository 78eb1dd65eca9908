"""Ours give what theirs give, with their weights and on their images."""

import importlib

import keras
import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.models.build import build_network
from dltemplates.models.keras_applications import APPLICATIONS, load_application, take_application

SIDE = 64  # pixels
NUM_OUTPUTS = 7
FAST = {"mobilenet_v2", "resnet50"}
TOLERANCES = {"float64": 3e-5, "float32": 1e-4}  # of the range of their outputs; our last layer stays float32
MODULES = {
    "VGG16": "vgg16", "VGG19": "vgg19", "ResNet50": "resnet", "ResNet101": "resnet", "ResNet152": "resnet",
    "ResNet50V2": "resnet_v2", "ResNet101V2": "resnet_v2", "ResNet152V2": "resnet_v2", "DenseNet121": "densenet",
    "MobileNet": "mobilenet", "MobileNetV2": "mobilenet_v2", "MobileNetV3Small": "mobilenet_v3",
    "MobileNetV3Large": "mobilenet_v3", "EfficientNetB0": "efficientnet",
}  # fmt: skip


def random_weights(network, images):
    """Give every weight a value that is not its default, and every batch normalization the statistics of images."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.5, layer.beta.shape))
            layer.momentum = 0.0  # so that no activation vanishes or grows from layer to layer
        elif isinstance(layer, keras.layers.Normalization):  # as in the files of ImageNet weights
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign(np.square([0.229, 0.224, 0.225]))
            layer.finalize_state()
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.5, layer.bias.shape))
    network(images, training=True)


@pytest.fixture
def precision(request):
    """What images are, and all layers but our last one compute in."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


# A hundred layers of random weights make much of the rounding of float32: double precision shows whether it is all.
@pytest.mark.parametrize("precision", ["float64"], indirect=True)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in APPLICATIONS]
)
def test_same_weights_same_outputs(name, precision):
    compare(name, precision)


@pytest.mark.parametrize("precision", ["float32"], indirect=True)
@pytest.mark.parametrize("name", sorted(FAST))
def test_the_same_in_the_precision_that_is_served(name, precision):
    compare(name, precision)


def compare(name, precision):
    """Copy random weights of theirs into ours, and hold what ours gives against what theirs gives."""
    application = APPLICATIONS[name]
    keras.utils.set_random_seed(0)
    theirs = getattr(keras.applications, application.builder)(
        weights=None, input_shape=(SIDE, SIDE, 3), classes=NUM_OUTPUTS, classifier_activation=None
    )
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (4, SIDE, SIDE, 3)) * rng.uniform(0.3, 1, (4, 1, 1, 3))
    prepare = importlib.import_module(f"keras.applications.{MODULES[application.builder]}").preprocess_input
    prepared = prepare(pixels.astype(precision).copy())
    random_weights(theirs, prepared)
    ours = build_network(name, {"input_shape": (SIDE, SIDE, 3), "num_outputs": NUM_OUTPUTS}, {})
    take_application(ours, theirs, application)
    expected = keras.ops.convert_to_numpy(theirs(prepared))
    found = keras.ops.convert_to_numpy(ours((pixels / 255 - application.center).astype(precision)))
    assert np.isfinite(expected).all()
    spread = np.ptp(expected, axis=0)
    assert (spread > 0).all()
    assert np.abs(found - expected).max() < TOLERANCES[precision] * spread.max()


def test_a_network_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="networks that keras.applications has too. Received: model lenet5. There are"):
        load_application("lenet5", "imagenet")


def test_weights_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "broken_kernels.h5").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="must be there to be read. Received: .*broken_kernels.h5 for mobilenet_v2"):
        load_application("mobilenet_v2", str(tmp_path / "broken_kernels.h5"))


def test_all_are_models_of_the_catalog():
    assert set(APPLICATIONS) <= set(catalog.MODELS)
