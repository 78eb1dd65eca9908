import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from conftest import adapt_data, batch_of
from dltemplates.datasets.augment import images as augment
from dltemplates.datasets.images.files import FileSource, scan_files
from dltemplates.datasets.pipeline import Shard, TrainingOrder, evaluation_batches, training_batches
from dltemplates.datasets.source import SPLITS, ArraySource, Dataset
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Image
from dltemplates.settings import Named
from dltemplates.train_settings import Augment

IMAGE = Image(name="image", dtype="float32", shape=(6, 6, 1), range=(0, 255))
LABEL = ClassId(name="label", dtype="int64", shape=(), classes=("even", "odd"))
SPEC = DatasetSpec(inputs=(IMAGE,), targets=(LABEL,), sizes={"train": 10}, fingerprint="")
PIXELS = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 1)).astype("uint8")
PIXELS[:, 0, 0, 0] = np.arange(10)  # the first pixel identifies the example
SOURCE = ArraySource({"image": PIXELS, "label": np.arange(10) % 2})
ALL = Augment(
    random_crop=0.75,
    flip=True,
    crop_padding=1,
    randaugment={},
    rotation=15,
    brightness=0.1,
    contrast=0.2,
    cutout=2,
    mixup=0.4,
    cutmix=1.0,
)


@pytest.fixture(autouse=True, scope="module")
def deterministic():
    """Use deterministic operations, as training does."""
    tf.config.experimental.enable_op_determinism()


def one_hot(target):
    return tf.one_hot(target, 2)


def batches(first, last, augment=Augment(), seed=3, source=SOURCE, spec=SPEC, batch=batch_of(one_hot), **options):  # noqa: B008
    order = TrainingOrder(len(source), 4, seed)
    dataset = training_batches(source, spec, order, steps=range(first, last), batch=batch, augment=augment, **options)
    return list(dataset.as_numpy_iterator())


def assert_same(found, expected):
    assert len(found) == len(expected)
    for some, others in zip(found, expected, strict=True):
        for array, other in zip(some, others, strict=True):
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)


def test_each_epoch_visits_every_example_once_in_a_new_order():
    order = TrainingOrder(10, 4, seed=3)
    seen = np.concatenate([order.indices(tf.constant(step, tf.int64)) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])


def test_the_seed_changes_the_order():
    step = tf.constant(0, tf.int64)
    assert list(TrainingOrder(1000, 64, 0).indices(step)) != list(TrainingOrder(1000, 64, 1).indices(step))


@pytest.mark.parametrize("settings", [Augment(), ALL])
def test_starting_at_a_step_gives_the_same_batches(settings):
    whole, rest = batches(0, 7, settings), batches(4, 7, settings)
    assert len(rest) == 3
    assert_same(rest, whole[4:])


def test_batches_follow_the_order_and_are_full():
    order = TrainingOrder(10, 4, seed=3)
    for step, (images, labels, weights) in enumerate(batches(0, 5)):
        indices = order.indices(tf.constant(step, tf.int64)).numpy()
        np.testing.assert_array_equal(images[:, 0, 0, 0], indices)
        np.testing.assert_array_equal(labels.argmax(axis=1), indices % 2)
        assert weights.tolist() == [1, 1, 1, 1]


def test_class_weights_are_sample_weights():
    for _, labels, weights in batches(0, 3, class_weights=np.float32([0.5, 2])):
        np.testing.assert_array_equal(weights, np.where(labels[:, 1] == 1, 2, 0.5))


def evaluate(batch_size, source=SOURCE, **options):
    dataset = evaluation_batches(source, SPEC, batch_size=batch_size, batch=batch_of(), **options)
    found = list(dataset.as_numpy_iterator())
    assert dataset.cardinality() == len(found)
    return found


@pytest.mark.parametrize(("batch_size", "lengths"), [(4, [4, 4, 4]), (5, [5, 5]), (16, [10])])
def test_evaluation_visits_every_example_once_in_order(batch_size, lengths):
    found = evaluate(batch_size)
    assert [len(images) for images, _, _ in found] == lengths
    images, labels, weights = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    np.testing.assert_array_equal(images[:10], PIXELS)
    np.testing.assert_array_equal(labels[:10], np.arange(10) % 2)
    np.testing.assert_array_equal(images[10:], PIXELS[[9] * (len(images) - 10)])
    np.testing.assert_array_equal(weights, np.arange(len(weights)) < 10)


@pytest.mark.parametrize("most", [3, 5, 7, 100])
def test_evaluation_on_a_subset_spreads_over_the_split(most):
    images, _, weights = (np.concatenate(arrays) for arrays in zip(*evaluate(4, max_examples=most), strict=True))
    seen = {3: [0, 3, 6], 5: [0, 2, 4, 6, 8], 7: [0, 1, 2, 4, 5, 7, 8], 100: range(10)}
    np.testing.assert_array_equal(images[weights > 0], PIXELS[seen[most]])


