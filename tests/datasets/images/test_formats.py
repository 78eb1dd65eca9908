"""Formats of photos: WebP is read, HEIC and TIFF are named, and 16-bit values may use fewer bits."""

import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PIL import features as pillow

from conftest import load_data
from dltemplates.datasets.features import class_value, image_value
from dltemplates.datasets.images.doubts import depth_doubts
from dltemplates.datasets.images.files import scan_files
from dltemplates.datasets.images.pixel_hashes import hash_files
from dltemplates.datasets.images.scan import Scanned, scan
from dltemplates.datasets.prediction_inputs import read_inputs
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features.pixels import UNREADABLE, decode
from dltemplates.inference import LoadedSystem, _settings
from dltemplates.settings import DatasetSettings
from dltemplates.tasks.serving.contract import Contract

HEIC = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0" * 200
AVIF_ONLY = struct.pack(">I", 24) + b"ftypmif1\0\0\0\0mif1avif" + b"\0" * 200
TIFF = b"II*\0" + b"\0" * 200


def load(path, **images):
    return load_data(DatasetSettings(name=str(path), images=images))


def deep_png(values):
    """Return a PNG of 16 bits with values (height, width, channels); Pillow writes grey ones only."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.fixture
def deep_folders(tmp_path):
    """Return a function that writes 16-bit images of two classes with values up to `2**bits - 1`."""

    def write(bits, channels=1, count=6):
        random = np.random.default_rng(bits)
        for label in ("a", "b"):
            (tmp_path / "deep" / label).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                values = random.integers(0, 2**bits, (8, 8, channels))
                values[0, 0] = 2**bits - 1
                (tmp_path / "deep" / label / f"{number}.png").write_bytes(deep_png(values))
        return tmp_path / "deep"

    return write


def test_webp_is_read_in_a_folder(tmp_path, photo):
    for label, image in (("a", photo), ("b", 255 - photo)):
        (tmp_path / label).mkdir()
        for number in range(6):
            Image.fromarray(image[number:60]).save(tmp_path / label / f"{number}.webp", lossless=True)
    dataset = load(tmp_path, size=[32, 32])
    assert (sum(dataset.spec.sizes.values()), dataset.spec.skipped, dataset.spec.warnings) == (12, {}, ())


def test_earlier_rules_skip_webp(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.webp")
    for rules, count in {2: 0, 3: 1}.items():
        examples, skipped = scan_files(tmp_path, ["a.webp"], np.zeros(1), rules=rules)
        assert (len(examples.names), len(skipped)) == (count, 1 - count)


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_a_cut_webp_is_broken_or_readable(tmp_path, photo, cut):
    """A file that the scan accepts is read later; another is skipped with the reason."""
    path = tmp_path / "cut.webp"
    Image.fromarray(photo).save(path, quality=90)
    whole = path.read_bytes()
    (scanned,) = scan([str(path)])
    assert scanned.decoder == "pillow"
    path.write_bytes(whole[:-cut])
    (scanned,) = scan([str(path)])
    assert isinstance(scanned, str)
    assert scanned.startswith(("broken: ", "no JPEG"))


@pytest.mark.skipif(not pillow.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read_where_pillow_reads_it(tmp_path, photo):
    path = tmp_path / "a.avif"
    Image.fromarray(photo).save(path, quality=90)
    assert np.abs(decode(path, 3).astype(int) - photo).mean() < 6
    (scanned,) = scan([str(path)])
    assert (scanned.size, scanned.decoder, scanned.bits) == ((97, 131), "pillow", None)


@pytest.mark.parametrize(("content", "name"), [(HEIC, "HEIC"), (TIFF, "TIFF"), (b"MM, no photo", None)])
def test_photos_of_other_formats_are_named(tmp_path, content, name):
    path = tmp_path / "photo.jpg"  # phones and people rename files
    path.write_bytes(content)
    (reason,) = scan([str(path)])
    assert reason == (UNREADABLE[name] if name else "no JPEG, PNG, BMP, GIF or WebP")
    for source in (path, content):
        with pytest.raises(ValueError, match=re.escape(reason) if name else "not an image of these formats"):
            decode(source, 3)


def test_an_avif_that_pillow_does_not_read_is_named():
    if not pillow.check("avif"):
        with pytest.raises(ValueError, match="AVIF is not read: convert it to JPEG"):
            decode(AVIF_ONLY, 3)
    with pytest.raises(ValueError, match="must be a valid JPEG, PNG, BMP, GIF or WebP"):
        decode(AVIF_ONLY, 3)


def test_some_heic_photos_are_said(class_folders):
    path = class_folders(cats=6, dogs=6)
    (path / "cats" / "x.heic").write_bytes(HEIC)
    (path / "dogs" / "y.HEIC").write_bytes(HEIC)
    dataset = load(path)
    assert dataset.spec.warnings == (f"2 images left out: {UNREADABLE['HEIC']}",)
    assert set(dataset.spec.skipped) == {"cats/x.heic", "dogs/y.HEIC"}


def test_a_class_of_heic_photos_is_refused(class_folders):
    path = class_folders(cats=6)
    (path / "dogs").mkdir()
    (path / "dogs" / "y.heic").write_bytes(HEIC)
    with pytest.raises(ValueError, match=r"images that can be read. Received: .*dogs, where HEIC is not read: convert"):
        load(path)


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".tif"])
def test_a_folder_of_such_photos_alone_is_refused(tmp_path, suffix):
    content, name = (TIFF, "TIFF") if suffix == ".tif" else (HEIC, "HEIC")
    (tmp_path / f"1{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"at least one image. Received: .*1{suffix}: {name} is not read: convert"):
        load_data(DatasetSettings(name=str(tmp_path)), "reconstruction")


def test_predictions_name_such_photos(tmp_path, write_image):
    (tmp_path / "1.heic").write_bytes(HEIC)
    write_image(tmp_path / "2.png")
    image = image_value((8, 8), 3, resize="stretch")
    spec = DatasetSpec(inputs=(image,), targets=(class_value(("a", "b")),), sizes={})
    first, second = read_inputs(image, spec, [tmp_path])
    assert "HEIC is not read: convert it to JPEG" in first.remarks["error"]
    assert second.arrays["image"].shape == (1, 8, 8, 3)
    with pytest.raises(ValueError, match="HEIC is not read"):
        list(read_inputs(image, spec, [tmp_path / "1.heic"]))


@pytest.mark.parametrize("bits", [1, 4, 10, 12, 14])
def test_values_of_few_bits_are_said_and_stretched(deep_folders, bits):
    path = deep_folders(bits)
    (line,) = load(path).spec.warnings
    assert line == (
        f"12 images of 16 bits use {bits} of them, and are read almost black: stretch them, --set "
        f"dataset.images.bits={bits}; or keep them dark, --set dataset.images.bits=16"
    )
    dataset = load(path, bits=bits)
    assert dataset.spec.warnings == ()
    assert dataset.spec.inputs[0].bits == bits
    for source in dataset.splits.values():
        assert source.read(np.arange(len(source)))["image"].max(axis=(1, 2, 3)).tolist() == [255] * len(source)
    assert load(path, bits=16).spec.warnings == ()
    assert load(path, bits=16).split("train").read(np.arange(1))["image"].max() == (2**bits - 1) >> 8


@pytest.mark.parametrize(
    ("bright", "way_out"),
    [(1, "stretch them, --set dataset.images.bits=12;"), (30, "save them with 8 bits;"), (300, None)],
)
def test_bright_images_do_not_hide_dark_ones(bright, way_out):
    image = Scanned((8, 8), True, "pillow", b"", 1, 12)
    black, light, plain = (replace(image, bits=bits) for bits in (0, 16, None))
    lines = depth_doubts([image] * 12 + [black, plain] + [light] * bright, None)
    starts = [f"12 images of 16 bits use 12 of them, and are read almost black: {way_out}"] if way_out else []
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


def test_dark_images_of_16_bits_are_no_copies(deep_folders):
    dataset = load_data(DatasetSettings(name=str(deep_folders(8))), "classification")
    assert sum(dataset.spec.sizes.values()) == 12
    (line,) = dataset.spec.warnings
    assert line.startswith("12 images of 16 bits use 8 of them")


def test_hashes_of_16_bits(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (8, 8, 1))
    Image.fromarray(values[..., 0].astype(np.uint8)).save(tmp_path / "plain.png")
    contents = {"high": values << 8, "both": values * 257, "low": values, "other": values[::-1], "same": values}
    for name, content in contents.items():
        (tmp_path / f"{name}.png").write_bytes(deep_png(content))
    names = [f"{name}.png" for name in ("plain", *contents)]
    hashes = hash_files(tmp_path, names, scan([str(tmp_path / name) for name in names])).tolist()
    assert hashes[0] == hashes[1] == hashes[2]
    assert hashes[3] == hashes[5]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize("bits", [15, 16])
def test_values_of_many_bits_give_no_warning(deep_folders, bits):
    assert load(deep_folders(bits)).spec.warnings == ()


def test_stretching_keeps_the_order_of_values():
    values = np.arange(4096).reshape(64, 64, 1)
    pixels = decode(deep_png(values), 1, bits=12)
    assert (pixels == values >> 4).all()
    assert (decode(deep_png(values), 3, bits=12) == values >> 4).all()
    assert (decode(deep_png(values), 1) == values >> 8).all()
    assert (decode(deep_png(values), 1, bits=10) == np.minimum(values >> 2, 255)).all()
    assert decode(deep_png(values % 8), 1, bits=3).max() == 255


def test_brighter_values_than_the_setting_are_said(deep_folders):
    (line,) = load(deep_folders(14), bits=12).spec.warnings
    assert line.startswith("12 images of 16 bits use more than 12 of them; brighter values are read as white: --set")
    assert line.endswith("dataset.images.bits=14")


def test_the_setting_without_such_images_is_said(class_folders):
    (line,) = load(class_folders(cats=6, dogs=6), bits=12).spec.warnings
    assert line == "no image has 16 bits, so that dataset.images.bits has no effect: leave it out"


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_are_said_and_not_stretched(deep_folders, channels):
    path = deep_folders(12, channels)
    (line,) = load(path).spec.warnings
    assert line == (
        "12 images of 16 bits use 12 of them, and are read almost black: save them with 8 bits; or keep them dark, "
        "--set dataset.images.bits=16"
    )
    assert load(path, bits=16).spec.warnings == ()
    with pytest.raises(ValueError, match="is for grey 16-bit images. Received: 12, and 12 images in colour"):
        load(path, bits=12)


def test_new_images_are_stretched_as_in_training(deep_folders):
    path = deep_folders(12)
    image = load(path, bits=12).spec.inputs[0]
    assert "16-bit values read as 12-bit" in image.preparation
    restored = type(image).model_validate_json(image.model_dump_json())
    content = deep_png(np.full((8, 8, 1), 4095))
    assert (restored.read(content)["image"] == 255).all()
    value = image_value((8, 8), 1, resize="stretch")
    assert (value.read(content)["image"] == 15).all()
    assert "bits" not in Contract(name="n", task="t", inputs=(value,), outputs=(), targets=()).files()["contract.json"]


def test_an_exported_file_reads_data_with_its_bits(deep_folders):
    image = load(path := deep_folders(12), bits=12).spec.inputs[0]
    contract = Contract(name="n", task="classification", inputs=(image,), outputs=(), targets=())
    settings = _settings(LoadedSystem(None, contract, None, None, None), str(path))
    assert settings.of_images().bits == 12
