"""Images: reading a file, its preparation as data and as a sentence, and writing a file."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from dltemplates.features import Image, Number

PHOTO = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def image(channels: int, resize: str | None = "stretch") -> Image:
    return Image(name="image", dtype="float32", shape=(6, 8, channels), range=(0, 255), resize=resize)


def test_a_file_and_its_bytes_are_read_as_a_batch_of_one(tmp_path):
    path = tmp_path / "photo.png"
    image(3).write(path, PHOTO + 0.4)
    assert (image(3).read(path)["image"] == PHOTO[None]).all()
    assert (image(3).read(path.read_bytes())["image"] == PHOTO[None]).all()
    grey = np.asarray(PIL.Image.fromarray(PHOTO).convert("L"))
    assert (image(1).read(path)["image"] == grey[None, ..., None]).all()


def test_a_file_of_another_size_is_resized_by_the_option(tmp_path):
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(PHOTO[:3]).save(path)
    arrays = {rule: image(3, rule).read(path)["image"] for rule in ("stretch", "crop", "pad")}
    assert all(array.shape == (1, 6, 8, 3) for array in arrays.values())
    assert (arrays["pad"][0, [0, -1]] == 0).all()
    assert (arrays["stretch"][0, [0, -1]] > 0).any()
    assert not np.array_equal(arrays["stretch"], arrays["crop"])


def test_the_preparation_is_data_and_a_sentence():
    assert (image(1).color, image(3).color, image(4).color) == ("grey", "rgb", None)
    assert image(1).model_dump(include={"upright", "background", "resize", "filter"}) == {
        "upright": True,
        "background": "white",
        "resize": "stretch",
        "filter": "bilinear",
    }
    assert image(1).preparation == (
        "upright by EXIF; transparency over white; grey, ITU-R 601 luma; stretched to 6x8 (height x width), "
        "bilinear with antialiasing"
    )
    assert "RGB; scaled to fit into 6x8" in image(3, "pad").preparation
    assert "4 channels; center-cropped" in image(4, "crop").preparation
    assert image(3, None).preparation == ""


def test_a_kind_that_has_no_file_is_refused(tmp_path):
    number = Number(name="rooms", dtype="float32", shape=())
    with pytest.raises(ValueError, match="Received: `rooms` of kind `number`"):
        number.write(tmp_path / "rooms.png", np.zeros(()))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", [0, 127, 255]), ("int8", [-128, -1, 127]), ("float32", [-127 / 128, 0.0, 1.0])],
)
@pytest.mark.parametrize("raw", [np.uint8, np.float32])
def test_pixels_go_into_a_centered_file_as_bytes_or_as_centered_floats(dtype, expected, raw):
    centered = image(3).model_copy(update={"dtype": dtype, "mean": 127, "scale": 1 / 128, "quantization": (1 / 128, 9)})
    encoded = centered.encode(np.array([[[[0, 127, 255]]]], raw))
    assert encoded.dtype == dtype
    np.testing.assert_array_equal(encoded.ravel(), np.array(expected, dtype))


def test_the_quantization_that_leaves_bytes_as_they_are():
    assert (image(3).byte_quantization("uint8"), image(3).byte_quantization("int8")) == ((1.0, 0), (1.0, -128))
    centered = image(3).model_copy(update={"mean": 127, "scale": 1 / 128})
    assert centered.byte_quantization("uint8") == (1 / 128, 127)
    assert centered.byte_quantization("int8") == (1 / 128, -1)
