import pytest

from dltemplates.models.dense.mlp import mlp


def test_widths_of_lecun_1998_have_266_610_parameters():
    assert mlp((28, 28, 1), 10).count_params() == 266_610


@pytest.mark.parametrize("input_shape", [(4,), (8, 8), (8, 8, 3)])
def test_takes_inputs_of_any_rank(input_shape):
    assert mlp(input_shape, 2).output_shape == (None, 2)


def test_dropout_follows_each_hidden_layer():
    kinds = [type(layer).__name__ for layer in mlp((4,), 2, units=(8, 8), dropout_rate=0.5).layers]
    assert kinds == ["InputLayer", "Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense"]


@pytest.mark.parametrize("input_shape", [(), (0,), (None, 3)])
def test_input_shape_must_be_positive(input_shape):
    with pytest.raises(ValueError, match=r"`input_shape` must be one or more positive integers. Received:"):
        mlp(input_shape, 2)
