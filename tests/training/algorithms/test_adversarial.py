"""The training steps of generator and discriminator, against the same computation in plain TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dltemplates.models.generative.gan import join
from dltemplates.template import parse_template
from dltemplates.training.algorithms.adversarial import Adversarial, scale
from dltemplates.training.algorithms.algorithm import VALIDATION_SEED_OFFSET
from dltemplates.training.prepare import prepare

SEED, ROWS, LATENT, RATE = 2, 12, 4, 0.1


TRAIN = ("class_weight", "weight_decay", "precision", "restore", "learning_rate")


def template(name="gan", batch_size=ROWS, **options):
    own = {key: options.pop(key) for key in TRAIN if key in options}
    train = {"optimizer": "sgd", "learning_rate": RATE, "batch_size": batch_size, "epochs": 1, "restore": "last"}
    sizes = {"filters": [8, 4]}
    if name == "gan":
        sizes = {"units": [10, 14], "dropout_rate": options.pop("dropout_rate", 0.0)}
    return parse_template(
        {
            "task": {"name": "generation"} | options,
            "dataset": {"name": "digits"},
            "model": {"name": name, "latent_dim": LATENT} | sizes,
            "train": train | own,
            "seed": SEED,
        }
    )


def begin(*arguments, **options):
    """Return an algorithm before its first step, and its first batch."""
    training = prepare(template(*arguments, **options))
    return training.stages[-1].algorithm, next(iter(training.stages[0].batches(0)))


def noise(rows, step, turn):
    return tf.random.stateless_normal([rows, LATENT], [SEED * 64 + turn, step])


def trained_by(network):
    return [variable.numpy() for variable in network.trainable_variables]


def softplus(x):
    """Return -log of the probability 1 / (1 + exp(x))."""
    return np.log1p(np.exp(x))


def descend(network, loss_of):
    """Take one step of plain gradient descent; return the loss."""
    with tf.GradientTape() as tape:
        loss = loss_of()
    for variable, gradient in zip(
        network.trainable_variables, tape.gradient(loss, [v.value for v in network.trainable_variables]), strict=True
    ):
        variable.assign(variable - RATE * gradient)
    return float(loss)


def test_a_step_matches_the_algorithm_of_the_paper():
    """A step of the discriminator on real and generated images, then one of the generator on new noise."""
    algorithm, (images, targets, weight) = begin()
    generator, discriminator = (keras.models.clone_model(m) for m in (algorithm.generator, algorithm.discriminator))
    generator.set_weights(algorithm.generator.get_weights())
    discriminator.set_weights(algorithm.discriminator.get_weights())
    real = tf.cast(images, tf.float32) / 127.5 - 1
    made = generator(noise(ROWS, 0, 0), training=True)

    def discriminator_loss():
        of_real, of_made = (tf.sigmoid(discriminator(x, training=True)) for x in (real, made))
        return -tf.reduce_mean(tf.math.log(of_real) + tf.math.log(1 - of_made))

    def generator_loss():
        return -tf.reduce_mean(
            tf.math.log(tf.sigmoid(discriminator(generator(noise(ROWS, 0, 1), training=True), training=True)))
        )

    losses = descend(discriminator, discriminator_loss), descend(generator, generator_loss)
    algorithm.train(images, targets, weight)
    for expected, network in ((generator, algorithm.generator), (discriminator, algorithm.discriminator)):
        for first, second in zip(trained_by(expected), trained_by(network), strict=True):
            np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-6)
    figures = algorithm.metrics()
    assert (figures["loss"], figures["generator_loss"]) == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan", "wgan_gp"])
def test_each_half_step_changes_only_one_network(name):
    algorithm, (images, targets, _) = begin(name, loss="wasserstein" if name == "wgan_gp" else "gan")
    labels = tf.cast(targets, tf.int32) if algorithm.is_conditional else None
    step = tf.constant(0, tf.int64)

    def moved(half):
        before = [trained_by(network) for network in (algorithm.generator, algorithm.discriminator)]
        half(scale(images), labels, (step, 0))
        after = [trained_by(network) for network in (algorithm.generator, algorithm.discriminator)]
        return [
            [not np.array_equal(old, new) for old, new in zip(*pair, strict=True)]
            for pair in zip(before, after, strict=True)
        ]

    changed_generator, changed_discriminator = moved(algorithm._train_discriminator)
    assert not any(changed_generator)
    # The bias of a critic's last layer cancels between real and generated images.
    assert sum(changed_discriminator) >= len(changed_discriminator) - (name == "wgan_gp") > 0
    changed_generator, changed_discriminator = moved(algorithm._train_generator)
    assert sum(changed_generator) >= len(changed_generator) - 1 > 0
    assert not any(changed_discriminator)


def test_validation_uses_noise_that_training_never_draws():
    algorithm, (images, targets, _) = begin()
    weight = tf.constant([1.0] * 9 + [0.0] * 3)
    algorithm.evaluate(images, targets, weight)
    figures = algorithm.metrics()
    made = algorithm.generator(noise(ROWS, VALIDATION_SEED_OFFSET, 0), training=False)
    of_real, of_made = (
        keras.ops.convert_to_numpy(algorithm.discriminator(x, training=False))[:9, 0] for x in (scale(images), made)
    )
    assert figures["loss"] == pytest.approx((softplus(-of_real) + softplus(of_made)).mean(), rel=1e-5)
    assert figures["generator_loss"] == pytest.approx(softplus(-of_made).mean(), rel=1e-5)
    assert figures["real_accuracy"] == pytest.approx((of_real > 0).mean())
    assert figures["generated_accuracy"] == pytest.approx((of_made <= 0).mean())


def test_the_loss_of_a_critic_is_the_difference_of_means():
    algorithm, (images, targets, weight) = begin("wgan_gp", loss="wasserstein")
    algorithm.evaluate(images, targets, weight)
    made = algorithm.generator(noise(ROWS, VALIDATION_SEED_OFFSET, 0), training=False)
    of_real, of_made = (float(tf.reduce_mean(algorithm.discriminator(x))) for x in (scale(images), made))
    assert algorithm.metrics()["loss"] == pytest.approx(of_made - of_real, rel=1e-4, abs=1e-6)
    assert algorithm.metrics()["generator_loss"] == pytest.approx(-of_made, rel=1e-4, abs=1e-6)


def test_every_validation_batch_draws_new_noise():
    algorithm, (images, targets, weight) = begin()
    algorithm.evaluate(images, targets, weight)
    first = algorithm.metrics()["generator_loss"]
    algorithm.evaluate(images, targets, weight)
    made = [algorithm.generator(noise(ROWS, VALIDATION_SEED_OFFSET + step, 0), training=False) for step in (0, ROWS)]
    losses = [softplus(-algorithm.discriminator(images, training=False).numpy()).mean() for images in made]
    assert first == pytest.approx(losses[0], rel=1e-5)
    assert algorithm.metrics()["generator_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
    algorithm.reset()
    algorithm.evaluate(images, targets, weight)
    assert algorithm.metrics()["generator_loss"] == first


def critic_of(*critic_layers, rate=RATE):
    """Return adversarial training with a critic of these layers, on images of 2x2."""
    latent = keras.Input((LATENT,), name="noise")
    generator = keras.Model(latent, layers.Reshape((2, 2, 1))(layers.Dense(4)(latent)), name="generator")
    images = keras.Input((2, 2, 1), name="image")
    x = images
    for layer in critic_layers:
        x = layer(x)
    combined = join(generator, keras.Model(images, x, name="discriminator"), "tiny")
    inputs = keras.Input((LATENT,), name="noise")
    model = keras.Model(inputs, combined(inputs), name="tiny")
    return Adversarial(model, lambda _=1: keras.optimizers.SGD(rate), seed=SEED, wasserstein=True)


def test_generator_and_critic_end_their_schedules_together():
    """Also if the critic takes three steps for each step of the generator."""
    schedule = {"name": "cosine", "peak": RATE}
    algorithm, batch = begin("wgan_gp", loss="wasserstein", critic_steps=3, learning_rate=schedule, batch_size=60)
    rates = []
    for _ in range(20):
        rates.append([float(o.learning_rate) for o in (algorithm.optimizer, algorithm.discriminator_optimizer)])
        algorithm.train(*batch)
    generator_rates, critic_rates = np.transpose(rates)
    assert generator_rates[0] == pytest.approx(RATE)
    assert generator_rates[-1] < RATE / 20
    np.testing.assert_allclose(critic_rates, generator_rates, rtol=1e-5)


def test_pair_accuracy_counts_correctly_ordered_pairs():
    """A bias added to all outputs changes nothing."""
    algorithm = critic_of(layers.Flatten(), layers.Dense(1))
    algorithm.build(tf.TensorSpec([None], tf.int64))
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (ROWS, 2, 2, 1)), tf.float32)
    made = algorithm.generator(noise(ROWS, VALIDATION_SEED_OFFSET, 0), training=False)
    of_real, of_made = (algorithm.discriminator(x).numpy()[:, 0] for x in (scale(images), made))
    slope = (
        algorithm._gradient_penalty(
            scale(images), made, None, (tf.constant(VALIDATION_SEED_OFFSET, tf.int64), 0), training=False
        )
        .numpy()
        .mean()
    )
    assert 0 < (of_real > of_made).mean() < 1
    for bias in (0.0, 50.0):
        algorithm.discriminator.trainable_variables[-1].assign([bias])
        algorithm.reset()
        algorithm.evaluate(images, None, tf.ones(ROWS))
        figures = algorithm.metrics()
        assert list(figures) == ["loss", "generator_loss", "pair_accuracy", "penalty"]
        assert figures["pair_accuracy"] == pytest.approx((of_real > of_made).mean())
        assert figures["penalty"] == pytest.approx(10 * slope, rel=1e-4)


def test_the_gradient_penalty_matches_finite_differences():
    algorithm = critic_of(layers.Flatten(), layers.Dense(6, "tanh"), layers.Dense(1))
    random = np.random.default_rng(0)
    real, made = (tf.constant(random.normal(size=(5, 2, 2, 1)), tf.float32) for _ in range(2))
    step = tf.constant(4, tf.int64)
    share = tf.random.stateless_uniform([5, 1], [SEED * 64 + 1 + 32, 4])[:, :, None, None]
    between = (share * real + (1 - share) * made).numpy()
    slopes = np.zeros((5, 4))
    for place in range(4):
        change = np.zeros((1, 4), np.float32)
        change[0, place] = 1e-2
        change = change.reshape(1, 2, 2, 1)
        above, below = (algorithm.discriminator(between + sign * change).numpy()[:, 0] for sign in (1, -1))
        slopes[:, place] = (above - below) / 2e-2
    expected = np.square(np.sqrt(np.square(slopes).sum(axis=1)) - 1).mean()
    assert algorithm._gradient_penalty(real, made, None, (step, 1), training=True).numpy().mean() == pytest.approx(
        expected, rel=1e-3
    )


def test_the_penalty_pulls_a_linear_critic_to_gradient_norm_1():
    """For `w x` the penalty is `(|w| - 1)^2` everywhere; equal images cancel in the critic's loss."""
    algorithm = critic_of(layers.Flatten(), layers.Dense(1, use_bias=False))
    w = np.array([[0.3], [0.0], [-0.4], [1.2]], np.float32)  # the norm of w is 1.3
    algorithm.discriminator.set_weights([w])
    images = tf.ones((3, 2, 2, 1))
    step = tf.constant(0, tf.int64)
    np.testing.assert_allclose(
        algorithm._gradient_penalty(images, images, None, (step, 0), training=True), [0.3**2] * 3, rtol=1e-5
    )
    algorithm._generate = lambda *given, **options: images  # a generator that gives the real images
    algorithm._train_discriminator(images, None, (step, 0))
    (moved,) = algorithm.discriminator.get_weights()
    np.testing.assert_allclose(moved, w - RATE * 10 * 2 * 0.3 * w / 1.3, rtol=1e-5)


