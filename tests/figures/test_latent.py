import numpy as np

from dltemplates.figures.latent import REACH, SIDE, STEPS, plane_figure, scatter_figure, walks_figure


class Decoder:
    """A decoder that remembers its latent vectors and returns grey squares of their sums."""

    def __call__(self, codes):
        self.codes = codes
        return np.broadcast_to(codes.sum(axis=1)[:, None, None, None], (len(codes), 2, 2, 1))


def test_the_latent_plane_is_decoded_from_its_upper_left():
    decode = Decoder()
    (axes,) = plane_figure(decode).axes
    codes = decode.codes.reshape(SIDE, SIDE, 2)
    np.testing.assert_allclose(codes[0, 0], [-REACH, REACH])
    np.testing.assert_allclose(codes[-1, -1], [REACH, -REACH])
    np.testing.assert_allclose(codes[3, :, 0], np.linspace(-REACH, REACH, SIDE), rtol=1e-6)
    (image,) = axes.images
    assert image.get_array().shape == (2 * SIDE, 2 * SIDE)
    left, right, bottom, top = image.get_extent()
    assert left == bottom < -REACH < REACH < right == top


def test_latent_vectors_are_points_colored_by_class():
    codes, labels = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
    figure = scatter_figure(codes, labels)
    (axes,) = figure.axes
    for label, points in enumerate(axes.collections):
        np.testing.assert_allclose(points.get_offsets(), codes[labels == label])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1", "2"]
    for labels in (None, np.zeros(30, int), np.arange(30)):  # no labels, one class, too many classes: no legend
        (axes,) = scatter_figure(codes, labels).axes
        assert axes.get_legend() is None
        (points,) = axes.collections
        np.testing.assert_allclose(points.get_offsets(), codes)


def test_a_walk_leads_from_one_example_to_the_next():
    decode = Decoder()
    codes = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    walks_figure(codes, decode)
    ways = decode.codes.reshape(3, STEPS, 3)  # seven vectors give three pairs
    np.testing.assert_allclose(ways[:, 0], codes[[0, 2, 4]], rtol=1e-6)
    np.testing.assert_allclose(ways[:, -1], codes[[1, 3, 5]], rtol=1e-6)
    np.testing.assert_allclose(np.diff(ways, n=2, axis=1), 0, atol=1e-5)