def test_an_order_of_a_subset_visits_each_example_once_an_epoch():
    order = TrainingOrder(20, 10, 0, only=np.arange(0, 60, 3))
    visited = [np.concatenate([order.indices(2 * epoch), order.indices(2 * epoch + 1)]) for epoch in range(4)]
    for epoch in visited:
        assert sorted(epoch) == list(range(0, 60, 3))
    assert len({tuple(epoch) for epoch in visited}) > 1


@pytest.mark.parametrize(("batch_size", "parts"), [(4, 2), (6, 3), (100, 4), (5, 2)])
def test_evaluation_shards_add_up_to_the_whole_split(batch_size, parts):
    shards = [evaluate(batch_size, shard=Shard(parts, range(part, part + 1))) for part in range(parts)]
    assert len({len(images) for own in shards for images, _, _ in own}) == 1
    joined = [np.concatenate(arrays) for step in zip(*shards, strict=True) for arrays in zip(*step, strict=True)]
    images, labels, weights = (np.concatenate(joined[place::3]) for place in range(3))
    assert weights.sum() == 10
    np.testing.assert_array_equal(images[weights == 1], PIXELS)
    np.testing.assert_array_equal(labels[weights == 1], np.arange(10) % 2)
    both = evaluate(batch_size, shard=Shard(parts, range(parts)))
    np.testing.assert_array_equal(np.concatenate([images for images, _, _ in both]), images)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        pytest.param("arrays", Augment(), marks=pytest.mark.slow),
        pytest.param("arrays", ALL, marks=pytest.mark.slow),
        ("files", Augment()),
        ("files", ALL),
    ],
)
def test_shards_add_up_to_the_whole_batch(settings, kind, image_files):
    source, spec = (SOURCE, SPEC) if kind == "arrays" else (image_files, SPEC)
    options = {"source": source, "spec": spec, "class_weights": np.float32([0.5, 2])}
    whole = batches(2, 5, settings, **options)
    first, second = (batches(2, 5, settings, shard=Shard(2, range(p, p + 1)), **options) for p in range(2))
    assert_same(first, [[array[:2] for array in batch] for batch in whole])
    assert_same(second, [[array[2:] for array in batch] for batch in whole])
    both = batches(2, 5, settings, shard=Shard(2, range(2)), **options)
    assert_same(both, [batch for pair in zip(first, second, strict=True) for batch in pair])
    assert_same(batches(2, 5, settings, **options), whole)


@pytest.fixture
def image_files(tmp_path):
    """Return SOURCE as files of two sizes and two formats; resizing loses some precision."""
    names = [f"{number}.{'png' if number % 2 else 'bmp'}" for number in range(10)]
    for name, pixels in zip(names, PIXELS, strict=True):
        side = 8 if name < "5" else 6
        PIL.Image.fromarray(pixels[..., 0]).resize((side, side)).convert("RGB").save(tmp_path / name)
    examples, skipped = scan_files(tmp_path, names, np.arange(10) % 2)
    assert not skipped
    return FileSource(tmp_path, examples.fields(IMAGE.model_copy(update={"resize": "stretch"}), LABEL))


@pytest.mark.parametrize(
    "settings",
    [
        Named(name="reconstruction"),
        Named(name="reconstruction", noise=0.3),
        Named(name="anomaly", normal="even", anomalies="keep"),
    ],
    ids=["reconstruction", "denoising", "anomaly"],
)
def test_the_target_of_a_reconstruction_is_the_augmented_image(settings):
    augment = Augment(random_crop=0.75, flip=True, crop_padding=1, brightness=0.1, mixup=0.4, cutmix=1.0)
    task, adapted = adapt_data(settings, Dataset(SPEC, dict.fromkeys(SPLITS, SOURCE)))
    found = batches(0, 2, augment, source=adapted.split("train"), spec=adapted.spec, batch=task.batch)
    for (images, targets, _), (classified, _, _) in zip(found, batches(0, 2, augment), strict=True):
        assert targets.std() > 0.1
        np.testing.assert_array_equal(targets, images / np.float32(255))
        np.testing.assert_array_equal(images, classified)  # the target does not change the random draws


def test_a_shard_reads_only_its_own_examples(monkeypatch):
    seen = []
    read = SOURCE.read
    monkeypatch.setattr(SOURCE, "read", lambda indices: seen.extend(indices.tolist()) or read(indices))
    batches(0, 1, shard=Shard(2, range(1, 2)))
    order = TrainingOrder(10, 4, seed=3)
    assert seen == [0, *order.indices(tf.constant(0, tf.int64)).numpy()[2:]]  # index 0 is read once for the dtypes


