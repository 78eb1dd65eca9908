import itertools

import keras
import numpy as np
import pytest

from dltemplates.models.generative.gan import cgan, dcgan, gan, wgan_gp

ALL = pytest.mark.parametrize("build", [gan, dcgan, cgan, wgan_gp])


def parts(model):
    return model.get_layer("generator"), model.get_layer("discriminator")


def small(build, **options):
    sizes = {"units": (16, 32)} if build is gan else {"filters": (8, 4)}
    return build((8, 8, 1), **({"num_outputs": 10} if build is cgan else {}), **(sizes | options))


def given(model, rows=5):
    noise = np.random.default_rng(0).normal(size=(rows, model.inputs[0].shape[-1])).astype("float32")
    return noise if len(model.inputs) == 1 else [noise, np.arange(rows, dtype="int32")]


def test_dense_players_have_the_parameters_of_their_layers():
    generator, discriminator = parts(gan((28, 28, 1)))
    widths = (100, 128, 256, 512, 1024, 784)
    dense = sum((before + 1) * after for before, after in itertools.pairwise(widths))
    normalized = 4 * (128 + 256 + 512 + 1024)
    assert generator.count_params() == dense + normalized == 1_514_128
    widths = (784, 1024, 512, 256, 128, 1)
    dense = sum((before + 1) * after for before, after in itertools.pairwise(widths))
    assert discriminator.count_params() == dense == 1_492_993


def test_convolutional_players_have_the_parameters_of_their_layers():
    """28x28 from 7x7x256 by 128 and 64 filters of 4x4; normalization has 4 numbers per filter."""
    generator, discriminator = parts(dcgan((28, 28, 1)))
    first = 100 * 7 * 7 * 256 + 4 * 256
    doubling = (16 * 256 * 128 + 4 * 128) + (16 * 128 * 64 + 4 * 64)
    assert generator.count_params() == first + doubling + (9 * 64 * 1 + 1) == 1_912_129
    halving = (16 * 1 * 64 + 64) + (16 * 64 * 128 + 4 * 128)
    assert discriminator.count_params() == halving + (7 * 7 * 128 + 1) == 138_945


def test_the_paper_s_generator_for_64x64_has_its_layers():
    generator, _ = parts(dcgan((64, 64, 3), filters=(512, 256, 128, 64)))
    shapes = [layer.output.shape[1:] for layer in generator.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert shapes == [(8, 8, 512), (16, 16, 256), (32, 32, 128), (64, 64, 64)]
    (first,) = (layer for layer in generator.layers if isinstance(layer, keras.layers.Reshape))
    assert first.output.shape[1:] == (4, 4, 1024)
    assert generator.get_layer("image").output.shape == (None, 64, 64, 3)


def test_a_critic_has_no_normalization():
    _, discriminator = parts(dcgan((8, 8, 1)))
    _, critic = parts(wgan_gp((8, 8, 1)))
    normalized = [
        sum(isinstance(layer, keras.layers.BatchNormalization) for layer in player.layers)
        for player in (discriminator, critic)
    ]
    assert normalized == [1, 0]
    generator, _ = parts(wgan_gp((28, 28, 1)))
    assert generator.input_shape == (None, 128)


def test_the_class_is_told_to_both():
    generator, discriminator = parts(cgan((28, 28, 1), 10))
    plain = [player.count_params() for player in parts(dcgan((28, 28, 1)))]
    assert generator.count_params() == plain[0] + 10 * 100 + 100 * 7 * 7 * 256
    assert discriminator.count_params() == plain[1] + 10 * 28 * 28 + 16 * 64
    noise = np.zeros((2, 100), "float32")
    first, second = generator([noise, np.array([3, 4], "int32")])
    assert not np.array_equal(first, second)


@ALL
def test_images_lie_between_the_ends_of_tanh_and_are_judged_by_one_number(build):
    model = small(build)
    generator, discriminator = parts(model)
    inputs = given(model)
    image = keras.ops.convert_to_numpy(generator(inputs))
    assert image.shape == (5, 8, 8, 1)
    assert -1 <= image.min() < image.max() <= 1
    large = [100 * inputs[0], inputs[1]] if isinstance(inputs, list) else 100 * inputs
    assert np.abs(generator(large)).max() <= 1
    assert np.ptp(image, axis=0).max() > 0
    judged = discriminator([image, inputs[1]] if isinstance(inputs, list) else image)
    assert judged.shape == (5, 1)
    np.testing.assert_allclose(model(inputs), judged, atol=1e-6)


@ALL
def test_the_latent_size_is_an_option(build):
    assert small(build, latent_dim=3).inputs[0].shape == (None, 3)


@ALL
@pytest.mark.parametrize("latent_dim", [0, -4, 2.5])
def test_noise_of_no_length_is_refused(build, latent_dim):
    with pytest.raises(
        ValueError, match=rf"`latent_dim` must be a positive integer. Received: latent_dim={latent_dim}. Try"
    ):
        small(build, latent_dim=latent_dim)


@pytest.mark.parametrize("build", [dcgan, cgan, wgan_gp])
def test_sizes_that_cannot_be_doubled_to_are_refused(build):
    classes = {"num_outputs": 10} if build is cgan else {}
    with pytest.raises(ValueError, match=r"doubles the resolution 2 times: .* multiples of 4. .*Try 32x28"):
        build((30, 28, 1), **classes)
    with pytest.raises(ValueError, match=r"needs images of at least 4x4"):
        build((2, 2, 1), **classes)
    with pytest.raises(ValueError, match=r"`filters` must be one or more positive integers"):
        build((8, 8, 1), filters=(), **classes)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match=r"`gan` takes images"):
        gan((64,))
    with pytest.raises(ValueError, match=r"`units` must be one or more positive integers"):
        gan((8, 8, 1), units=())
    with pytest.raises(ValueError, match=r"`dropout_rate` must lie in \[0, 1\)"):
        gan((8, 8, 1), dropout_rate=1.0)
    with pytest.raises(ValueError, match=r"`num_outputs` must be a positive number"):
        cgan((8, 8, 1), 0)
