"""Our networks and those of `keras.applications` compute the same from the same weights and images."""

import importlib

import h5py
import keras
import numpy as np
import pytest

from conftest import small_template
from dltemplates import catalog
from dltemplates.models.build import build_network
from dltemplates.models.keras_applications import APPLICATIONS, load_application, take_application
from dltemplates.training.importing.pretrained import take_weights
from dltemplates.training.prepare import prepare

SIDE = 64  # pixels
NUM_OUTPUTS = 7
FAST = {"mobilenet_v2", "resnet50"}
SLOW = {"marks": pytest.mark.slow}
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
    """Set the dtype of images and layers, except our last layer, which is float32."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


# A hundred layers of random weights amplify float32 rounding. In float64 the difference nearly vanishes.
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


def compare(name, precision, **options):
    """Copy random weights from `keras.applications` to our network, and compare their outputs."""
    application = APPLICATIONS[name]
    their_name, arguments, _ = application.of(options)
    keras.utils.set_random_seed(0)
    theirs = getattr(keras.applications, their_name)(
        weights=None, input_shape=(SIDE, SIDE, 3), classes=NUM_OUTPUTS, classifier_activation=None, **arguments
    )
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (4, SIDE, SIDE, 3)) * rng.uniform(0.3, 1, (4, 1, 1, 3))
    prepare = importlib.import_module(f"keras.applications.{MODULES[application.builder]}").preprocess_input
    prepared = prepare(pixels.astype(precision).copy())
    random_weights(theirs, prepared)
    ours = build_network(name, {"input_shape": (SIDE, SIDE, 3), "num_outputs": NUM_OUTPUTS}, options)
    take_application(ours, theirs, application)
    expected = keras.ops.convert_to_numpy(theirs(prepared))
    found = keras.ops.convert_to_numpy(ours((pixels / 255 - application.center).astype(precision)))
    assert np.isfinite(expected).all()
    spread = np.ptp(expected, axis=0)
    assert (spread > 0).all()
    assert np.abs(found - expected).max() < TOLERANCES[precision] * spread.max()


def test_a_network_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="for the networks of keras.applications. Received: model lenet5. There are"):
        load_application("lenet5", "imagenet", {})


def write_as_before(model, path):
    """Write weights in the format before Keras 3, which the ImageNet files have."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [weight.path for weight in layer.weights]
            for weight in layer.weights:
                group[weight.path] = keras.ops.convert_to_numpy(weight)


def test_a_file_of_weights_gives_the_features_of_theirs_on_raw_pixels(tmp_path):
    keras.utils.set_random_seed(0)
    theirs = keras.applications.MobileNetV2(weights=None, input_shape=(SIDE, SIDE, 3), classifier_activation=None)
    pixels = np.random.default_rng(1).integers(0, 256, (8, SIDE, SIDE, 3)).astype("float32")
    prepared = keras.applications.mobilenet_v2.preprocess_input(pixels.copy())
    random_weights(theirs, prepared)
    write_as_before(theirs, tmp_path / "theirs.h5")
    training = prepare(
        small_template(
            model={"name": "mobilenet_v2", "weights": str(tmp_path / "theirs.h5")},
            dataset={"name": "digits", "images": {"size": (SIDE, SIDE), "channels": 3}, "validation": 0.2},
        )
    )
    assert training.fresh == ["logits"]
    model = training.definition
    network = model.get_layer("mobilenet_v2")
    ours = keras.Model(network.input, network.get_layer("logits").input)(model.get_layer("preprocessing")(pixels))
    expected = keras.Model(theirs.input, theirs.layers[-1].input)(prepared)
    expected, found = (keras.ops.convert_to_numpy(features) for features in (expected, ours))
    spread = np.ptp(expected)
    assert spread > 0.1
    assert expected.shape == (8, 1280)
    assert np.abs(found - expected).max() < TOLERANCES["float32"] * spread


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory):
    """Return a folder with weight files of other networks than MobileNetV2, in both formats."""
    folder = tmp_path_factory.mktemp("weights")
    headless = keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg")
    five = keras.Model(headless.input, keras.layers.Dense(5, name="predictions")(headless.output))
    whole = keras.layers.Dense(1000, name="predictions")(headless.output)
    more = keras.Model(headless.input, keras.layers.Dense(5, name="more")(whole))
    mobilenet = keras.applications.MobileNet(weights=None)
    for name, model in {"mobilenet": mobilenet, "five": five, "headless": headless}.items():
        model.save_weights(folder / f"{name}.weights.h5")
    for name, model in {"mobilenet": mobilenet, "headless": headless, "more": more}.items():
        write_as_before(model, folder / f"{name}.h5")
    (folder / "broken.h5").write_bytes(b"no weights")
    return folder


