"""The reference reader: it decodes every file to the image that a viewer shows."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dltemplates.datasets.features import image_value
from dltemplates.features.pixels import decode, fit, resize_image, to_channels


def mean_error(image, expected):
    assert image.shape == expected.shape
    return np.abs(image.astype(int) - expected).mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_decodes_to_uint8_with_the_requested_channels(every_kind, channels):
    for name, path in every_kind.items():
        image = decode(path, channels)
        assert image.dtype == np.uint8, name
        assert image.shape in ((97, 131, channels), (131, 97, channels)), name
        assert image.std() > 20, name


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("png_rgb.png", 0),
        ("bmp_rgb.bmp", 0),
        ("bmp_rgba.bmp", 0),
        ("png_animated.png", 0),
        ("jpeg_444.jpg", 4),
        ("jpeg_422.jpg", 5),
        ("jpeg_cmyk.jpg", 4),
        ("jpeg_keep_rgb.jpg", 4),
        ("jpeg_two.jpg", 9),
        ("png_palette.png", 6),
        ("bmp_palette.bmp", 6),
        ("gif_rgb.gif", 4),
        ("gif_animated.gif", 4),
        ("webp_lossless.webp", 0),
        ("webp_animated.webp", 0),
        ("webp_lossy.webp", 6),
    ],
)
def test_colours_match_the_photograph(every_kind, photo, name, allowed):
    assert mean_error(decode(every_kind[name], 3), photo) <= allowed


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("png_grey.png", 0), ("bmp_grey.bmp", 0), ("gif_grey.gif", 0), ("png_grey4.png", 5), ("jpeg_grey.jpg", 3)],
)
def test_grey_levels_match_the_photograph(every_kind, photo, name, allowed):
    assert mean_error(decode(every_kind[name], 1), to_channels(photo, 1)) <= allowed


def test_transparent_parts_lie_over_white(every_kind, photo):
    alpha = np.linspace(0, 255, photo.shape[1]).astype(np.uint8)[None, :, None] / 255
    expected = photo * alpha + 255 * (1 - alpha)
    assert mean_error(decode(every_kind["png_rgba.png"], 3), expected) < 1
    assert mean_error(decode(every_kind["webp_rgba.webp"], 3), expected) < 1
    grey = to_channels(photo, 1) * alpha + 255 * (1 - alpha)
    assert mean_error(decode(every_kind["png_la.png"], 1), grey) < 1
    assert (decode(every_kind["png_transparent_rgb.png"], 3)[0, 0] == 255).all()
    assert (decode(every_kind["png_transparent_grey.png"], 1)[0, 0] == 255).all()
    for name, opaque in (("png_transparent_palette.png", "png_palette.png"), ("gif_transparent.gif", "gif_rgb.gif")):
        image = decode(every_kind[name], 3)
        assert (image == 255).all(axis=-1).sum() > (decode(every_kind[opaque], 3) == 255).all(axis=-1).sum(), name


def test_16_bits_are_scaled_not_clipped(every_kind, photo):
    assert (decode(every_kind["png_16.png"], 1)[..., 0] == photo[..., 0]).all()


def test_exif_orientation_turns_the_image_upright(tmp_path, photo):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright = Image.fromarray(photo)
        # Turn the photograph the other way and mark it, so that a viewer turns it back.
        undo = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }
        turned = upright.transpose(undo[orientation]) if orientation > 1 else upright
        turned.save(tmp_path / "turned.png", exif=exif)
        assert (decode(tmp_path / "turned.png", 3) == photo).all(), orientation


def test_bytes_decode_as_the_file_does(every_kind):
    path = every_kind["jpeg_420.jpg"]
    assert (decode(path.read_bytes(), 3) == decode(path, 3)).all()


def test_grey_levels_match_pillow(photo):
    assert (to_channels(photo, 1)[..., 0] == np.asarray(Image.fromarray(photo).convert("L"))).all()
    assert (to_channels(photo[..., :1], 3) == photo[..., :1]).all()


@pytest.mark.parametrize(
    ("size", "target", "rule", "expected"),
    [
        ((100, 200), (50, 50), "stretch", (0, 0, 100, 200, 50, 50)),
        ((100, 200), (50, 50), "crop", (0, 50, 100, 100, 50, 50)),
        ((200, 100), (50, 50), "crop", (50, 0, 100, 100, 50, 50)),
        ((100, 200), (50, 50), "pad", (0, 0, 100, 200, 25, 50)),
        ((200, 100), (50, 50), "pad", (0, 0, 200, 100, 50, 25)),
        ((1, 1000), (10, 10), "pad", (0, 0, 1, 1000, 1, 10)),
        ((1000, 1), (10, 300), "crop", (499, 0, 1, 1, 10, 300)),
    ],
)
def test_crop_and_pad_boxes(size, target, rule, expected):
    assert fit(size, target, rule) == expected


def test_resize_rules(photo):
    assert resize_image(photo, (97, 131), "pad") is photo
    assert resize_image(photo, (40, 60), "stretch").shape == (40, 60, 3)
    padded = resize_image(photo, (100, 100), "pad")
    assert (padded[:13] == 0).all()
    assert (padded[-13:] == 0).all()
    assert padded[13:-13].mean() > 20
    cropped = resize_image(photo, (97, 97), "crop")
    assert (cropped == photo[:, 17:114]).all()
    assert resize_image(photo[..., :1], (20, 30), "pad").shape == (20, 30, 1)


def test_resize_has_antialias():
    board = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.uint8(255)
    assert np.abs(resize_image(board.astype(np.uint8), (8, 8), "stretch").astype(int) - 127).max() <= 2


def test_an_input_is_read_in_its_own_size_and_channels(every_kind):
    value = image_value((32, 48), 1, resize="crop")
    (image,) = value.read(every_kind["exif_6.jpg"])["image"]
    assert image.shape == value.shape
    assert image.dtype == np.uint8


def test_a_broken_file_is_named(tmp_path, every_kind):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(every_kind["jpeg_444.jpg"].read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"JPEG.*PNG.*BMP.*GIF.*Received: .*broken.jpg \(.*truncated"):
        decode(broken, 3)
    (tmp_path / "note.png").write_text("no image")
    with pytest.raises(ValueError, match=r"Received: .*note.png \(not an image of these formats\)"):
        decode(tmp_path / "note.png", 3)
    with pytest.raises(ValueError, match=r"Received: .*absent.png \(.*No such file"):
        decode(tmp_path / "absent.png", 3)
    with pytest.raises(ValueError, match=r"Received: bytes \(not an image"):
        decode(b"no image", 3)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch, photo):
    Image.fromarray(photo).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"large.png .*exceeds limit"):
        decode(tmp_path / "large.png", 3)


def test_reading_needs_no_tensorflow(class_folders):
    folder = class_folders(cats=4, dogs=4)
    code = f"""
import sys
import numpy as np
from dltemplates.tasks.load_for import load_for
from dltemplates.template import parse_template
for name in ("digits", {str(folder)!r}):
    template = parse_template({{"task": "classification", "dataset": {{"name": name}}, "model": "mlp"}})
    print(load_for(template)[1].split("train").read(np.arange(2))["image"].shape)
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split("\n")[:2] == ["(2, 8, 8, 1)", "(2, 8, 8, 3)"]
