"""Arguments of commands that begin with a negative number."""

import pytest
from click.testing import CliRunner

from dltemplates import inference
from dltemplates.cli.commands import dlt


@pytest.fixture
def predict(monkeypatch):
    """Run `dlt predict run ...` without a run; return what click passes on, or its error."""
    calls = []

    def record(path, inputs, *, part, output, options):
        calls.append((str(path), list(inputs), part, str(output)))
        return []

    monkeypatch.setattr(inference, "predict", record)

    def run(*words):
        calls.clear()
        result = CliRunner().invoke(dlt, ["predict", *words])
        return calls[0] if calls else result.output

    return run


@pytest.mark.parametrize(
    ("words", "inputs"),
    [
        (["-0.5"], ["-0.5"]),
        (["-1.5,2"], ["-1.5,2"]),
        (["-1e-3"], ["-1e-3"]),
        (["-.5"], ["-.5"]),
        (["-7:zero"], ["-7:zero"]),
        (["-0.5", "0.5", "-2"], ["-0.5", "0.5", "-2"]),
        (["0.5", "--json", "-0.5"], ["0.5", "-0.5"]),
        (["-0.5", "--", "-x", "--json"], ["-0.5", "-x", "--json"]),
        (["--", "-0.5"], ["-0.5"]),
        (["-"], ["-"]),
        (["-1", "-"], ["-1", "-"]),
    ],
)
def test_a_negative_number_is_an_input(predict, words, inputs):
    assert predict("run", *words) == ("run", inputs, "", "predictions")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "-0.5", "--part", "decoder", "-o", "-7"],
        ["--part=decoder", "-o", "-7", "run", "-0.5"],
        ["-o-7", "--part", "decoder", "run", "-0.5"],
    ],
)
def test_options_beside_a_negative_number_keep_their_values(predict, words):
    assert predict(*words) == ("run", ["-0.5"], "decoder", "-7")


@pytest.mark.parametrize("words", [["--foo"], ["-0.5", "--foo"], ["--foo", "-0.5"]])
def test_an_unknown_option_is_an_error(predict, words):
    assert "No such option '--foo'." in predict("run", *words)
    assert "Write --" not in predict("run", *words)


@pytest.mark.parametrize("words", [["-red,1"], ["-0.5", "-red,1"]])
def test_another_input_with_a_dash_gets_the_way_out(predict, words):
    assert "No such option '-r'. Write -- before an input that begins with -." in predict("run", *words)


@pytest.mark.parametrize("words", [["-0.5", "-o"], ["-0.5", "--part"]])
def test_an_option_without_its_value_is_an_error(predict, words):
    assert f"Option '{words[1]}' requires an argument." in predict("run", *words)
