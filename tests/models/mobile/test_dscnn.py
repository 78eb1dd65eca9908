import keras
import pytest

from dltemplates.models.build import build_network
from dltemplates.models.mobile.dscnn import dscnn
from dltemplates.models.summary import summarize


def test_benchmark_has_24_908_parameters_and_2_66_million_macs():
    summary = summarize(dscnn((49, 10, 1), 12))
    assert summary.parameters == 24_908
    assert summary.macs == 2_656_768


def test_one_convolution_halves_the_speech_and_the_rest_keep_it():
    rows = summarize(dscnn((49, 10, 1), 12)).rows
    maps = [row.output_shape[1:] for row in rows if row.kind in ("Conv2D", "DepthwiseConv2D")]
    assert maps == [(25, 5, 64)] * 9


def test_rates_are_those_of_the_first_and_the_last_convolution():
    found = dscnn((49, 10, 1), 12, dropout_rates=(0.1, 0.3)).layers
    places = {place: layer.rate for place, layer in enumerate(found) if isinstance(layer, keras.layers.Dropout)}
    assert list(places.values()) == [0.1, 0.3]
    assert isinstance(found[max(places) + 1], keras.layers.GlobalAveragePooling2D)


def test_filters_and_blocks_are_options():
    rows = summarize(dscnn((12, 8, 1), 3, filters=24, blocks=2)).rows
    assert [row.output_shape for row in rows if row.kind == "DepthwiseConv2D"] == [(None, 6, 4, 24)] * 2


def test_least_size_builds():
    assert dscnn((2, 2, 1), 3).output_shape == (None, 3)


@pytest.mark.parametrize("rates", [(1.0, 0.4), (0.2, -0.1)])
def test_rates_must_leave_something(rates):
    with pytest.raises(ValueError, match=r"`dropout_rates` must lie in \[0, 1\). Received: dropout_rates="):
        dscnn((49, 10, 1), 12, dropout_rates=rates)


@pytest.mark.parametrize("rates", [[], [0.2], [0.2, 0.4, 0.4]])
def test_there_are_two_rates(rates):
    with pytest.raises(ValueError, match=r"^`dropout_rates` must be two rates: .* Received: dropout_rates=\["):
        build_network("dscnn", {"input_shape": (49, 10, 1), "num_outputs": 12}, {"dropout_rates": rates})
