"""Texts written token by token: drawn, greedy and by beam search, with a network whose texts can all be listed."""

import itertools

import numpy as np
import pytest

from dltemplates.features import Number, Tokens
from dltemplates.features.tokens import END, PADDING, START, UNKNOWN
from dltemplates.runtimes import Predictor
from dltemplates.tasks.scoring.decoding import (
    Decoder,
    SamplingOptions,
    beam_search,
    choose,
    greedy,
    log_probabilities,
    sample,
    tokens_to_read,
)
from dltemplates.tasks.serving.contract import Contract, State

VOCABULARY = ("a", "b", "c")
SIZE = 4 + len(VOCABULARY)
TOKENS = Tokens(name="token", dtype="int32", shape=(1,), vocabulary=VOCABULARY)
SOURCE = Tokens(name="source", dtype="int32", shape=(2,), vocabulary=VOCABULARY)
PROMPT = Tokens(name="text", dtype="int32", shape=(4,), vocabulary=VOCABULARY)
FIRST_CODE = 1.0


def number(name, *shape):
    return Number(name=name, dtype="float32", shape=shape)


def contract(inputs, outputs, state=()):
    return Contract(name="tree", task="parity", inputs=inputs, outputs=outputs, targets=(), state=state)


def logits_of(code, scale):
    """Return the logits (SIZE,) after the text with this code, different for each text."""
    return scale * np.random.default_rng(int(code)).normal(size=SIZE).astype(np.float32)


def code_after(code, token):
    return (code * SIZE + token) % 99_991


class Step(Predictor):
    """One step: the state is a number for the whole text, `code`; `bias`, a constant, is added to the logits."""

    def __init__(self, *, scale=2.0, end=0.0, with_bias=False):
        bias = (number("bias", SIZE),) if with_bias else ()
        state = State(input="code", output="code_next", initial=FIRST_CODE)
        outputs = (number("logits", SIZE), number("code_next", 1))
        super().__init__(contract((TOKENS, number("code", 1), *bias), outputs, (state,)))
        self.scale, self.end = scale, end
        self.read = []

    def _run(self, encoded):
        self.read += encoded["token"][:, 0].tolist()
        codes = code_after(encoded["code"], encoded["token"])
        logits = np.stack([logits_of(code, self.scale) for code in codes[:, 0]])
        logits[:, END] += self.end
        return {"logits": logits + encoded.get("bias", 0), "code_next": codes}


class Encoder(Predictor):
    """Gives the first state and the constant."""

    def __init__(self):
        super().__init__(contract((SOURCE,), (number("code", 1), number("bias", SIZE))))

    def _run(self, encoded):
        source = encoded["source"]
        bias = np.eye(SIZE, dtype=np.float32)[source[:, 1]]
        return {"code": source[:, :1].astype(np.float32), "bias": bias}


class Prefill(Predictor):
    """Reads up to four tokens at once."""

    def __init__(self):
        super().__init__(contract((PROMPT,), (number("logits", SIZE), number("code", 1))))
        self.read = []

    def _run(self, encoded):
        codes = [FIRST_CODE]
        for token in encoded["text"][0]:
            self.read.append(int(token))
            codes += [code_after(codes[-1], token)] if token != PADDING else []
        return {"logits": logits_of(codes[-1], 2.0)[None], "code": np.array([[codes[-1]]], np.float32)}


def decoder(**options):
    return Decoder({"decode": Step(**options)})


def translator(**options):
    return Decoder({"encoder": Encoder(), "decode": Step(with_bias=True, **options)})


def sources(*rows):
    return {"source": np.array(rows, np.int32)}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", True),
        ("top_p", 0),
        ("top_p", 1.1),
        ("top_p", "all"),
        ("max_tokens", 0),
        ("max_tokens", "10"),
        ("seed", -1),
        ("seed", 0.5),
    ],
)
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=rf"^`{option}` must be .*Received: {value!r}\. Try ") as error:
        SamplingOptions(**{option: value})
    assert "\n" not in str(error.value)


