"""Invalid arguments: each model raises an error with a way out before it builds anything."""

import inspect
import re

import keras
import pytest

from dltemplates import catalog
from models.register import models, row_of

images = models(lambda row: row.min_size, slow=lambda row: False)


class BegunError(Exception):
    """Raised when a builder has passed its checks."""


@pytest.fixture(autouse=True)
def _nothing_is_built(monkeypatch):
    def begin(*_, **__):
        raise BegunError

    monkeypatch.setattr(keras, "Input", begin)


def build(name, **changed):
    """Build a model at the sizes of its paper, with some arguments `changed`."""
    return catalog.load("model", name)(**{**catalog.MODELS[name].sizes, **changed})


def default_of(name, option):
    """Return the default of an option; None for a model without it."""
    parameter = inspect.signature(catalog.load("model", name)).parameters.get(option)
    return parameter and parameter.default


def models_with(option, kind):
    """Return (model, option) pairs for the models whose default of the option is of that type."""
    having = {name: default_of(name, option) for name in catalog.MODELS}
    return [(name, option) for name, default in having.items() if isinstance(default, kind)]


@models(lambda row: row.min_size is None and "input_shape" in (row.sizes or {}), slow=lambda row: False)
def test_a_model_without_a_min_size_takes_the_smallest_input(name):
    assert row_of(name).min_size is None
    taken = []
    for shape in ((1,), (row_of(name).min_steps, 1), (1, 1, 1)):
        with pytest.raises((BegunError, ValueError)) as ended:
            build(name, input_shape=shape)
        taken.append(ended.type is BegunError)
    assert any(taken), f"{name}: its row in tests/models/register.py must give `min_size`"


@models(lambda row: row.min_steps > 1, slow=lambda row: False)
def test_a_sequence_too_short_by_a_step_names_the_min_steps(name):
    least = row_of(name).min_steps
    rule = rf"^`{name}` needs sequences of at least {least} steps\. Received: .*\({least}, 1\)"
    with pytest.raises(ValueError, match=rule):
        build(name, input_shape=(least - 1, 1))


@pytest.mark.parametrize("name", [name for name, entry in catalog.MODELS.items() if "num_outputs" in entry.sizes])
def test_something_is_to_be_predicted(name):
    for count in (0, -1):
        rule = rf"^`num_outputs` must be a positive number .*\. Received: num_outputs={count}\. Count the classes"
        with pytest.raises(ValueError, match=rule):
            build(name, num_outputs=count)
    with pytest.raises(BegunError):
        build(name, num_outputs=1)  # one value; tasks check that classes are at least two


@images
def test_an_image_too_small_by_a_pixel_names_the_min_size(name):
    min_size = row_of(name).min_size
    for shape in ((min_size - 1, min_size, 3), (min_size, min_size - 1, 3)):
        received = re.escape(
            f"Received: input_shape={shape}. Try a larger image (`dataset.images.size`, or --input-shape)"
        )
        with pytest.raises(ValueError, match=rf"^`{name}` needs images of at least {min_size}x{min_size}\. {received}"):
            build(name, input_shape=shape)


@images
def test_an_image_of_the_least_size_is_taken_in_grey_in_colour_and_with_transparency(name):
    for channels in (1, 3, 4):
        with pytest.raises(BegunError):
            build(name, input_shape=(row_of(name).min_size, row_of(name).min_size, channels))


@images
def test_an_image_of_other_channels_is_refused(name):
    for channels in (2, 5):
        shape = (row_of(name).min_size, row_of(name).min_size, channels)
        received = re.escape(f"Received: input_shape={shape}. Try 1 or 3 (`channels`, or the last of --input-shape).")
        with pytest.raises(ValueError, match=rf"^`{name}` takes 1 \(grey\), 3 \(RGB\) or 4 \(RGBA\) chan.* {received}"):
            build(name, input_shape=shape)


