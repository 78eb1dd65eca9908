import numpy as np
import pytest
from scipy.linalg import sqrtm

from dltemplates.tasks.scoring.quality import (
    class_coverage,
    class_shares,
    collapse_warning,
    diversity,
    frechet_distance,
)


def clouds(count=400, features=5):
    random = np.random.default_rng(0)
    mix = random.normal(size=(features, features))
    return random.normal(size=(count, features)), random.normal(size=(count, features)) @ mix + 0.5


def test_the_frechet_distance_matches_its_formula():
    first, second = clouds()
    c, d = np.cov(first.T), np.cov(second.T)
    root = sqrtm(c @ d).real
    expected = np.square(first.mean(axis=0) - second.mean(axis=0)).sum() + np.trace(c + d - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_of_two_normal_distributions():
    """In one dimension it is `(m - n)^2 + (s - t)^2`."""
    first = np.array([[-1.0], [1.0]]) / np.sqrt(2)  # mean 0, sample variance 1
    assert frechet_distance(first, 3 * first + 2) == pytest.approx(2**2 + (3 - 1) ** 2)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)


def test_the_frechet_distance_is_finite_with_fewer_points_than_features():
    first, second = clouds(count=10, features=40)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(frechet_distance(first, second))
    assert frechet_distance(first, second) > 1


def test_diversity_is_the_ratio_of_mean_distances_between_images():
    random = np.random.default_rng(0)
    real, generated = random.normal(size=(60, 4, 4, 1)), 0.3 * random.normal(size=(50, 4, 4, 1))

    def distance(images):  # root mean square over all pairs, including each image with itself
        flat = images.reshape(len(images), -1)
        return np.sqrt(np.square(flat[:, None] - flat[None]).sum(axis=-1).mean())

    assert diversity(real, generated) == pytest.approx(distance(generated) / distance(real))
    assert diversity(real, real) == 1
    assert diversity(real, np.repeat(generated[:1], 50, axis=0)) == pytest.approx(0, abs=1e-7)
    assert diversity(np.zeros((3, 2)), np.ones((3, 2))) == 0


def test_class_coverage_counts_classes_above_a_third_of_an_even_share():
    probabilities = np.eye(4)[[0] * 60 + [1] * 25 + [2] * 9 + [3] * 6]
    shares = class_shares(probabilities)
    np.testing.assert_allclose(shares, [0.60, 0.25, 0.09, 0.06])
    assert class_coverage(shares) == 3  # the limit, a third of a quarter, is 0.083
    assert class_coverage(np.array([1 / 12, 11 / 12, 0, 0])) == 2


def test_collapse_gives_a_warning():
    assert collapse_warning(0.9) is None
    assert collapse_warning(0.5, 5, 10) is None
    assert "cover 4 of 10 classes, fewer than 50%" in collapse_warning(0.9, 4, 10)
    assert "vary 0.49 times as much as real ones, less than 0.5" in collapse_warning(0.49, 10, 10)
    assert collapse_warning(None) is None
