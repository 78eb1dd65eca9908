"""Import of Keras models of many kinds: each one is exported and returns what it returned in Keras."""

import re
import shutil

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

from dltemplates.compat import flatten_layers
from dltemplates.deploy.export_run import export
from dltemplates.runs import load_run
from dltemplates.training.importing.import_model import import_model

SIZE = 12
NAMES = ("ant", "bee", "cow")


def pictures(labels, rng):
    """Return noise with stripes in the channel of the label, 0..255."""
    images = rng.integers(0, 120, (len(labels), SIZE, SIZE, 3))
    stripes = (np.arange(SIZE) // 2 % 2) * 100
    for image, label in zip(images, labels, strict=True):
        image[..., label] += stripes[:, None]
    return images.astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return the folder of the images, and their pixels and labels."""
    folder, rng = tmp_path_factory.mktemp("imgs"), np.random.default_rng(0)
    labels = np.arange(192) % 3
    images = pictures(labels, rng)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / NAMES[label]).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / NAMES[label] / f"{index:03}.png")
    return folder, images.astype(np.float32), labels


def hidden(inputs):
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(inputs))
    return layers.GlobalMaxPooling2D()(x)


def image_input(**options):
    return keras.Input((SIZE, SIZE, 3), **options)


def adapted(images):
    inputs, normalization = image_input(), layers.Normalization()
    normalization.adapt(images)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(normalization(inputs))
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalMaxPooling2D()(x)))


def augmenting(images):
    return keras.Sequential(
        [
            image_input(),
            layers.RandomFlip(),
            layers.RandomRotation(0.2),
            layers.RandomZoom(0.2),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomContrast(0.2),
            layers.RandomBrightness(0.1),
            layers.Rescaling(1 / 255),
            layers.GaussianNoise(0.2),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.SpatialDropout2D(0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )


def fixed_batch(images):
    inputs = keras.Input(batch_shape=(32, SIZE, SIZE, 3))
    return keras.Model(inputs, layers.Dense(3, "softmax")(hidden(inputs)))


def without_input(images):
    head = [layers.Conv2D(8, 3, activation="relu"), layers.GlobalMaxPooling2D(), layers.Dense(3, "softmax")]
    return keras.Sequential([layers.Rescaling(1 / 255), *head])


def one_output(images):
    inputs = image_input(name="picture")
    return keras.Model({"picture": inputs}, {"probs": layers.Dense(3, "softmax")(hidden(inputs))})


def list_of_one(images):
    inputs = image_input()
    return keras.Model([inputs], [layers.Dense(3, "softmax")(hidden(inputs))])


def nested(images):
    inputs, features = image_input(), keras.Input((8,))
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, "relu"), layers.Dense(3, "softmax")])
    head = keras.Model(features, inner(features), name="head")
    return keras.Model(inputs, head(hidden(inputs)))


def sequential_in_sequential(images):
    inputs = image_input()
    body = keras.Model(inputs, hidden(inputs))
    return keras.Sequential([image_input(), body, keras.Sequential([keras.Input((8,)), layers.Dense(3, "softmax")])])


def ensemble(images):
    inputs = image_input()
    return keras.Model(inputs, layers.Average()([layers.Dense(3, "softmax")(hidden(inputs)) for _ in range(3)]))


def mean_of_heads(images):
    inputs = image_input()
    heads = [layers.Dense(3, "softmax")(hidden(inputs)) for _ in range(2)]
    return keras.Model(inputs, ops.mean(ops.stack(heads, axis=1), axis=1))


def softmax_operation(images):
    inputs = image_input()
    return keras.Model(inputs, ops.softmax(layers.Dense(3)(hidden(inputs))))


def reshaped_softmax(images):
    inputs = image_input()
    x = layers.Reshape((3,))(layers.Softmax()(layers.Dense(3)(hidden(inputs))))
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(x))


def log_probabilities(images):
    inputs = image_input()
    return keras.Model(inputs, layers.Activation("log_softmax")(layers.Dense(3)(hidden(inputs))))


def shared_softmax(images):
    """Use the last layer twice, so that its softmax cannot be taken away."""
    inputs, dense = image_input(), layers.Dense(3, "softmax")
    first = dense(layers.Dense(3)(hidden(inputs)))
    return keras.Model(inputs, dense(layers.Rescaling(5.0)(first)))


def byte_input(images):
    inputs = image_input(dtype="uint8")
    return keras.Model(inputs, layers.Dense(3, "softmax")(hidden(ops.cast(inputs, "float32"))))


def compile_and_fit(model, images, labels, *, epochs=12):
    ends_in_logs = any(getattr(layer, "activation", None) is keras.activations.log_softmax for layer in model.layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=ends_in_logs)
    is_binary = getattr(model.layers[-1], "units", None) == 1
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy" if is_binary else loss)
    model.fit(images, labels, epochs=epochs, batch_size=32, verbose=0)
    return model


def check_export(path, model, data, tmp_path, *, atol=1e-4, min_accuracy=0.9, formats=("tflite:float32",), **options):
    """Import and export a model; compare the stored run with it."""
    folder, images, _ = data
    run = import_model(path, task="classification", data=str(folder), output=tmp_path / "run", **options)
    report = export(run, formats=list(formats))
    assert not report.failed, report
    assert run.record.scores["test"]["accuracy"] >= min_accuracy
    inputs = {"picture": images[:64]} if model.inputs[0].name == "picture" else images[:64]
    (expected,) = keras.tree.flatten(model.predict(inputs, verbose=0))
    found = load_run(run.path).serving().model.predict(images[:64].astype(np.uint8), verbose=0)["probabilities"]
    if expected.shape[1] == 1:
        expected = np.concatenate([1 - expected, expected], axis=1)
    if (expected < 0).any():
        expected = np.exp(expected)  # of log_softmax
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(found, expected, atol=atol)
    return run


KINDS = [
    adapted,
    fixed_batch,
    nested,
    byte_input,
    *(
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in (
            augmenting,
            without_input,
            one_output,
            ensemble,
            list_of_one,
            sequential_in_sequential,
            mean_of_heads,
            softmax_operation,
            reshaped_softmax,
            log_probabilities,
            shared_softmax,
        )
    ),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_any_kind_is_exported_and_returns_its_own_outputs(data, tmp_path, kind):
    _, images, labels = data
    keras.utils.set_random_seed(0)
    model = kind(images)
    inputs = {"picture": images} if kind is one_output else images
    compile_and_fit(model, inputs, labels).save(tmp_path / "theirs.keras")
    min_accuracy = 0.0 if kind is shared_softmax else 0.9
    check_export(tmp_path / "theirs.keras", model, data, tmp_path, min_accuracy=min_accuracy)


@pytest.mark.parametrize("seed", [3, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_an_adapted_normalization_is_kept_with_any_seed(data, tmp_path, seed):
    _, images, labels = data
    keras.utils.set_random_seed(seed)
    model = compile_and_fit(adapted(images / 255), images / 255, labels, epochs=6)
    model.save(tmp_path / "theirs.keras")
    run = import_model(
        tmp_path / "theirs.keras", task="classification", data=str(data[0]), input_range=(0, 1), output=tmp_path / "run"
    )
    found = run.serving().model.predict(images[:64].astype(np.uint8), verbose=0)["probabilities"]
    np.testing.assert_allclose(found, model.predict(images[:64] / 255, verbose=0), atol=1e-4)


@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        *(pytest.param(policy, marks=pytest.mark.slow) for policy in ("mixed_bfloat16", "float64", "bfloat16")),
    ],
)
def test_a_model_of_any_precision_is_exported_in_float32(data, tmp_path, policy):
    _, images, labels = data
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        inputs = image_input()
        x = layers.Conv2D(8, 3, padding="same")(layers.Rescaling(1 / 255)(inputs))
        x = layers.BatchNormalization(momentum=0.9)(x)  # with 0.99, bfloat16 rounds the updates of the averages away
        x = keras.Model(inputs, layers.GlobalMaxPooling2D()(layers.ReLU()(x)))(inputs)  # a nested model
        model = keras.Model(inputs, layers.Dense(3, "softmax", dtype="float32")(x))
        compile_and_fit(model, images, labels)
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "theirs.keras")
    formats = ("tflite:float32", "onnx:float32")
    run = check_export(tmp_path / "theirs.keras", model, data, tmp_path, atol=0.1, formats=formats)
    assert {layer.compute_dtype for layer in flatten_layers(run.model())} == {"float32"}
    for ours, theirs in zip(run.model().weights, model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs).astype(np.float32))


def two_classes(data, tmp_path):
    """Return a folder of the first two classes, and their pixels and labels."""
    folder, images, labels = data
    for name in NAMES[:2]:
        shutil.copytree(folder / name, tmp_path / "two" / name)
    return tmp_path / "two", images[labels < 2], labels[labels < 2]


def test_a_single_sigmoid_is_the_probability_of_the_second_of_two_classes(data, tmp_path):
    two = two_classes(data, tmp_path)
    _, images, labels = two
    keras.utils.set_random_seed(0)
    inputs = image_input()
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(hidden(inputs)))
    compile_and_fit(model, images, labels).save(tmp_path / "theirs.keras")
    run = check_export(tmp_path / "theirs.keras", model, two, tmp_path, formats=("tflite:float32", "tflite:int8"))
    assert run.template.task.options == {"binary": True}


def test_a_single_sigmoid_for_the_first_of_two_classes_is_found(data, tmp_path):
    folder, images, labels = two_classes(data, tmp_path)
    keras.utils.set_random_seed(0)
    inputs = image_input()
    model = keras.Model(inputs, layers.Dense(1, "sigmoid")(hidden(inputs)))
    compile_and_fit(model, images, 1 - labels).save(tmp_path / "theirs.keras")
    with pytest.raises(ValueError, match="Add --class-names bee,ant, or --class-names ant,bee to keep"):
        import_model(tmp_path / "theirs.keras", task="classification", data=str(folder), output=tmp_path / "run")


def test_a_model_for_images_of_any_size_needs_the_size(data, tmp_path):
    folder, images, labels = data
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = layers.Reshape((-1, 8))(layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs)))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalMaxPooling1D()(x)))
    compile_and_fit(model, images, labels).save(tmp_path / "theirs.keras")
    options = {"task": "classification", "data": str(folder), "output": tmp_path / "run"}
    with pytest.raises(ValueError, match=r"Received: .*theirs.keras, .*Add --input-shape 224,224,3"):
        import_model(tmp_path / "theirs.keras", **options)
    for shape in ((SIZE, SIZE, 1), (SIZE, SIZE), (0, SIZE, 3)):
        with pytest.raises(ValueError, match=f"--input-shape must be .*Received: {re.escape(str(shape))}"):
            import_model(tmp_path / "theirs.keras", input_shape=shape, **options)
    run = check_export(tmp_path / "theirs.keras", model, data, tmp_path, input_shape=(SIZE, SIZE, 3))
    assert run.record.spec.inputs[0].shape == (SIZE, SIZE, 3)


@keras.saving.register_keras_serializable("test_import_kinds")
class AlwaysNoise(layers.Layer):
    """Layer that draws noise in inference, too."""

    def call(self, x):
        return x + keras.random.normal(ops.shape(x))


def test_a_model_that_draws_random_numbers_in_inference_is_refused(data, tmp_path):
    inputs = image_input()
    x = AlwaysNoise()(hidden(inputs))
    keras.Model(inputs, layers.Dense(3, "softmax")(x)).save(tmp_path / "theirs.keras")
    with pytest.raises(ValueError, match="draws random numbers in inference. Leave out the layer"):
        import_model(tmp_path / "theirs.keras", task="classification", data=str(data[0]), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_returns_nan_is_refused(data, tmp_path):
    inputs = image_input()
    keras.Model(inputs, ops.log(layers.Dense(3)(hidden(inputs)) * 0 - 1)).save(tmp_path / "theirs.keras")
    with pytest.raises(ValueError, match="finite numbers. Received: .*NaN"):
        import_model(tmp_path / "theirs.keras", task="classification", data=str(data[0]), output=tmp_path / "run")


def test_a_stateful_model_with_a_fixed_batch_is_refused_in_one_line(data, tmp_path):
    inputs = keras.Input(batch_shape=(32, SIZE, SIZE, 3))
    x = layers.GRU(4, stateful=True)(layers.Reshape((SIZE, SIZE * 3))(inputs))
    keras.Model(inputs, layers.Dense(3, "softmax")(x)).save(tmp_path / "theirs.keras")
    with pytest.raises(ValueError, match="any batch size.*Received: .*theirs.keras") as caught:
        import_model(tmp_path / "theirs.keras", task="classification", data=str(data[0]), output=tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_mean_of_sigmoids_keeps_its_labels(tmp_path):
    rng = np.random.default_rng(0)
    flags = rng.integers(0, 2, (200, 3))
    images = sum(pictures(np.full(200, label), rng) * flags[:, label, None, None, None] // 3 for label in range(3))
    np.savez(tmp_path / "labels.npz", x=images.astype(np.uint8), y=flags.astype(np.uint8))
    keras.utils.set_random_seed(0)
    inputs = image_input()
    model = keras.Model(inputs, layers.Average()([layers.Dense(3, "sigmoid")(hidden(inputs)) for _ in range(2)]))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(images, flags, epochs=3, verbose=0)
    model.save(tmp_path / "theirs.keras")
    run = import_model(
        tmp_path / "theirs.keras", task="multi_label", data=str(tmp_path / "labels.npz"), output=tmp_path / "run"
    )
    found = next(iter(run.serving().model.predict(images[:50].astype(np.uint8), verbose=0).values()))
    np.testing.assert_allclose(found, model.predict(images[:50].astype(np.float32), verbose=0), atol=1e-4)
    assert not export(run, formats=["tflite:float32"]).failed