def test_options_at_their_limits():
    options = SamplingOptions(temperature=0, top_k=0, top_p=1, max_tokens=1, seed=0)
    assert (options.temperature, options.top_p) == (0, 1)
    assert SamplingOptions().temperature == 0.8


def test_a_text_starts_with_the_initial_states_or_those_of_the_encoder():
    assert {name: array.tolist() for name, array in decoder().start(2).items()} == {"code": [[1], [1]]}
    states = translator().start(2, sources([4, 5], [6, 4]) | {"target": np.zeros((2, 3), np.int32)})
    assert states["code"].tolist() == [[4], [6]]
    assert states["bias"].argmax(axis=1).tolist() == [5, 4]


def test_a_step_gives_the_logits_and_keeps_the_constants():
    system = translator()
    first = system.start(2, sources([4, 5], [6, 4]))
    logits, states = system.step(first, np.array([4, 6]))
    assert states["code"].tolist() == [[4 * SIZE + 4], [6 * SIZE + 6]]
    assert states["bias"] is first["bias"]
    np.testing.assert_array_equal(
        logits, [logits_of(code, 2.0) + first["bias"][row] for row, code in enumerate((32, 48))]
    )


def test_a_prompt_is_read_at_once_as_it_is_token_by_token():
    for length in (1, 3, 4, 6):
        tokens = [4 + place % 3 for place in range(length)]
        step, prefill = Step(), Prefill()
        found = Decoder({"prefill": prefill, "decode": step}).read(tokens)
        expected = decoder().read(tokens)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1]["code"], expected[1]["code"])
        assert prefill.read == (tokens + [PADDING] * 4)[:4]
        assert step.read == tokens[4:]


def test_steps_read_given_tokens():
    tokens = np.array([[4, 5], [6, 6]])
    steps = list(translator().steps(sources([4, 5], [6, 4]), tokens))
    assert [inputs["token"].tolist() for inputs, _ in steps] == [[[4], [6]], [[5], [6]]]
    assert steps[0][0]["code"].tolist() == [[4], [6]]
    assert steps[1][0]["code"].tolist() == [[32], [48]]
    assert steps[1][0]["token"].dtype == np.int32
    assert steps[1][1].shape == (2, SIZE)


def test_losses_are_of_each_token_and_0_for_padding():
    text = np.array([[4, 5, 6], [6, 4, PADDING], [5, 5, 4]], np.int32)
    target = np.array([[5, 6, 4], [4, END, PADDING], [5, 4, 4]], np.int32)
    losses = decoder().losses({"text": text}, target)
    assert losses.shape == (3, 3)
    assert losses[1, 2] == 0
    code = code_after(code_after(FIRST_CODE, 4), 5)
    exponentials = np.exp(logits_of(code, 2.0))
    assert losses[0, 1] == pytest.approx(-np.log(exponentials[6] / exponentials.sum()), rel=1e-5)
    np.testing.assert_array_equal(decoder().losses({"text": text}, target, batch_size=2), losses)


def test_a_translation_is_read_from_its_start():
    target = np.array([[5, 6, END], [4, END, PADDING]], np.int32)
    assert tokens_to_read({"target": target}).tolist() == [[START, 5, 6], [START, 4, END]]
    assert tokens_to_read({"text": target}) is target


def test_log_probabilities_sum_to_1():
    logs = log_probabilities(np.array([[1000, 0, -np.inf], [0, 0, 0]], np.float32))
    assert logs.dtype == np.float64
    np.testing.assert_allclose(np.exp(logs), [[1, 0, 0], [1 / 3] * 3], atol=1e-12)


PROBABILITIES = np.array([0.2, 0.5, 0.3])


