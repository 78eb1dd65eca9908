"""DLinear and NLinear: their sizes, and their forecasts in NumPy."""

import numpy as np
import pytest

from dltemplates.models.dense.dlinear import dlinear, nlinear
from dltemplates.models.summary import summarize

STEPS, CHANNELS, HORIZON = 12, 2, 3


def windows():
    return np.random.default_rng(0).normal(size=(4, STEPS, CHANNELS)).astype(np.float32)


def linear(x, kernel, bias):
    """Sum the steps of each channel by weights: shared (steps, horizon), or (channels, steps, horizon)."""
    kernel = np.broadcast_to(kernel, (x.shape[2], *kernel.shape[-2:]))
    return np.einsum("bsc,csh->bhc", x, kernel) + (bias if bias.ndim == 2 else bias[:, None])


def average(x, kernel_size):
    """Return the mean of the steps around each step, where the ends repeat."""
    steps = np.arange(x.shape[1])
    near = steps[:, None] - (kernel_size - 1) // 2 + np.arange(kernel_size)
    return x[:, near.clip(0, x.shape[1] - 1)].mean(axis=2)


@pytest.mark.parametrize("individual", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 2, 5, 25])
def test_dlinear_sums_the_trend_and_the_rest(kernel_size, individual):
    network = dlinear((STEPS, CHANNELS), HORIZON, kernel_size=kernel_size, individual=individual)
    season, season_bias, trend, trend_bias = network.get_weights()
    x = windows()
    moving = average(x, kernel_size)
    bias = (lambda b: b.T) if individual else (lambda b: b)
    expected = linear(x - moving, season, bias(season_bias)) + linear(moving, trend, bias(trend_bias))
    np.testing.assert_allclose(np.asarray(network(x)), expected, atol=1e-5)


@pytest.mark.parametrize("individual", [False, True])
def test_nlinear_forecasts_the_change_from_the_last_step(individual):
    network = nlinear((STEPS, CHANNELS), HORIZON, individual=individual)
    kernel, bias = network.get_weights()
    x = windows()
    expected = linear(x - x[:, -1:], kernel, bias.T if individual else bias) + x[:, -1:]
    np.testing.assert_allclose(np.asarray(network(x)), expected, atol=1e-5)
    np.testing.assert_allclose(np.asarray(network(x + 7)), np.asarray(network(x)) + 7, atol=1e-5)


@pytest.mark.parametrize(("builder", "sums"), [(dlinear, 2), (nlinear, 1)], ids=["dlinear", "nlinear"])
def test_all_channels_share_the_weights_unless_each_is_individual(builder, sums):
    assert builder((336, 7), 96).count_params() == sums * 96 * (336 + 1)
    assert builder((336, 7), 96, individual=True).count_params() == 7 * sums * 96 * (336 + 1)
    for network in (builder((336, 7), 96), builder((336, 7), 96, individual=True)):
        for weight in network.get_weights():  # as the authors' code starts
            assert 0.9 * 336**-0.5 < np.abs(weight).max() <= 336**-0.5


@pytest.mark.parametrize("individual", [False, True])
def test_each_channel_costs_the_steps_times_the_horizon(individual):
    assert summarize(dlinear((336, 7), 96, individual=individual)).macs == 2 * 7 * 336 * 96


@pytest.mark.parametrize("builder", [dlinear, nlinear])
def test_a_window_of_one_length_and_a_horizon_are_needed(builder):
    with pytest.raises(
        ValueError, match=rf"`{builder.__name__}` needs sequences of one length. Received: .*None, 7.* lstm"
    ):
        builder((None, 7), 96)
    with pytest.raises(ValueError, match="`horizon` must be a positive number of steps to forecast. Received: hor"):
        builder((336, 7), 0)
