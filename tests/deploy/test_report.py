import io
import json
import math

import pytest
from rich.console import Console

from dltemplates.deploy.report import REPORT_FILE, FormatResult, SplitCheck, load_report, render


def as_text(report, width=200):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render(report))
    return console.export_text()


def test_the_table_shows_every_format_and_figure(exported):
    report, _ = exported
    text = as_text(report)
    assert len(report.results) == 9
    for result in report.results:
        assert result.format in text
        assert f"{result.latency_ms:.3f} ms" in text
        assert f"{result.splits['test'].score:.4f}" in text
        assert f"{result.splits['validation'].agreement:.4f}" in text
    assert "accuracy (test)" in text
    assert text.count("(val)") == 5  # four headings and the legend
    assert max(len(line.rstrip()) for line in text.splitlines()[:11]) <= 118
    assert "at most 0.01" in text
    assert "tflite:int8: 2 CONV_2D, FULLY_CONNECTED, 2 QUANTIZE, RESHAPE, SOFTMAX" in text


def test_a_narrow_terminal_shows_fewer_columns_and_cuts_none(exported):
    report, _ = exported
    lines = as_text(report, width=80).splitlines()
    assert "…" not in "\n".join(lines)
    assert all("passed" in line for line in lines[2:11])
    assert "A wider terminal also shows: agreement, max error, latency." in lines
    assert "A wider terminal" not in as_text(report, width=118)


def test_the_table_shows_the_reason_of_a_failure(exported):
    report, _ = exported
    failed = FormatResult(format="tflite:int8", verdict="failed", reason="over budget: accuracy", remarks=("slow",))
    other = FormatResult(format="tflite:int16x8", verdict="not offered", reason="LSTM: it crashes")
    text = as_text(report.model_copy(update={"results": (failed, other)}))
    assert "tflite:int8: over budget: accuracy" in text
    assert "tflite:int8: slow" in text
    assert "tflite:int16x8: LSTM: it crashes" in text
    assert "not offered" in text


def test_the_table_shows_an_earlier_budget(exported):
    report, _ = exported
    assert "exported earlier" not in as_text(report)
    text = as_text(report.model_copy(update={"max_drop": "0.001"}))
    assert "tflite:int8: exported earlier, when a drop of at most 0.01 was allowed" in text


def test_only_failed_formats_fail_the_report(exported):
    report, _ = exported
    results = [FormatResult(format="a", verdict=verdict) for verdict in ("passed", "not offered", "failed")]
    assert not report.model_copy(update={"results": tuple(results[:2])}).failed
    assert report.model_copy(update={"results": tuple(results)}).failed


def test_a_format_it_does_not_hold(exported):
    with pytest.raises(ValueError, match=r"must hold the format\. Received: 'keras'\. It holds: saved_model, tflite"):
        exported[0].result("keras")


def test_a_report_with_nan_is_restored(exported, tmp_path):
    report, _ = exported
    figures = SplitCheck(examples=1, float_score=1.0, score=math.nan, drop=math.inf, max_error=0.0)
    odd = report.model_copy(
        update={"results": (FormatResult(format="a", verdict="failed", splits={"validation": figures}),)}
    )
    odd.save(tmp_path)
    back = load_report(tmp_path).results[0].splits["validation"]
    assert math.isnan(back.score)
    assert back.drop == math.inf


def test_a_broken_report_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match=f"must hold {REPORT_FILE}"):
        load_report(tmp_path)
    path = tmp_path / REPORT_FILE
    path.write_text(exported[0].model_dump_json()[:-100])
    with pytest.raises(ValueError, match="must be valid"):
        load_report(tmp_path)
    path.write_text(json.dumps({**exported[0].model_dump(mode="json"), "direction": "sideways"}))
    with pytest.raises(ValueError, match=r"must be valid.*\(direction: "):
        load_report(tmp_path)