def drawn(count=4000, **options):
    """Draw the next token; return the share of each token of the vocabulary."""
    logits = np.append([9, 9, 9, -9], np.log(PROBABILITIES)).astype(np.float32)  # padding, unknown and start lead
    random, options = np.random.default_rng(0), SamplingOptions(**{"temperature": 1.0} | options)
    tokens = [choose(logits, options, random) for _ in range(count)]
    assert not {PADDING, UNKNOWN, START} & set(tokens)
    return np.bincount(tokens, minlength=SIZE)[4:] / count


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, PROBABILITIES),
        ({"temperature": 0.5}, PROBABILITIES**2 / (PROBABILITIES**2).sum()),
        ({"temperature": 1e9}, [1 / 4] * 3),  # the end is a token like others
        ({"top_k": 2}, [0, 5 / 8, 3 / 8]),
        ({"top_k": 1}, [0, 1, 0]),
        ({"top_k": 100}, PROBABILITIES),
        ({"top_p": 0.4}, [0, 1, 0]),
        ({"top_p": 0.7}, [0, 5 / 8, 3 / 8]),
        ({"top_p": 0.9}, PROBABILITIES),
        ({"top_p": 0.9, "top_k": 2}, [0, 5 / 8, 3 / 8]),
    ],
)
def test_tokens_are_drawn_with_their_probabilities(options, expected):
    np.testing.assert_allclose(drawn(**options), expected, atol=0.03)


@pytest.mark.parametrize("temperature", [0, 1e-9])
def test_a_low_temperature_takes_the_most_probable_token(temperature):
    assert drawn(20, temperature=temperature).tolist() == [0, 1, 0]


def test_padding_unknown_and_start_are_never_written():
    class Bad(Step):
        def _run(self, encoded):
            outputs = super()._run(encoded)
            outputs["logits"][:, :END] += 1000
            return outputs

    system, given = Decoder({"decode": Bad()}), {}
    written = [
        sample(system, np.array([4]), SamplingOptions(temperature=0, max_tokens=9), length=50),
        *greedy(system, given, 2, max_tokens=9),
        beam_search(system, given, beam=3, max_tokens=9),
    ]
    for ids in written:
        assert not {UNKNOWN, START} & set(ids.tolist())
        assert ids[0] != PADDING


def test_a_sample_depends_on_its_seed_alone():
    def written(**options):
        options = SamplingOptions(**{"max_tokens": 30, "temperature": 2.0} | options)
        return sample(decoder(end=-50), np.array([4, 5]), options, length=100).tolist()

    first = written()
    assert first == written(seed=0)
    assert len(first) == 30
    assert set(first) == {4, 5, 6}
    assert first != written(seed=1)


def test_a_sample_stops_at_the_end():
    for seed in range(5):
        options = SamplingOptions(temperature=1.0, max_tokens=40, seed=seed)
        written = sample(decoder(), np.array([4]), options, length=100)
        assert written.dtype == np.int32
        assert written.shape == (40,)
        assert END not in written
        (places,) = np.nonzero(written == PADDING)
        assert 0 < len(places) < 40
        assert places.tolist() == list(range(places[0], 40))


def test_a_sample_begins_anew_with_the_last_half_of_a_full_text():
    step = Step(end=-50)
    options = SamplingOptions(temperature=0, max_tokens=5)
    a, b, c, d, e = sample(Decoder({"decode": step}), np.array([4, 5, 6]), options, length=4).tolist()
    assert step.read == [4, 5, 6, a, a, b, c, d, d, e]
    anew = decoder(end=-50).read([a, b])[0]
    assert c == anew[0, 4:].argmax() + 4


def test_a_prompt_longer_than_the_network_reads_loses_its_start():
    options = SamplingOptions(temperature=0, max_tokens=3)
    long, short = (
        sample(decoder(end=-50), np.array(prompt), options, length=3) for prompt in ([6, 6, 4, 5, 6], [4, 5, 6])
    )
    assert long.tolist() == short.tolist()


