import io

import numpy as np
import pytest

from dltemplates.figures.outcomes import confused_pairs_figure, confusion_matrix_figure, examples_figure
from dltemplates.figures.vision_drawings import (
    BACKGROUND,
    feature_maps_figure,
    filters_figure,
    grad_cam_figure,
    mosaic,
    under_heat,
)


def picture(figure):
    """Return the only image of a figure."""
    (axes,) = figure.axes
    (image,) = axes.get_images()
    return image.get_array()


def first_tile(picture):
    """Return the first tile of a mosaic of small, enlarged squares."""
    return picture[2:26, 2:26]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_filters_are_grey_with_zero_in_the_middle(channels):
    kernels = np.zeros((2, 2, 2, channels), np.float32)
    kernels[0, 0] = -3
    kernels[0, 1, 1] = 1.5
    figure = filters_figure(kernels, "first")
    shown = picture(figure)
    np.testing.assert_allclose(first_tile(shown)[::12, ::12, 0], [[0, 0], [0.5, 0.75]])
    np.testing.assert_allclose(shown[2:26, 28:52], 0.5)
    assert figure.axes[0].get_title() == "first: 2 filters of 2x2"


def test_filters_of_rgb_images_are_in_colour():
    kernels = np.zeros((1, 1, 1, 3), np.float32)
    kernels[...] = 2, 0, -2
    np.testing.assert_allclose(first_tile(picture(filters_figure(kernels, "first")))[0, 0], (1, 0.5, 0))


def test_the_first_of_many_filters_are_shown():
    figure = filters_figure(np.random.default_rng(0).normal(size=(100, 3, 3, 1)), "first")
    assert figure.axes[0].get_title() == "first: 96 of 100 filters of 3x3"
    height, width, _ = picture(figure).shape
    assert (height, width) == (6 * 26 + 2, 16 * 26 + 2)


def test_feature_maps_have_a_row_per_stage_and_a_column_per_image():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    stages = [("c1: 8x8", random.normal(size=(2, 8, 8, 4))), ("c2: 4x4", np.zeros((2, 4, 4, 8)))]
    figure = feature_maps_figure(images, stages)
    assert len(figure.axes) == 6
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["", "", "c1: 8x8", "", "c2: 4x4", ""]
    np.testing.assert_array_equal(figure.axes[1].get_images()[0].get_array(), images[1])
    assert all(np.isfinite(axes.get_images()[0].get_array()).all() for axes in figure.axes)  # even for a constant map


def test_wrong_predictions_have_red_titles():
    images = np.zeros((5, 6, 8, 1), np.uint8)
    wrong = np.array([False, True, False, False, False])
    figure = grad_cam_figure(images, np.ones((5, 2, 3, 1), np.float32), ["a", "b", "c", "d", "e"], wrong, "last")
    assert figure.get_suptitle() == "Grad-CAM of the 2x3 maps of last"
    drawn = [axes for axes in figure.axes if axes.get_images()]
    assert [axes.get_title() for axes in drawn] == ["a", "b", "c", "d", "e"]
    assert [axes.title.get_color() for axes in drawn] == ["black", "firebrick", "black", "black", "black"]


def test_a_grad_cam_without_positive_evidence_has_a_note():
    images, heat = np.zeros((2, 8, 8, 1), np.uint8), np.zeros((2, 4, 4, 1))
    heat[1, 0, 0] = 1
    figure = grad_cam_figure(images, heat, ["a", "b"], np.zeros(2, bool), "last")
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["nothing\nsupports it"], []]


def test_class_names_are_plain_text():
    image, wrong, text = np.zeros((1, 6, 8, 1), np.uint8), np.array([True]), "true: $^$\npredicted: $_$"
    matrix, classes = np.array([[1, 2], [0, 1]]), ("$^$", "$_$")
    for figure in (
        grad_cam_figure(image, np.ones((1, 2, 3, 1), np.float32), [text], wrong, "last"),
        examples_figure(image, [text], wrong),
        confusion_matrix_figure(matrix, classes),
        confused_pairs_figure(matrix, classes),
    ):
        figure.savefig(io.BytesIO())


def test_heat_is_red_and_cold_is_grey():
    image = np.full((8, 8, 3), (255, 0, 255), np.uint8)
    cold = under_heat(image, np.zeros((4, 4), np.float32))
    np.testing.assert_allclose(cold, 170 / 255, atol=1e-6)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1e-3
    hot = under_heat(image, heat)
    red, green, blue = hot[10, -10]  # the upper right corner
    assert red > 0.7
    assert max(green, blue) < 0.4
    np.testing.assert_allclose(hot[-10, 10], 170 / 255, atol=1e-6)


def test_tiles_of_a_mosaic_have_gaps():
    tiles = np.stack([np.full((24, 48, 1), value) for value in (0.1, 0.2, 0.3)])
    made = mosaic(tiles, 2)
    assert made.shape == (2 * 24 + 3 * 4, 2 * 48 + 3 * 4, 3)
    assert [made[10, 10, 0], made[10, 70, 0], made[40, 10, 0]] == [0.1, 0.2, 0.3]
    np.testing.assert_array_equal(made[40, 70], BACKGROUND)
    np.testing.assert_array_equal(made[0, 0], BACKGROUND)
