"""Drawings of filters, feature maps and Grad-CAM; arrays in, figures out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from dltemplates.figures.outcomes import show_image

CAPTIONS = {  # by file name: heading and caption in the report
    "grad_cam": (
        "Grad-CAM",
        "The redder a place, the more it supports the predicted class (Selvaraju 2017). Heat beside the object reveals "
        "a shortcut. With dense layers after the feature maps the result is rough.",
    ),
    "filters": (
        "First-layer filters",
        "The kernels of the first convolution, each scaled around zero. Well-trained ones show edges, spots and "
        "colours; noise means too little training or too little regularization.",
    ),
    "feature_maps": (
        "Feature maps by depth",
        "The outputs of single filters on two images, bright where they respond. Early layers detect edges; deep ones "
        "respond to larger parts of an object, and locate them less precisely.",
    ),
}

MAX_FILTERS = 96  # as in AlexNet's first layer, both towers together
GAP = 1 / 12  # between the tiles of a mosaic, as a share of a tile
BACKGROUND = (0.87, 0.91, 0.97)


def filters_figure(kernels: np.ndarray, name: str) -> Figure:
    """Draw kernels as a grid, in colour if they have three channels, else in grey.

    Args:
        kernels: (filters, height, width, channels).
        name: Name of their layer.
    """
    drawn = kernels[:MAX_FILTERS]
    if drawn.shape[-1] != 3:
        drawn = drawn.mean(axis=-1, keepdims=True)
    largest = np.abs(drawn).max(axis=(1, 2, 3), keepdims=True)
    tiles = 0.5 + 0.5 * drawn / np.where(largest > 0, largest, 1)
    columns = min(len(tiles), 16 if len(tiles) > 32 else 8)
    rows = -(-len(tiles) // columns)
    figure = Figure(figsize=(max(0.6 * columns, 4), 0.6 * rows + 0.5), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    axes.imshow(mosaic(tiles, columns))
    few = f"{len(tiles)} of " if len(tiles) < len(kernels) else ""
    height, width = kernels.shape[1:3]
    axes.set_title(f"{name}: {few}{len(kernels)} filters of {height}x{width}", fontsize=10)
    return figure


def feature_maps_figure(images: np.ndarray, stages: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Draw feature maps by depth, one row per stage and one column per image.

    Args:
        images: uint8 (n, height, width, channels).
        stages: Name and maps (n, height, width, maps) of each stage; each map has its own scale.
    """
    count, columns = len(images), max(maps.shape[-1] for _, maps in stages)
    figure = Figure(
        figsize=(0.72 * columns * count, 1.3 + 1.02 * len(stages)), layout=ConstrainedLayoutEngine(wspace=0.04)
    )
    grid = figure.subplots(1 + len(stages), count, squeeze=False, height_ratios=[1.3] + [1] * len(stages))
    for column in range(count):
        grid[0, column].axis("off")
        show_image(grid[0, column], images[column])
        for axes, (name, maps) in zip(grid[1:, column], stages, strict=True):
            tiles = np.moveaxis(maps[column], -1, 0)
            low, high = (extreme(tiles, axis=(1, 2), keepdims=True) for extreme in (np.min, np.max))
            tiles = (tiles - low) / np.where(high > low, high - low, 1)
            axes.axis("off")
            axes.imshow(mosaic(colormaps["viridis"](tiles)[..., :3], columns))
            axes.set_title(name if column == 0 else "", fontsize=8, loc="left")
    return figure


def grad_cam_figure(
    images: np.ndarray, heat: np.ndarray, titles: Sequence[str], wrong: np.ndarray, name: str
) -> Figure:
    """Draw each image beside its heat map of the pixels that support the predicted class.

    Args:
        images: uint8 (n, height, width, channels).
        heat: (n, rows, columns, 1), at least 0; each image has its own scale.
        titles: Text above each image.
        wrong: Whether to write each title in red, (n,).
        name: Name of the layer with the feature maps.
    """
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.6 * columns, 1.75 * rows + 0.3), layout="constrained")
    figure.suptitle(f"Grad-CAM of the {heat.shape[1]}x{heat.shape[2]} maps of {name}", fontsize=10)
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if index >= len(images):
            continue
        height, width = images.shape[1:3]
        show_image(axes, images[index], extent=(0, width, height, 0))
        axes.imshow(under_heat(images[index], heat[index, ..., 0]), extent=(1.05 * width, 2.05 * width, height, 0))
        axes.set_xlim(0, 2.05 * width)
        if not heat[index].any():
            middle = {"ha": "center", "va": "center", "fontsize": 8, "color": "white"}
            axes.text(1.55 * width, height / 2, "nothing\nsupports it", **middle)
        axes.set_title(titles[index], fontsize=8, color="firebrick" if wrong[index] else "black", parse_math=False)
    return figure


def under_heat(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Blend a heat map over the image in grey.

    Args:
        image: uint8 (height, width, channels).
        heat: (rows, columns), at least 0.

    Returns:
        (side, side, 3), 0..1, fine enough to hide the edges between cells of the heat map.
    """
    side = 224
    grey = image[..., :3].mean(axis=-1).astype(np.float32) / 255
    grey = np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.NEAREST))[..., None]
    scaled = heat.astype(np.float32) / max(float(heat.max()), 1e-12)
    smooth = np.asarray(Image.fromarray(scaled).resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
    share = 0.7 * smooth[..., None] ** 0.7
    return ((1 - share) * grey + share * colormaps["jet"](0.4 + 0.5 * smooth)[..., :3]).clip(0, 1)


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Arrange tiles on a pale background, a colour that is neither grey nor in viridis.

    Args:
        tiles: (n, height, width, 1 or 3), 0..1.
        columns: Tiles per row.

    Returns:
        One picture, (height, width, 3), 0..1; tiles are enlarged, to keep the gaps thin.
    """
    enlarge = -(-24 // min(tiles.shape[1:3]))
    tiles = tiles.repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    height, width = tiles.shape[1:3]
    gap = round(GAP * width)
    rows = -(-len(tiles) // columns)
    picture = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), BACKGROUND)
    for index, tile in enumerate(tiles):
        top, left = gap + index // columns * (height + gap), gap + index % columns * (width + gap)
        picture[top : top + height, left : left + width] = tile
    return picture
