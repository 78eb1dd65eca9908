"""Every model of the catalog, trained for seconds, in the formats that phones take."""

from conftest import small_template
from dltemplates.deploy.export_run import export
from dltemplates.training.train import train
from models.register import models, row_of


@models(lambda row: row.export, slow=lambda row: "exports" not in row.fast)
def test_a_model_exports_and_every_file_passes(name, tmp_path):
    how = row_of(name).export
    sized = {"images": {"size": (how.image_size, how.image_size)}} if how.data == "digits" else {}
    template = small_template(
        dataset={"name": how.data, **sized},
        task=how.task,
        train__batch_size=how.batch_size,
        model={"name": name, **how.options},
        train__epochs=how.epochs,
        train__augment={"crop_padding": 1} if sized else {},
        train__learning_rate=3e-3,
        train__restore=how.keep,
    )
    run = train(template, output=tmp_path / name)
    report = export(run, formats=["tflite:float32", "tflite:int8", "onnx:float32"], max_drop=0.03)
    assert not report.failed, report
    assert len(report.results) == 3
    is_scored = run.record.spec.sizes["validation"] >= 10  # by fewer examples it passes by its parity, which is said
    for result in report.results:
        assert [*result.remarks] == [] if is_scored else "too few for a score" in " ".join(result.remarks)