def test_the_critic_takes_several_steps_each_on_a_part_of_the_batch():
    algorithm, (images, targets, weight) = begin("wgan_gp", loss="wasserstein", critic_steps=3)
    parts = algorithm._parts(images)
    assert [len(part) for part in parts] == [4, 4, 4]
    np.testing.assert_array_equal(parts[1], images[1::3])
    algorithm.train(images, targets, weight)
    assert int(algorithm.optimizer.iterations) == 1
    assert int(algorithm.discriminator_optimizer.iterations) == 3


def test_a_batch_not_divisible_by_critic_steps_is_refused():
    with pytest.raises(ValueError, match=r"`critic_steps`.*5.*Received: 12.*batch_size=60"):
        begin("wgan_gp", loss="wasserstein", critic_steps=5)


def test_weight_decay_applies_to_both_networks():
    """A step of plain gradient descent subtracts `rate * decay * kernel` from each kernel."""
    step = tf.constant(0, tf.int64)
    halves = []
    for decay in (0.0, 0.5):
        algorithm, (images, _, _) = begin(weight_decay=decay)
        algorithm._train_discriminator(scale(images), None, (step, 0))
        halves.append(algorithm)
    plain, decayed = (algorithm.discriminator for algorithm in halves)
    fresh = begin()[0].discriminator
    for first, second, was in zip(*(m.trainable_variables for m in (plain, decayed, fresh)), strict=True):
        off = RATE * 0.5 * was if "kernel" in was.path else 0 * was
        np.testing.assert_allclose(first - second, off, atol=1e-6)
    assert len(decayed.losses) == len(halves[1].generator.losses) == 3


