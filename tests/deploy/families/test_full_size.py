"""The largest networks at the image size of their papers: trained, exported, checked.

Each command has its own process: int8 conversion of VGG-16 takes most of 24 GB, and a training keeps some memory.
"""

import pytest

from conftest import run_dlt, small_template
from dltemplates.deploy.report import load_report
from dltemplates.runs import Run

FORMATS = ("tflite:float32", "tflite:int8", "onnx:float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "vgg16"])
def test_a_network_of_224x224_trains_and_every_file_passes(name, digit_folder, tmp_path):
    template = small_template(
        dataset={"name": str(digit_folder), "images": {"size": (224, 224), "channels": 3}},
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
    file, run = tmp_path / "template.toml", Run(tmp_path / name)
    file.write_text(template.to_toml())
    trained = run_dlt("train", file, "-o", run.path, timeout=None)
    assert trained.returncode == 0, trained.stderr
    losses = [row["loss"] for row in run.history_rows()]
    assert losses[-1] < losses[0]
    options = [part for key in FORMATS for part in ("--to", key)]
    exported = run_dlt("export", run.path, *options, "--max-drop", 0.25, timeout=None)
    assert exported.returncode == 0, exported.stderr
    assert [(result.format, result.verdict) for result in load_report(run.exports_path).results] == [
        (key, "passed") for key in FORMATS
    ]