@pytest.mark.parametrize(
    ("file", "difference"),
    [
        ("mobilenet.weights.h5", "in `expanded_conv_project` it has 1x1x32x64 instead of 1x1x32x16"),
        ("mobilenet.h5", "in `expanded_conv_project` it has 1x1x32x64 instead of 1x1x32x16"),
        ("five.weights.h5", "in `predictions` it has 1280x5 5 instead of 1280x1000 1000"),
        ("headless.weights.h5", "in `predictions` it has nothing instead of 1280x1000 1000"),
        ("headless.h5", "in `predictions` it has nothing instead of 1280x1000 1000"),
        ("more.h5", "after the last layer it has 1000x5 5 instead of nothing"),
        ("broken.h5", "Unable to .*open file.*"),
    ],
)
def test_a_file_of_other_weights_is_refused_by_the_first_layer_that_differs(weight_files, file, difference, recwarn):
    rule = "must be the weights of keras.applications.MobileNetV2, with its classifier of 1000 classes"
    message = rf"{rule}. Received: .*{file} for mobilenet_v2: {difference}. Give the file that belongs to the model, or"
    with pytest.raises(ValueError, match=message):
        load_application("mobilenet_v2", str(weight_files / file), {})
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"must be an existing file. Received: .*nowhere.h5. Check the path, or"):
        load_application("mobilenet_v2", str(tmp_path / "nowhere.h5"), {})


def test_a_download_is_told_of_on_stderr_and_one_that_fails_in_a_line(monkeypatch, capsys):
    """Standard output is for results, such as JSON."""

    def fails(**arguments):
        print("Downloading data from https://storage.example")
        raise OSError("URL fetch failure: no network.\nMore of it.")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fails)
    message = r"Received: imagenet for mobilenet_v2: URL fetch failure: no network. Without a network connection, set"
    with pytest.raises(ValueError, match=message):
        load_application("mobilenet_v2", "imagenet", {})
    assert capsys.readouterr() == ("", "Downloading data from https://storage.example\n")


@pytest.mark.parametrize("precision", ["float64"], indirect=True)
@pytest.mark.parametrize(
    ("name", "options", "sibling"),
    [
        ("mobilenet_v2", {"width": 0.35}, "MobileNetV2"),
        pytest.param("mobilenet_v1", {"width": 0.5}, "MobileNet", **SLOW),
        pytest.param("mobilenet_v3_small", {"width": 0.75}, "MobileNetV3Small", **SLOW),
        pytest.param("efficientnet_b0", {"depth": 1.1}, "EfficientNetB1", **SLOW),
        pytest.param("efficientnet_b0", {"width": 1.2, "depth": 1.4}, "EfficientNetB3", **SLOW),
        pytest.param("densenet121", {"blocks": [6, 12, 32, 32]}, "DenseNet169", **SLOW),
    ],
)
def test_options_that_shape_a_network_choose_its_sibling(name, options, sibling, precision):
    assert APPLICATIONS[name].of(options)[0] == sibling
    compare(name, precision, **options)


def test_a_file_of_another_width_fits_a_network_of_that_width(tmp_path):
    options = {"width": 0.35, "dropout_rate": 0.0}
    theirs = keras.applications.MobileNetV2(weights=None, alpha=0.35)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    pretrained = load_application("mobilenet_v2", str(tmp_path / "theirs.weights.h5"), options)
    sizes = {"input_shape": (SIDE, SIDE, 3), "num_outputs": 1000}
    assert take_weights(build_network("mobilenet_v2", sizes, options), pretrained) == []


def test_a_shape_that_keras_does_not_have_is_refused():
    message = (
        r"for some sizes only. Received: width=1.0, depth=0.5. Available are, of width and depth: 1.0 1.0 \(Efficient"
    )
    with pytest.raises(ValueError, match=message):
        load_application("efficientnet_b0", "imagenet", {"depth": 0.5})


def test_a_network_that_was_trained_without_imagenets_normalization_gives_the_same_features(tmp_path):
    keras.utils.set_random_seed(0)
    theirs = keras.applications.EfficientNetB0(weights=None, classifier_activation=None)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3)).astype("float32")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    pretrained = load_application("efficientnet_b0", str(tmp_path / "theirs.weights.h5"), {})
    assert pretrained.center == (0, 0, 0)
    expected, found = (
        keras.ops.convert_to_numpy(output) for output in (theirs(pixels), pretrained.network(pixels / np.float32(255)))
    )
    assert np.abs(found - expected).max() < TOLERANCES["float32"] * np.ptp(expected)


def test_all_are_models_of_the_catalog():
    assert set(APPLICATIONS) <= set(catalog.MODELS)
