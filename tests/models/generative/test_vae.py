import keras
import numpy as np
import pytest

from dltemplates.models.generative.vae import conv_vae, vae


def test_the_papers_network_has_its_parameters():
    """500 hidden units on either side of 20, counted layer by layer."""
    model = vae((28, 28, 1))
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    assert encoder.count_params() == (784 * 500 + 500) + 2 * (500 * 20 + 20) == 412_540
    assert decoder.count_params() == (20 * 500 + 500) + (500 * 784 + 784) == 403_284
    assert model.count_params() == 815_824
    assert model.output_shape == (None, 28, 28, 1)
    assert decoder.input_shape == (None, 20)


def test_the_convolutional_one_has_those_of_its_layers():
    model = conv_vae((28, 28, 1))
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    convolutions = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64)
    assert encoder.count_params() == convolutions + (7 * 7 * 64 * 16 + 16) + 2 * (16 * 2 + 2) == 69_076
    back = (9 * 64 * 64 + 64) + (9 * 64 * 32 + 32) + (9 * 32 * 1 + 1)
    assert decoder.count_params() == (2 * 3136 + 3136) + back == 65_089
    assert model.output_shape == (None, 28, 28, 1)


@pytest.mark.parametrize("build", [vae, conv_vae])
def test_the_code_is_the_mean_unless_it_is_trained(build):
    model = build((8, 8, 1), latent_dim=2)
    encoder = model.get_layer("encoder")
    mean = keras.Model(encoder.input, encoder.get_layer("mean").output)
    x = np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(encoder(x, training=False), mean(x))
    assert not np.array_equal(encoder(x, training=True), mean(x))
    np.testing.assert_array_equal(model(x), model.get_layer("decoder")(mean(x)))


def test_rows_of_numbers_have_a_code_too():
    assert vae((13,), units=(8,), latent_dim=3).output_shape == (None, 13)


@pytest.mark.parametrize("build", [vae, conv_vae])
@pytest.mark.parametrize("latent_dim", [0, -1, 1.5, True])
def test_a_latent_vector_of_no_length_is_refused(build, latent_dim):
    with pytest.raises(
        ValueError, match=rf"`latent_dim` must be a positive integer. Received: latent_dim={latent_dim}. Try"
    ):
        build((8, 8, 1), latent_dim=latent_dim)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match=r"`units` must be one or more positive integers. Received: units=\(0,\)"):
        vae((8, 8, 1), units=(0,))
    with pytest.raises(ValueError, match=r"`input_shape` must be one or more positive integers"):
        vae((0,))
    with pytest.raises(ValueError, match=r"`units` must be a positive integer. Received: units=0"):
        conv_vae((8, 8, 1), units=0)
    with pytest.raises(ValueError, match=r"halves images 2 times: .* multiples of 4. Received.*Try 12x8"):
        conv_vae((10, 8, 1))
    with pytest.raises(ValueError, match=r"`filters` must be one or more positive integers"):
        conv_vae((8, 8, 1), filters=())
    with pytest.raises(ValueError, match=r"`conv_vae` takes images"):
        conv_vae((64,))
