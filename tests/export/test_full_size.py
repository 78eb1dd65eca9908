"""The largest networks at the size of their papers: trained, brought back, exported, checked."""

import pytest

from conftest import small_template
from dltemplates.export.deploy import export
from dltemplates.runs import load_run
from dltemplates.training.train import train


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_a_network_of_224x224_trains_and_every_file_passes(name, digit_folder, tmp_path):
    template = small_template(
        dataset={"name": str(digit_folder), "image_size": (224, 224), "channels": 3},
        model={"name": name},
        train__epochs=3,
        train__batch_size=8,
        train__learning_rate=1e-3,
        train__optimizer={"name": "sgd", "momentum": 0.9},
        train__weight_decay=0.0,
        train__augment={},
        train__clip_norm=1.0,
        export__calibration=8,
    )
    run = train(template, output=tmp_path / name)
    losses = [row["loss"] for row in run.history()]
    assert losses[-1] < losses[0]
    report = export(load_run(run.path), formats=["tflite:float32", "tflite:int8", "onnx:float32"], max_drop=0.25)
    assert not report.failed, report
