"""Images of every kind that a user's folder may hold, from a real photograph."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep tests out of the user's cache."""
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "cache"))
    yield
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """Return a photograph, uint8 (97, 131, 3): no decoder's block divides its sizes."""
    return np.ascontiguousarray(load_sample_image("flower.jpg")[150:247, 200:331])


def _with_exif(photo: np.ndarray, path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(path, quality=92, exif=exif)


def _translucent(photo: np.ndarray) -> Image.Image:
    alpha = np.tile(np.linspace(0, 255, photo.shape[1]).astype(np.uint8), (photo.shape[0], 1))
    return Image.fromarray(np.dstack([photo, alpha]))


def _grey(photo: np.ndarray) -> Image.Image:
    return Image.fromarray(photo).convert("L")


def _palette(photo: np.ndarray) -> Image.Image:
    return Image.fromarray(photo).quantize(64)


WRITERS: dict[str, Callable[[np.ndarray, Path], object]] = {
    "jpeg_444.jpg": lambda photo, path: Image.fromarray(photo).save(path, quality=92, subsampling=0),
    "jpeg_422.jpg": lambda photo, path: Image.fromarray(photo).save(path, quality=92, subsampling=1),
    "jpeg_420.jpg": lambda photo, path: Image.fromarray(photo).save(path, quality=60, subsampling=2),
    "jpeg_progressive.jpg": lambda photo, path: Image.fromarray(photo).save(path, quality=80, progressive=True),
    "jpeg_grey.jpg": lambda photo, path: _grey(photo).save(path, quality=92),
    "jpeg_cmyk.jpg": lambda photo, path: Image.fromarray(photo).convert("CMYK").save(path, quality=92),
    "jpeg_keep_rgb.jpg": lambda photo, path: Image.fromarray(photo).save(path, quality=92, keep_rgb=True),
    "jpeg_two.jpg": lambda photo, path: Image.fromarray(photo).save(
        path, "MPO", save_all=True, append_images=[Image.fromarray(255 - photo)]
    ),
    "png_rgb.png": lambda photo, path: Image.fromarray(photo).save(path),
    "png_grey.png": lambda photo, path: _grey(photo).save(path),
    "png_grey4.png": lambda photo, path: _grey(photo).point(lambda level: level >> 4).save(path, bits=4),
    "png_1.png": lambda photo, path: Image.fromarray(photo).convert("1").save(path),
    "png_rgba.png": lambda photo, path: _translucent(photo).save(path),
    "png_la.png": lambda photo, path: _translucent(photo).convert("LA").save(path),
    "png_transparent_grey.png": lambda photo, path: _grey(photo).save(path, transparency=_grey(photo).getpixel((0, 0))),
    "png_transparent_rgb.png": lambda photo, path: Image.fromarray(photo).save(
        path, transparency=tuple(int(level) for level in photo[0, 0])
    ),
    "png_palette.png": lambda photo, path: _palette(photo).save(path),
    "png_transparent_palette.png": lambda photo, path: _palette(photo).save(path, transparency=3),
    "png_16.png": lambda photo, path: Image.fromarray(photo[..., 0].astype(np.uint16) * 256 + 77).save(path),
    "png_animated.png": lambda photo, path: Image.fromarray(photo).save(
        path, save_all=True, append_images=[Image.fromarray(255 - photo)]
    ),
    "bmp_rgb.bmp": lambda photo, path: Image.fromarray(photo).save(path),
    "bmp_grey.bmp": lambda photo, path: _grey(photo).save(path),
    "bmp_palette.bmp": lambda photo, path: _palette(photo).save(path),
    "bmp_1.bmp": lambda photo, path: Image.fromarray(photo).convert("1").save(path),
    "bmp_rgba.bmp": lambda photo, path: _translucent(photo).save(path),
    "gif_rgb.gif": lambda photo, path: Image.fromarray(photo).save(path),
    "gif_grey.gif": lambda photo, path: _grey(photo).save(path),
    "gif_transparent.gif": lambda photo, path: _palette(photo).save(path, transparency=3),
    "gif_animated.gif": lambda photo, path: Image.fromarray(photo).save(
        path, save_all=True, append_images=[Image.fromarray(255 - photo)]
    ),
    "webp_lossless.webp": lambda photo, path: Image.fromarray(photo).save(path, lossless=True),
    "webp_lossy.webp": lambda photo, path: Image.fromarray(photo).save(path, quality=80),
    "webp_rgba.webp": lambda photo, path: _translucent(photo).save(path, lossless=True, exact=True),
    "webp_animated.webp": lambda photo, path: Image.fromarray(photo).save(
        path, save_all=True, append_images=[Image.fromarray(255 - photo)], lossless=True
    ),
    **{f"exif_{value}.jpg": lambda photo, path, value=value: _with_exif(photo, path, value) for value in range(1, 9)},
    "exif_6.png": lambda photo, path: _with_exif(photo, path, 6),
    "exif_6.webp": lambda photo, path: _with_exif(photo, path, 6),
}


@pytest.fixture(scope="session")
def every_kind(photo, tmp_path_factory) -> dict[str, Path]:
    """Write one file of every kind; return paths by name."""
    folder = tmp_path_factory.mktemp("every_kind")
    for name, write in WRITERS.items():
        write(photo, folder / name)
    return {name: folder / name for name in WRITERS}


@pytest.fixture
def write_image():
    """Return a function that writes an image of one colour: `write_image(path, level=..., size=(height, width))`."""

    def write(path: Path, *, level: int = 0, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.full((*size, 3), level, np.uint8)
        rows[::2] = 255 - level
        Image.fromarray(rows).convert(mode).save(path)
        return path

    return write


@pytest.fixture
def class_folders(tmp_path, write_image):
    """Return a function that writes class folders and returns the top one: `class_folders("train", cats=5, dogs=5)`.

    No two pictures are equal.
    """
    levels = iter(range(256))

    def write(below: str = ".", **counts: int) -> Path:
        for label, count in counts.items():
            for number in range(count):
                write_image(tmp_path / "data" / below / label / f"{number:03}.png", level=next(levels))
        return tmp_path / "data"

    return write


@pytest.fixture
def data() -> Path:
    """Return the folder `$DLT_DATA`."""
    if "DLT_DATA" not in os.environ:
        pytest.skip("needs $DLT_DATA")
    return Path(os.environ["DLT_DATA"]).resolve()
