"""Every model of the catalog, trained for seconds, in the formats that phones take."""

import pytest

from conftest import small_template
from dltemplates import catalog
from dltemplates.export.deploy import export
from dltemplates.training.train import train

OPTIONS = {  # of the builder; `image_size` is that of the digits, where 8x8 is too small
    "mlp": {"units": [32]},
    "lenet5": {},
    "convnet": {"filters": [8, 16]},
    "resnet8": {},
    "resnet20": {},
}
FAST = {"mlp", "lenet5", "resnet8"}  # the others are slow


def test_every_model_has_a_row():
    assert set(OPTIONS) == set(catalog.MODELS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in catalog.MODELS]
)
def test_a_model_exports_and_every_file_passes(name, tmp_path):
    options = dict(OPTIONS[name])
    image_size = options.pop("image_size", 8)
    template = small_template(
        dataset__image_size=(image_size, image_size),
        model={"name": name, **options},
        train__epochs=4,
        train__learning_rate=3e-3,
    )
    run = train(template, output=tmp_path / name)
    report = export(run, formats=["tflite:float32", "tflite:int8", "onnx:float32"], max_drop=0.03)
    assert not report.failed, report
    for result in report.results:
        assert not result.remarks