def test_a_batch_that_cannot_be_cut():
    with pytest.raises(ValueError, match="replicas.*Received: 4 for 3.*=3"):
        batches(0, 1, shard=Shard(3))
    with pytest.raises(ValueError, match=r"Received: 4 in 4 parts of 1.*=8"):
        batches(0, 1, Augment(mixup=1.0), shard=Shard(4))


def test_integer_targets_cannot_be_mixed():
    with pytest.raises(ValueError, match="`mixup`.*`cutmix`.*Received: int64 for a target of kind `class`"):
        batches(0, 1, Augment(cutmix=1.0), batch=batch_of())


def test_a_random_crop_of_arrays_is_a_window_of_a_larger_canvas():
    (images, _, _), *_ = batches(0, 1, Augment(random_crop=0.75))
    assert images.shape == (4, 6, 6, 1)
    assert images.dtype == np.uint8
    indices = TrainingOrder(10, 4, seed=3).indices(tf.constant(0, tf.int64)).numpy()
    canvas = tf.image.resize(PIXELS[indices], (8, 8), antialias=True).numpy().round().astype(np.uint8)
    for image, large in zip(images, canvas, strict=True):
        windows = [large[row : row + 6, column : column + 6] for row in range(3) for column in range(3)]
        assert any((image == window).all() for window in windows)


def test_pixels_stay_bytes_until_an_augmentation_changes_their_values():
    for settings, dtype in [(Augment(flip=True, crop_padding=1, cutout=2, cutmix=1.0), np.uint8), (ALL, np.float32)]:
        (images, _, _), *_ = batches(0, 1, settings)
        assert images.dtype == dtype


IMAGES = tf.constant(PIXELS[:4], tf.float32)


def test_without_augmentation_images_are_unchanged():
    draws = tf.random.stateless_uniform([4, augment.count_draws(ALL)], [0, 0])
    np.testing.assert_array_equal(augment.augment_images(IMAGES, draws, Augment()), IMAGES)


def test_augmentation_depends_only_on_its_random_draws():
    draws = tf.random.stateless_uniform([4, augment.count_draws(ALL)], [0, 1])
    once, again = (augment.augment_images(IMAGES, draws, ALL).numpy() for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert not np.allclose(once, IMAGES)
    assert once.min() >= 0
    assert once.max() <= 255


def test_flip_mirrors_the_chosen_images():
    flipped = augment.flip(IMAGES, tf.constant([True, True, False, False]))
    np.testing.assert_array_equal(flipped[:2], IMAGES[:2, :, ::-1])
    np.testing.assert_array_equal(flipped[2:], IMAGES[2:])


def test_crop_shifts_by_up_to_the_padding_and_fills_with_black():
    zero, one = tf.zeros(4), tf.fill([4], 0.999)
    corner = augment.crop(IMAGES, zero, zero, 2).numpy()
    np.testing.assert_array_equal(corner[:, 2:, 2:], IMAGES[:, :-2, :-2])
    assert not corner[:, :2].any()
    other = augment.crop(IMAGES, one, one, 2).numpy()
    np.testing.assert_array_equal(other[:, :-2, :-2], IMAGES[:, 2:, 2:])
    middle = augment.crop(IMAGES, tf.fill([4], 0.5), tf.fill([4], 0.5), 2)
    np.testing.assert_array_equal(middle, IMAGES)


def test_rotation_by_0_and_90_degrees():
    np.testing.assert_allclose(augment.rotate(IMAGES, tf.fill([4], 0.5), 90), IMAGES, atol=1e-3)
    turned = augment.rotate(IMAGES, tf.ones(4), 90).numpy()
    np.testing.assert_allclose(turned, np.rot90(IMAGES, axes=(1, 2)), atol=1e-2)


def test_brightness_adds_and_contrast_stretches_about_the_mean():
    grey = tf.fill([1, 6, 6, 1], 100.0)
    np.testing.assert_allclose(augment.brighten(grey, tf.ones(1), 0.1), 125.5)
    np.testing.assert_allclose(augment.change_contrast(grey, tf.ones(1), 0.5), 100)
    half = augment.change_contrast(IMAGES, tf.zeros(4), 0.5).numpy()
    np.testing.assert_allclose(half.std(axis=(1, 2, 3)), IMAGES.numpy().std(axis=(1, 2, 3)) / 2, rtol=1e-4)


def test_cutout_blackens_a_square_that_the_border_may_cut():
    white = tf.fill([3, 6, 6, 1], np.uint8(255))
    row = tf.constant([0.0, 0.5, 0.99])
    black = augment.cutout(white, row, tf.fill([3], 0.5), 4).numpy()[..., 0] == 0
    assert black.sum(axis=(1, 2)).tolist() == [8, 16, 12]
    assert black[1, 1:5, 1:5].all()
