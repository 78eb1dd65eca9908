import re

import keras
import pytest

from dltemplates.models.build import build_network

IMAGE = {"input_shape": (28, 28, 1), "num_outputs": 10}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a user's own module, `own_models`."""
    (tmp_path / "own_models.py").write_text(
        """
import keras
NUMBER = 3
def line(input_shape, num_outputs, *, bias: bool = True, name="line"):
    x = keras.Input(input_shape)
    return keras.Model(x, keras.layers.Dense(num_outputs, use_bias=bias)(x), name=name)
def forecaster(input_shape, horizon): ...
def open_ended(num_outputs, **keywords):
    return line((4,), num_outputs, **keywords)
def no_model(num_outputs): return num_outputs
def odd_types(num_outputs, *, thing: "NotThere" = None, name="odd"): return line((4,), num_outputs)
def unknown_type(num_outputs, *, layer: keras.Layer = None): return line((4,), num_outputs)
def breaks(num_outputs): return num_outputs + "a"
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "own_models", raising=False)


def test_sizes_and_options_reach_the_builder():
    network = build_network("mlp", {**IMAGE, "horizon": 3}, {"units": [7], "activation": "tanh"})
    assert network.count_params() == 784 * 7 + 7 + 7 * 10 + 10
    assert network.name == "mlp"


def test_what_memory_cannot_hold_is_refused():
    message = "must fit into memory. Received: mlp with .*, for which there is not enough. Take smaller inputs, or a"
    with pytest.raises(ValueError, match=message):
        build_network("mlp", IMAGE, {"units": [10**7, 10**7]})


def test_unknown_model_names_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown model. Received: 'resnet21'. Did you mean .*resnet20"):
        build_network("resnet21", IMAGE, {})


def test_unknown_option_names_the_nearest_and_all():
    with pytest.raises(
        ValueError, match=r"Received: dropout=0.5. Did you mean dropout_rate\? Its options: filters, dropo"
    ):
        build_network("convnet", IMAGE, {"dropout": 0.5})


@pytest.mark.parametrize("key", ["name", "num_outputs", "width"])
def test_sizes_and_name_are_no_options(key):
    with pytest.raises(ValueError, match=rf"Unknown option of model `resnet8`. Received: {key}=3. It has no options"):
        build_network("resnet8", IMAGE, {key: 3})


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            "resnet20",
            {"depth": 32},
            "`depth` of model `resnet20` is always 20. Received: depth=32. Set it on resnet_cifar",
        ),
        (
            "vgg16",
            {"depth": 19},
            "`depth` of model `vgg16` is always 16. Received: depth=19. Try vgg11 or vgg13 or vgg19",
        ),
        (
            "resnet18",
            {"stride_on_3x3": True},
            "`stride_on_3x3` of model `resnet18` is always False. Received: stride_on_3x3=True. "
            "Set it on resnet50 or resnet101 or resnet152",
        ),
        (
            "mobilenet_v1_025",
            {"width": 0.5, "use_bias": False},
            "`use_bias` of model `mobilenet_v1_025` is always True. Received: use_bias=False. Set it on mobilenet_v1",
        ),
    ],
)
def test_an_option_that_the_catalog_fixes_names_the_models_that_take_it(model, options, message):
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}\.$"):
        build_network(model, IMAGE, options)


def test_a_variant_takes_the_other_options_of_its_family():
    sizes = {"input_shape": (32, 32, 3), "num_outputs": 2}
    half, whole = (build_network("vgg11", sizes, {"width": width}).count_params() for width in (0.125, 0.25))
    assert 3 < whole / half < 4


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [("mlp", "units", 3), ("mlp", "units", "33"), ("mlp", "units", ["a"]), ("convnet", "dropout_rate", "high")],
)
def test_option_of_a_wrong_type_is_named(model, option, value):
    with pytest.raises(ValueError, match=rf"Option `{option}` of model `{model}`: .* Received: {option}=") as caught:
        build_network(model, IMAGE, {option: value})
    assert "\n" not in str(caught.value)


def test_a_list_in_round_brackets_is_told_how_to_be_written():
    with pytest.raises(ValueError, match=r"should be a list, such as \[64, 32\]\. Received: units='\(3, 2\)'\."):
        build_network("mlp", {"input_shape": (4,), "num_outputs": 2}, {"units": "(3, 2)"})


def test_what_keras_does_not_know_is_named():
    with pytest.raises(ValueError, match=r"`mlp` cannot be built with .*: .*activation.* Received: .*activation='foo'"):
        build_network("mlp", IMAGE, {"activation": "foo"})


def test_rules_of_the_builder_pass_unchanged():
    with pytest.raises(ValueError, match=r"^`resnet8` needs images of at least 8x8"):
        build_network("resnet8", {"input_shape": (4, 4, 3), "num_outputs": 10}, {})


def test_missing_size_is_named():
    with pytest.raises(ValueError, match=r"Model `mlp` needs the size `num_outputs`, which .* Received: input_shape"):
        build_network("mlp", {"input_shape": (4,)}, {})


@pytest.mark.usefixtures("module")
class TestOwn:
    def test_function_is_called_like_any_other(self):
        network = build_network("own_models:line", {"input_shape": (4,), "num_outputs": 2}, {"bias": False})
        assert isinstance(network, keras.Model)
        assert network.count_params() == 8

    def test_open_keywords_take_any_option(self):
        assert build_network("own_models:open_ended", {"num_outputs": 2}, {"bias": False}).count_params() == 8

    @pytest.mark.parametrize("name", ["odd_types", "unknown_type"])
    def test_types_that_cannot_be_checked_are_left_to_it(self, name):
        option = {"odd_types": "thing", "unknown_type": "layer"}[name]
        assert build_network(f"own_models:{name}", {"num_outputs": 2}, {option: 1}).count_params() == 10

    def test_size_that_is_not_given_is_named(self):
        with pytest.raises(ValueError, match="needs the size `horizon`"):
            build_network("own_models:forecaster", IMAGE, {})

    def test_it_must_return_a_model(self):
        with pytest.raises(ValueError, match=r"returns a `keras.Model`. Received: 'own_models:no_model', .* a int"):
            build_network("own_models:no_model", IMAGE, {})

    def test_it_must_be_a_function(self):
        with pytest.raises(
            ValueError, match=r"A model of your own is a function. Received: 'own_models:NUMBER', a int"
        ):
            build_network("own_models:NUMBER", IMAGE, {})

    def test_its_type_errors_become_one_line(self):
        with pytest.raises(
            ValueError, match=r"`own_models:breaks` cannot be built with these .*: unsupported .* Received: num_outp"
        ):
            build_network("own_models:breaks", IMAGE, {})
