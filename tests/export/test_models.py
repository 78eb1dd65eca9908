"""Every model of the catalog, trained for seconds, in the formats that phones take."""

import pytest

from conftest import small_template
from dltemplates import catalog
from dltemplates.export.deploy import export
from dltemplates.training.train import train

OPTIONS = {
    "mlp": {"units": [32]},
    "lenet5": {},
    "convnet": {"filters": [8, 16]},
    "resnet8": {},
    "resnet20": {},
}


def test_every_model_has_a_row():
    assert set(OPTIONS) == set(catalog.MODELS)


@pytest.mark.parametrize("name", catalog.MODELS)
def test_a_model_exports_and_every_file_passes(name, tmp_path):
    template = small_template(
        model={"name": name, **OPTIONS[name]},
        train__epochs=4,
        train__learning_rate=3e-3,
    )
    run = train(template, output=tmp_path / name)
    report = export(run, formats=["tflite:float32", "tflite:int8", "onnx:float32"], max_drop=0.03)
    assert not report.failed, report
    for result in report.results:
        assert not result.remarks