def test_a_network_that_reads_one_token_continues_each_alone():
    step = Step(end=-50)
    options = SamplingOptions(temperature=0, max_tokens=3)
    a, b, c = sample(Decoder({"decode": step}), np.array([4]), options, length=1).tolist()
    assert step.read == [4, a, b, c]


def test_greedy_writes_each_text_as_alone_and_pads_after_its_end():
    rows = [[first, last] for first in range(3, 7) for last in (4, 5, 6)]
    written = greedy(translator(), sources(*rows), len(rows), max_tokens=8)
    assert written.dtype == np.int32
    lengths = []
    for row, ids in zip(rows, written, strict=True):
        alone = greedy(translator(), sources(row), 1, max_tokens=8)[0]
        np.testing.assert_array_equal(ids, alone)
        ends = np.flatnonzero(ids == END)
        lengths.append(ends[0] + 1 if len(ends) else 8)
        assert (ids[lengths[-1] :] == PADDING).all()
        assert (ids[: lengths[-1]] != PADDING).all()
        assert len(ends) <= 1
    assert min(lengths) < max(lengths)


def test_greedy_takes_the_most_probable_token_of_each_step():
    (written,) = greedy(decoder(end=-50), {}, 1, max_tokens=5)
    read = [START]
    for token in written:
        assert decoder(end=-50).read(read)[0][0, 4:].argmax() + 4 == token
        read.append(int(token))


def mean_log_probability(system, inputs, text):
    """Return the score of beam search of one text."""
    steps = system.steps(inputs, np.array([[START, *text[:-1]]]))
    total = 0.0
    for token, (_, logits) in zip(text, steps, strict=True):
        logits[:, :END] = -np.inf
        total += log_probabilities(logits)[0, token]
    return total / len(text)


def every_text(steps):
    """Return all texts of some tokens, and all shorter ones with their end."""
    whole = [(*text, END) for count in range(steps) for text in itertools.product((4, 5, 6), repeat=count)]
    return [*whole, *itertools.product((4, 5, 6), repeat=steps)]


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_the_best_of_all_texts(seed):
    system, inputs = translator(end=1.0), sources([seed, 5])
    best = max(every_text(3), key=lambda text: mean_log_probability(system, inputs, text))
    for beam in (9, 50):
        written = beam_search(system, inputs, beam=beam, max_tokens=3)
        assert written.dtype == np.int32
        assert written.tolist() == [*best, *[PADDING] * (3 - len(best))]


def test_the_best_texts_have_different_lengths():
    system = translator(end=1.0)
    best = [beam_search(system, sources([seed, 5]), beam=9, max_tokens=3).tolist() for seed in range(12)]
    assert {text.index(END) if END in text else None for text in best} == {0, 1, 2, None}


def test_a_beam_finds_texts_at_least_as_probable_as_greedy_ones():
    gains = []
    for seed in range(20):
        system, inputs = translator(), sources([seed, 6])
        written = greedy(system, inputs, 1, max_tokens=30)[0], beam_search(system, inputs, beam=4, max_tokens=30)
        scores = [mean_log_probability(system, inputs, ids[ids != PADDING].tolist()) for ids in written]
        gains.append(scores[1] - scores[0])
    assert np.mean(gains) > 0.05
    assert np.mean(np.array(gains) > -1e-9) > 0.8


def test_a_beam_of_one_is_greedy_where_the_network_is_sure():
    for seed in range(5):
        system, inputs = translator(scale=40.0), sources([seed, 4])
        expected = greedy(system, inputs, 1, max_tokens=12)[0]
        np.testing.assert_array_equal(beam_search(system, inputs, beam=1, max_tokens=12), expected)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_beam_without_an_end_gives_the_best_beginning(beam):
    system = decoder(scale=40.0, end=-1e4)
    written = beam_search(system, {}, beam=beam, max_tokens=6)
    assert set(written.tolist()) <= {4, 5, 6}
    np.testing.assert_array_equal(written, greedy(system, {}, 1, max_tokens=6)[0])