def test_class_weights_are_refused():
    with pytest.raises(ValueError, match=r"`train.class_weight` is for .* Received: 'balanced' for task generation"):
        begin(class_weight="balanced")


def test_restoring_the_best_epoch_is_refused():
    with pytest.raises(ValueError, match="Received: train.restore = 'best'.*--set train.restore=last"):
        begin(restore="best")


def test_a_critic_must_not_look_at_the_whole_batch():
    with pytest.raises(ValueError, match="Received: .*`dcgan`.*`wgan_gp`"):
        begin("dcgan", loss="wasserstein")


def test_validation_is_deterministic_and_leaves_the_critic_unchanged():
    """In validation, dropout would change the critic's outputs at random."""
    options = {"loss": "wasserstein", "dropout_rate": 0.5}
    algorithm, (images, targets, weight) = begin("gan", **options)
    before = algorithm.discriminator.get_weights()
    penalties = []
    for _ in range(2):
        algorithm.reset()
        algorithm.evaluate(images, targets, weight)
        penalties.append(algorithm.metrics()["penalty"])
    assert penalties[0] == penalties[1] > 0
    for old, new in zip(before, algorithm.discriminator.get_weights(), strict=True):  # random states too
        np.testing.assert_array_equal(new, old)


def test_half_precision_scales_the_loss():
    """Without scaling, the loss would still be divided by the scale."""
    whole, half = (begin(precision=precision) for precision in ("float32", "mixed_float16"))
    for algorithm, (images, targets, weight) in (whole, half):
        algorithm.train(images, targets, weight)
    moved = [np.abs(np.asarray(a.discriminator.trainable_variables[0])).sum() for a, _ in (whole, half)]
    fresh = np.abs(np.asarray(begin()[0].discriminator.trainable_variables[0])).sum()
    assert moved[1] - fresh == pytest.approx(moved[0] - fresh, rel=0.1)
    assert hasattr(half[0].discriminator_optimizer, "dynamic_scale")