@images
@pytest.mark.parametrize("shape", [(256,), (224, 224), (16, 224, 224, 3), (None, 224, 3), (224, 0, 3)], ids=str)
def test_what_is_no_image_is_refused_with_a_shape_that_is_taken(name, shape):
    received = re.escape(f"Received: input_shape={shape}.")
    rule = rf"^`{name}` takes images, \(height, width, channels\)\. {received} Try \((\d+), (\d+), (\d+)\)\.$"
    with pytest.raises(ValueError, match=rule) as refused:
        build(name, input_shape=shape)
    with pytest.raises(BegunError):
        build(name, input_shape=tuple(map(int, re.match(rule, str(refused.value)).groups())))


@pytest.mark.parametrize(
    ("name", "changed", "rule", "way_out"),
    [
        ("resnet_cifar", {"depth": 21}, r"`depth` must be 6n\+2", r"20 or 26\."),
        ("preact_resnet_cifar", {"depth": 170}, r"`depth` must be 9n\+2", r"164 or 173\."),
        ("preact_resnet_cifar", {"depth": 165, "bottleneck": False}, r"`depth` must be 6n\+2", r"164 or 170\."),
        ("mobilenet_v1", {"width": 0.3}, r"`width` must be a multiple of 0\.25", r"0\.25\."),
        ("vit_tiny", {"units": 100}, "`units` must be a multiple of `num_heads`", r"units=99\."),
        (
            "vit_tiny",
            {"input_shape": (100, 96, 3)},
            ".*: height and width must be multiples",
            r"112x96 \(`dataset.images",
        ),
        ("patch_tst", {"units": 18}, "`units` must be a multiple of `num_heads`", r"units=16\."),
        (
            "convmixer",
            {"input_shape": (32, 31, 3)},
            ".*: height and width must be multiples",
            r"42x42 \(`dataset.images.size`",
        ),
    ],
)
def test_a_depth_width_or_size_that_is_no_multiple_names_the_nearest(name, changed, rule, way_out):
    (option, value), *_ = changed.items()
    received = re.escape(f"Received: {option}={value}")
    with pytest.raises(ValueError, match=rf"^{rule}.* {received}.* Try {way_out}"):
        build(name, **changed)


@pytest.mark.parametrize(("name", "option"), [*models_with("width", float), *models_with("depth", float)])
def test_a_multiplier_is_positive(name, option):
    for multiplier in (0, -0.5, float("inf")):
        rule = rf"^`{option}` must be a positive number\. Received: {option}={multiplier}\. Try `{option}=1\.0`"
        with pytest.raises(ValueError, match=rule):
            build(name, **{option: multiplier})


COUNTS = ("filters", "blocks", "growth_rate", "kernel_size", "patch_size", "units", "num_heads")


@pytest.mark.parametrize(
    ("name", "option"),
    [*(pair for option in COUNTS for pair in models_with(option, int)), ("vit_tiny", "depth"), ("convmixer", "depth")],
)
def test_what_is_counted_is_positive(name, option):
    for count in (0, -8, 2.5):
        rule = rf"^`{option}` must be a positive integer\. Received: {option}={count}\. Try `{option}=\d+`\.$"
        with pytest.raises(ValueError, match=rule):
            build(name, **{option: count})


@pytest.mark.parametrize(
    ("name", "option"), [pair for option in ("filters", "blocks", "units") for pair in models_with(option, tuple)]
)
def test_what_is_listed_is_positive(name, option):
    for sizes in ((), (8, 0), (-8,), (1.5,), (True,)):
        received = re.escape(f"Received: {option}={sizes}. Try `{option}=[")
        with pytest.raises(ValueError, match=rf"^`{option}` must be one or more positive integers\. {received}"):
            build(name, **{option: sizes})


RATES = ("dropout_rate", "stochastic_depth_rate")


@pytest.mark.parametrize(("name", "option"), [pair for option in RATES for pair in models_with(option, float)])
def test_a_rate_leaves_something(name, option):
    for rate in (1.0, -0.1, float("nan")):
        rule = rf"^`{option}` must lie in \[0, 1\)\. Received: {option}={rate}\. Try 0\.5, or 0"
        with pytest.raises(ValueError, match=rule):
            build(name, **{option: rate})
