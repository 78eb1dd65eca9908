"""LTSF-Linear: its size, and the forecast that it computes."""

import numpy as np
import pandas as pd
import pytest

from dltemplates import catalog
from dltemplates.deploy.export_run import export
from dltemplates.models.dense.ltsf_linear import ltsf_linear
from dltemplates.template import load_template
from dltemplates.training.train import train


def test_all_channels_share_the_weights_of_the_rows_and_start_alike():
    model = ltsf_linear(**catalog.MODELS["ltsf_linear"].sizes)
    assert model.count_params() == 96 * (336 + 1) + 7
    np.testing.assert_allclose(model.get_weights()[0], 1 / 7)


def test_a_forecast_is_a_weighted_sum_of_rows_and_channels():
    model = ltsf_linear((6, 2), 3)
    _, rows, bias = model.get_weights()
    channels = np.float32([[0.75], [0.25]])
    model.set_weights([channels, rows, bias + 0.5])
    window = np.random.default_rng(0).normal(size=(4, 6, 2)).astype(np.float32)
    expected = np.einsum("bwc,wh,c->bh", window, rows, channels[:, 0]) + 0.5
    np.testing.assert_allclose(model.predict(window, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_a_picture_is_refused():
    with pytest.raises(ValueError, match="ltsf_linear"):
        ltsf_linear((8, 8, 1), 3)


@pytest.mark.slow
def test_a_forecast_of_a_series_that_drifts_beats_the_last_value_and_is_exported(tmp_path):
    months = pd.date_range("2000-01", periods=144, freq="MS").strftime("%Y-%m")
    noise = np.random.default_rng(0).normal(0, 2, (2, 144))
    sold = 100 + np.arange(144) + 20 * np.sin(np.arange(144) * np.pi / 6) + noise[0]
    pd.DataFrame({"month": months, "sold": sold, "bought": sold + noise[1]}).to_csv(tmp_path / "s.csv", index=False)
    settings = {"dataset.name": str(tmp_path / "s.csv"), "dataset.target": "sold", "train.steps": 600}
    run = train(load_template("series_forecasting", settings), output=tmp_path / "run")
    scores = run.record.scores["test"]
    assert scores["skill"] > 0.3
    assert scores["skill_seasonal"] > 0.3
    assert run.template.dataset.series.season_length == 12
    report = export(run)
    assert {result.verdict for result in report.results} == {"passed"}
    report = export(run, formats=["tflite:int8"])  # its ranges end where the training rows end
    assert report.failed == ("tflite:int8",)
    assert "too few for a score, so the outputs decide" in report.result("tflite:int8").reason
