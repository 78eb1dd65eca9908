"""Mixup and CutMix: the partner of each image, its share, and targets that follow the images."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from dltemplates.datasets.augment.images import NAMES
from dltemplates.datasets.augment.mixing import beta, cutmix_box, mix_images, mix_values
from dltemplates.train_settings import Augment

LEVELS = np.float32([10, 20, 30, 40, 50])
IMAGES = tf.constant(np.tile(LEVELS[:, None, None, None], (1, 8, 8, 1)).astype(np.uint8))
TARGETS = tf.eye(5)
WEIGHTS = tf.constant([1.0, 2.0, 3.0, 4.0, 5.0])


def mix(images, targets, weights, draws, settings):
    images, share = mix_images(images, draws, settings)
    return images, *mix_values((targets, weights), share)


def run(seed=0, **settings):
    draws = tf.constant(np.random.default_rng(seed).random((5, len(NAMES))), tf.float32)
    return [array.numpy() for array in mix(IMAGES, TARGETS, WEIGHTS, draws, Augment(**settings))]


@pytest.mark.parametrize("settings", [{"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 0.3, "cutmix": 1.0}])
def test_images_targets_and_weights_mix_by_the_same_share(settings):
    for seed in range(8):
        images, targets, weights = run(seed, **settings)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(images[4], IMAGES[4])  # in an odd batch, the last is its own partner
        np.testing.assert_allclose(targets[4], TARGETS[4], atol=1e-6)
        for one, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
            share = targets[one, one]
            assert set(np.flatnonzero(targets[one])) <= {one, other}
            mean = share * LEVELS[one] + (1 - share) * LEVELS[other]
            np.testing.assert_allclose(images[one].astype(np.float32).mean(), mean, rtol=1e-5)
            np.testing.assert_allclose(weights[one], share * WEIGHTS[one] + (1 - share) * WEIGHTS[other], rtol=1e-5)
            np.testing.assert_allclose(targets[other, other], share, atol=1e-6)


def test_mixup_blends_pixels_and_cutmix_pastes_a_box():
    images, _, _ = run(mixup=1.0)
    assert images.dtype == np.float32
    assert (images.std(axis=(1, 2, 3)) == 0).all()
    images, _, _ = run(cutmix=1.0)
    assert images.dtype == np.uint8
    assert set(np.unique(images[:2])) == {10, 20}


def test_with_both_each_pair_uses_one_of_them():
    boxes = [len(np.unique(run(seed, mixup=1.0, cutmix=1.0)[0][pair])) == 2 for seed in range(40) for pair in (0, 2)]
    assert 0.25 < np.mean(boxes) < 0.75  # some of the boxes are empty


def test_an_even_shard_is_mixed_like_the_whole_batch():
    draws = tf.constant(np.random.default_rng(0).random((5, len(NAMES))), tf.float32)
    settings = Augment(mixup=1.0, cutmix=1.0)
    whole = mix(IMAGES, TARGETS, WEIGHTS, draws, settings)
    part = mix(IMAGES[2:4], TARGETS[2:4], WEIGHTS[2:4], draws[2:4], settings)
    for array, other in zip(part, whole, strict=True):
        np.testing.assert_array_equal(array, other[2:4])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_follow_the_beta_distribution(alpha):
    shares = beta(tf.constant(np.linspace(0, 1, 20001)[:-1], tf.float32), alpha).numpy()
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert scipy.stats.kstest(shares, scipy.stats.beta(alpha, alpha).cdf).statistic < 2e-2


def test_the_box_has_the_area_of_the_share_and_is_clipped_at_the_border():
    share = tf.constant([0.75, 0.75, 1.0, 0.0])
    place = tf.constant([0.5, 0.0, 0.5, 0.5])
    boxes = cutmix_box(share, place, place, (8, 8)).numpy()[..., 0]
    assert boxes.sum(axis=(1, 2)).tolist() == [16, 4, 0, 64]
