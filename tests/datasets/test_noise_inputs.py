import numpy as np
import pytest

from dltemplates.datasets.noise_inputs import read_noise
from dltemplates.features import ClassId, Noise

NOISE = Noise(name="noise", dtype="float32", shape=(3,))
LABEL = ClassId(name="label", dtype="int32", shape=(), classes=("zero", "one"))


def test_a_seed_gives_the_same_noise_everywhere():
    np.testing.assert_allclose(NOISE.draw(0), [0.12573022, -0.13210486, 0.64042264], rtol=1e-6)
    assert NOISE.draw(0).dtype == np.float32
    assert not np.array_equal(NOISE.draw(0), NOISE.draw(1))
    np.testing.assert_array_equal(read_noise("7", [NOISE])["noise"], NOISE.draw(7)[None])


def test_noise_is_standard_normal():
    drawn = np.stack([NOISE.draw(seed) for seed in range(5000)])
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(3), atol=0.06)


def test_noise_can_be_typed_as_numbers():
    np.testing.assert_allclose(read_noise("0.5, -1,2e-1", [NOISE])["noise"], [[0.5, -1, 0.2]])
    np.testing.assert_allclose(read_noise("0.5", [NOISE.model_copy(update={"shape": (1,)})])["noise"], [[0.5]])


def test_a_class_is_named_or_the_next_one():
    arrays = read_noise("4:one", [NOISE, LABEL])
    np.testing.assert_array_equal(arrays["noise"], NOISE.draw(4)[None])
    assert arrays["label"].tolist() == [1]
    assert arrays["label"].dtype == np.int32
    assert [read_noise(str(seed), [NOISE, LABEL])["label"][0] for seed in range(3)] == [0, 1, 0]
    np.testing.assert_allclose(read_noise("1,2,3:zero", [NOISE, LABEL])["noise"], [[1, 2, 3]])


@pytest.mark.parametrize(
    ("text", "values", "match"),
    [
        ("1,2", [NOISE], r"`noise`.*3.*Received: 2 of them, '1,2'"),
        ("1,2,3,4", [NOISE], "3 .*numbers.*Received: 4 of them"),
        ("1,nan,3", [NOISE], r"must be 3 finite numbers"),
        ("one", [NOISE], r"`noise`.*3.*Received: 'one'"),
        ("-1", [NOISE], "3 .*numbers.*Received: 1 of them"),
        ("0:two", [NOISE, LABEL], r"`label`.*Received: 'two'"),
        ("1,2,3", [NOISE, LABEL], "Received: '1,2,3'. .*1,2,3:zero"),
        ("0:one", [NOISE], "Received: '0:one'"),
    ],
)
def test_invalid_noise_is_refused(text, values, match):
    with pytest.raises(ValueError, match=match):
        read_noise(text, values)


def test_the_first_input_of_a_generator_is_noise():
    with pytest.raises(TypeError, match="Received: `label` of kind `class`"):
        read_noise("0", [LABEL])