def test_both_networks_depend_on_the_class():
    algorithm, (images, targets, _) = begin("cgan")
    labels = tf.cast(targets, tf.int32)
    step = tf.constant(0, tf.int64)
    made = algorithm._generate(images, labels, (step, 0), training=False)
    other = algorithm._generate(images, (labels + 1) % 10, (step, 0), training=False)
    assert np.abs(made - other).max() > 1e-6
    assert not np.array_equal(
        algorithm._discriminate(made, labels, training=False),
        algorithm._discriminate(made, (labels + 1) % 10, training=False),
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"loss": "hinge"}, r"`loss`.*Received: 'hinge'"),
        ({"critic_steps": 0}, "`critic_steps`.*1 to 31.*Received: 0"),
        ({"critic_steps": 32}, "`critic_steps`.*1 to 31.*Received: 32"),
        ({"critic_steps": True}, "`critic_steps`.*Received: True"),
        ({"penalty": -1.0}, "`penalty`.*Received: -1.0"),
        ({"evaluator": ""}, r"`evaluator`.*Received: ''"),
        ({"evaluator": 3}, r"`evaluator`.*Received: 3"),
    ],
)
def test_wrong_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        prepare(template(**options))


def test_images_of_two_sizes_are_refused(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            Image.new("L", (8, 8 + 4 * (number % 2)), 40 * number).save(tmp_path / name / f"{number}.png")
    table = template().model_dump(mode="json")
    table["dataset"] = {"name": str(tmp_path)}
    with pytest.raises(ValueError, match="Received: .*8x8 to 12x8"):
        prepare(parse_template(table))


def test_a_conditional_model_needs_classes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype("uint8")
    np.savez(tmp_path / "numbers.npz", x=images, y=images.mean(axis=(1, 2))[:, None])
    table = template("cgan").model_dump(mode="json")
    table["dataset"] = {"name": str(tmp_path / "numbers.npz")}
    with pytest.raises(ValueError, match="cgan"):
        prepare(parse_template(table))
