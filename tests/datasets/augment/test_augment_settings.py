"""Settings of augmentation and cache: their ranges, and the way through TOML."""

import pytest

from dltemplates.settings import DatasetSettings
from dltemplates.template import load_template
from dltemplates.train_settings import Augment

ALL = {
    "random_crop": 0.875,
    "flip": True,
    "crop_padding": 4,
    "randaugment": {"operations": 2, "magnitude": 9.0},
    "rotation": 10.0,
    "brightness": 0.1,
    "contrast": 0.1,
    "cutout": 16,
    "mixup": 0.2,
    "cutmix": 1.0,
}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"random_crop": 1.0}, r"random_crop\s+Input should be less than 1"),
        ({"random_crop": 0}, r"random_crop\s+Input should be greater than 0"),
        ({"randaugment": {"operations": 0}}, r"operations\s+Input should be greater than 0"),
        ({"randaugment": {"magnitude": 11}}, r"magnitude\s+Input should be less than or equal to 10"),
        ({"randaugment": {"strength": 1}}, r"strength\s+Extra inputs are not permitted"),
        ({"cutout": -1}, r"cutout\s+Input should be greater than or equal to 0"),
        ({"cutout": 1.5}, r"cutout\s+Input should be a valid integer"),
        ({"mixup": -0.1}, r"mixup\s+Input should be greater than or equal to 0"),
        ({"cutmix": float("inf")}, r"cutmix\s+Input should be a finite number"),
    ],
)
def test_values_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Augment(**settings)


def test_the_cache_is_one_of_three():
    with pytest.raises(ValueError, match=r"cache\s+Input should be 'none', 'memory' or 'disk'"):
        DatasetSettings(name="digits", cache="ram")


def test_settings_are_restored_from_toml(tmp_path):
    template = load_template("resnet8_digits", {"train.augment": ALL, "dataset.cache": "disk"})
    assert template.train.augment.model_dump() == ALL
    path = tmp_path / "template.toml"
    path.write_text(template.to_toml())
    assert load_template(path) == template
    plain = load_template("resnet8_digits", {"train.augment": {}})
    assert plain.train.augment == Augment()
